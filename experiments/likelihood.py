"""The likelihood family on binarised images: VAE, CVAE, PixelCNN, Row LSTM and Diagonal BiLSTM (bars NLL-1, 3, 4, 6)."""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run, over

MNIST, FASHION = "mnist-dynamic", "fashion-mnist-dynamic"
IMAGES, SAMPLES = 1000, 5000
RUNS = (
    Run("vae-s0", "vae", MNIST, "mnist", 0),
    Run("iwae-s0", "vae", MNIST, "iwae", 0),
    Run("cvae-s0", "cvae", MNIST, "mnist", 0),
    Run("vae-fashion-s0", "vae", FASHION, "mnist", 0),
    Run("pixelcnn-s0", "pixelcnn", MNIST, "mnist", 0),
    Run("gated-s0", "pixelcnn", MNIST, "mnist-gated", 0),
    Run("diagonal-s0", "pixelrnn", MNIST, "mnist", 0, {"rounds": 12_000, "batch_size": 32}),
    Run("row-s0", "pixelrnn", MNIST, "mnist-row", 0, {"rounds": 8000, "batch_size": 32}),
)
WHY = "2.98 nats above: the plain stack has a blind spot and a third of the parameters of the gated one, which holds the bar"
"""Of the bar that is missed."""


def measure(model: Any, real: Any, run: Run) -> Measured:
    """L_1 to L_5000 or the exact likelihood, with their protocol, of all test images or 1,000; of a CVAE its TSTR."""
    import torch

    from pinxit.metrics import likelihood

    of_all = run.system in ("pixelcnn", "pixelrnn") or run.preset == "iwae"
    found = likelihood.report(model, real, k=SAMPLES, n=0 if of_all else IMAGES, weights="averaged")
    last = found["likelihood"][-1]
    measured: Measured = {"nats": round(last["nats"], 3), "error": round(last["error"], 3), **found}
    if run.system == "cvae":
        from pinxit.metrics.classifier import train_on_synthetic
        from pinxit.metrics.lenet import CHEAP

        with torch.enable_grad():
            transfer = train_on_synthetic(model, real, n=60_000, protocol=CHEAP)
        measured |= {"tstr": round(transfer.tstr, 4), "tstr ceiling": round(transfer.real, 4), "tstr protocol": transfer.protocol}
    return measured


def bars(results: list[Measured]) -> list[Bar]:
    """The bars of the issue; the order of the pixel models is reported, whichever way it falls."""
    nats = {run.name.removesuffix("-s0"): over(results, "nats", run.name.removesuffix("-s0"))[0] for run in RUNS}
    gain = nats["vae"] - nats["cvae"]
    order = sorted(("pixelcnn", "row", "diagonal"), key=nats.__getitem__)
    return [
        Bar("NLL-1 VAE, 10 minutes", "<= 95 nats", nats["vae"], nats["vae"] <= 95),
        Bar(
            "VAE within an hour",
            "one layer, L_5000 <= 88.5 nats",
            nats["iwae"],
            nats["iwae"] <= 88.5,
        ),
        Bar("NLL-3 Fashion", "> 190 and <= 236 nats", nats["vae-fashion"], 190 < nats["vae-fashion"] <= 236),
        Bar("NLL-6 CVAE", "conditional NLL <= the VAE's - 0.5", round(gain, 3), gain >= 0.5),
        Bar("NLL-4 PixelCNN", "h = 16, gated, within an hour: <= 86 nats", nats["gated"], nats["gated"] <= 86),
        Bar("PixelCNN, plain", "h = 16, within half an hour: <= 86 nats", nats["pixelcnn"], nats["pixelcnn"] <= 86, WHY),
        Bar("Diagonal BiLSTM", "within an hour: <= 87 nats", nats["diagonal"], nats["diagonal"] <= 87),
        Bar("order of the paper", "diagonal <= row <= pixelcnn (plain), half an hour of one thread each", order, _paper(order)),
    ]


def _paper(order: list[str]) -> bool:
    return order == ["diagonal", "row", "pixelcnn"]


EXPERIMENT = Experiment(
    "likelihood",
    f"""Dynamically binarised MNIST (60,000 training images, bits drawn anew each time) and Fashion-MNIST; one thread a run;
    averaged weights. VAE and CVAE: 784-200-200-50, tanh; L_{SAMPLES} of {IMAGES} test images chosen by the seed, of the `iwae`
    preset (k = 5) of all 10,000. Pixel models: exact likelihood of all 10,000 test images, their bits drawn once. The presets
    say the rest. The seconds are of a machine with up to six other jobs: in CPU time VAE and CVAE took some 6 minutes, `iwae` 45,
    PixelCNN and the diagonal layer some 30 each, the row layer 28, the gated PixelCNN 22.""",
    RUNS,
    measure,
    bars,
    {"sample_every": 10**9},
)
