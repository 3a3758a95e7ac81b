"""InfoGAN on MNIST: the error of its category as an unsupervised classifier, and the control without information (bar INFO-1)."""

from __future__ import annotations

from typing import Any

from experiments.harness import Bar, Experiment, Measured, Run, over

SEEDS = (0, 1, 2)
THREE_EIGHTHS = {"width": 24, "dense": 384, "ttur": 0.5, "decay": "linear", "rounds": 5000}


def measure(model: Any, real: Any, run: Run) -> Measured:
    """The Hungarian matching of categories and digits, fitted on training images, its error on the 10,000 test images."""
    from pinxit.metrics.assignment import assignment_error

    found = assignment_error(model.infer, real)
    return {
        "error": round(found.error, 4),
        "standard_error": round(found.standard_error, 4),
        "majority_error": round(found.majority_error, 4),
        "categories_used": found.used,
    }


def bars(results: list[Measured]) -> list[Bar]:
    """INFO-1."""
    errors, control = over(results, "error", "infogan"), over(results, "error", "control")
    information = [last["discriminator/L_I"] for last in over(results, "last interval", "infogan")]
    return [
        Bar("INFO-1", "best of 3 seeds <= 0.15 error", {"errors": errors, "median": sorted(errors)[1]}, min(errors) <= 0.15),
        Bar("INFO-1 information", "L_I >= 2.0 nats (at most 2.303)", information, min(information) >= 2.0),
        Bar("INFO-1 control", "lambda = 0: error >= 0.5", control, min(control) >= 0.5),
    ]


EXPERIMENT = Experiment(
    "infogan",
    """MNIST's 60,000 training images without labels; the `paper` preset at three eighths, between a half and a third, of its
    widths (24 maps, 384 dense units), 5,000 updates of 128 images, rates of 1e-3 and 5e-4 decayed linearly to zero; averaged
    weights; categories matched one to one with digits on the training images, error on the 10,000 test images.""",
    [
        *(Run(f"infogan-s{seed}", "infogan", "mnist", "paper", seed, THREE_EIGHTHS) for seed in SEEDS),
        Run("control-s0", "infogan", "mnist", "paper", 0, {**THREE_EIGHTHS, "lambda_info": 0.0}),
    ],
    measure,
    bars,
)
