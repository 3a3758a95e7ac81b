"""What every game must keep, toys and systems alike: discovered, never listed."""

import importlib
import json
import os
import subprocess
import sys
import typing
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

import toys
from pinxit import systems
from pinxit.core import checkpoint
from pinxit.core.bits import shown_to
from pinxit.core.config import Config
from pinxit.core.errors import InputError
from pinxit.core.game import AbstractGame, owners
from pinxit.core.protocols import (
    Completes,
    Conditional,
    Decodes,
    Encodes,
    EncodesGiven,
    HasClassLatents,
    HasCodes,
    HasLatents,
    Likelihood,
    Matches,
    Reconstructs,
    Samples,
    ZeroSum,
)  # fmt: skip
from pinxit.core.spec import Spec
from pinxit.core.trainer import Trainer
from pinxit.diagnostics import causality
from toys._nets import Tiny
from toys._play import Seen, StopAt, Stopped, differing, everything, flat, shortened, trained

TESTS = Path(__file__).parents[1]
TOYS = sorted(f"toy:{path.stem}" for path in Path(toys.__file__).parent.glob("[a-z]*.py"))
GAMES = [*TOYS, *systems.names()]
HEAVY = ("pixelrnn",)
"""Its part takes as long as half of the others together."""
GREY, COLOUR = Spec(1, 28, 28, classes=10), Spec(3, 32, 32, classes=10)
SPECS = {
    "grey-28": GREY,
    "colour-32": COLOUR,
    "grey-16": Spec(1, 16, 16),
    "colour-16": Spec(3, 16, 16),
    "grey-32-labels": Spec(1, 32, 32, classes=3),
    "wide": Spec(1, 16, 28),
    "some-labels": Spec(1, 16, 16, classes=3, unlabelled=True),
    "points": Spec(2, 1, 1, levels=0),
}
ROUNDS = 5


def module_of(name):
    return importlib.import_module(f"toys.{name[4:]}") if name.startswith("toy:") else systems.load(name)


def fitting(config, module, spec):
    """The game for `spec`, or None where the system says in one line that it does not fit."""
    try:
        return module.build(config, spec)
    except InputError as error:
        lines = str(error).splitlines()
    assert len(lines) == 1, "an InputError is one line"
    return None


@cache
def home(name) -> Spec:
    """The first kind of data that a system takes."""
    module = module_of(name)
    found = next((spec for spec in SPECS.values() if fitting(module.PRESETS["tiny"], module, spec)), None)
    assert found is not None, f"{name} takes none of {list(SPECS)}"
    return found


def make(name, *, seed=0) -> AbstractGame:
    module = module_of(name)
    return shortened(module.build(module.PRESETS["tiny"], home(name), seed=seed), ROUNDS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run of a game, played once: (trainer, everything)."""

    @cache
    def play(name):
        trainer = trained(make(name), Tiny(home(name)), tmp_path_factory.mktemp("whole"), save_every=3, log_every=2)
        return trainer, everything(trainer)

    return play


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in GAMES])
def name(request):
    return request.param


def test_every_parameter_has_a_player(name):
    game = make(name)
    players = owners(game)
    owned = {p for player in players.values() for p in player.parameters()}
    assert owned == {p for p in game.parameters() if p.requires_grad}
    assert owned
    played = {turn.player for stage in game.stages() for turn in stage.turns}
    assert played == set(players), "a player without a turn"


def test_turns_have_names_of_their_own(name):
    for stage in make(name).stages():
        names = [turn.name for turn in stage.turns]
        assert len(names) == len(set(names)), "the log can't tell them apart"
        assert not [n for n in names if "lambda" in n or "partial" in n]


def allowed_in_forward(game):
    """Buffers that a forward pass may change: of normalisation layers and of the power iteration."""
    for prefix, module in game.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) or "spectral" in type(module).__name__.lower():
            yield from (f"{prefix}.{key}" for key, _ in module.named_buffers(recurse=False))


def test_a_turn_moves_its_player_and_nobody_else(name, tmp_path):
    moved: dict[str, set[str]] = {}

    class Probe(Trainer):
        def play_turn(self, turn, *args):
            before = {key: p.clone() for key, p in self.game.named_parameters()}
            super().play_turn(turn, *args)
            mine = {id(p) for p in self.players[turn.player].parameters()}
            now = dict(self.game.named_parameters())
            changed = {key for key in before if not torch.equal(before[key], now[key])}
            assert all(id(now[key]) in mine for key in changed), (turn.name, changed)
            assert all(p.grad is None for p in now.values()), turn.name
            moved[turn.name] = moved.get(turn.name, set()) | changed

    game = make(name)
    Probe(game, Tiny(home(name)), tmp_path).fit()
    assert set(moved) == {turn.name for stage in game.stages() for turn in stage.turns}
    assert all(moved.values()), f"turns that move nothing: {[n for n, m in moved.items() if not m]}"


def test_objectives_are_pure(name):
    """The same batch, clock and seed give the same loss, and no buffer moves but those of normalisation."""
    game, data = make(name), Tiny(home(name))
    trainer = Trainer(game.train(), data, "unused")
    for index, stage in enumerate(game.stages()):
        from dataclasses import replace

        clock = replace(trainer.clock, stage=index)
        batch = data.batch(torch.arange(stage.batch_size) % len(data))
        for turn in stage.turns:
            free = set(allowed_in_forward(game))
            before = {key: b.clone() for key, b in game.named_buffers() if key not in free}
            parameters = {key: p.clone() for key, p in game.named_parameters()}
            totals = []
            for _ in range(2):
                torch.manual_seed(3)
                loss = turn.objective(batch, clock)
                totals.append(loss.total)
                assert loss.total.numel() == 1
                assert loss.total.ndim == 0, f"{turn.name}: the total is a scalar"
                assert loss.total.requires_grad
                assert all(isinstance(v, torch.Tensor) for v in loss.stats.values())
            assert differing(before, {key: b for key, b in game.named_buffers() if key in before}) == [], turn.name
            assert differing(parameters, dict(game.named_parameters())) == [], turn.name
            if not free:
                assert torch.equal(*totals), turn.name


def test_same_seed_same_run(name, whole, tmp_path):
    trainer = trained(make(name), Tiny(home(name)), tmp_path, save_every=3, log_every=2)
    assert differing(whole(name)[1], everything(trainer)) == []


def test_another_seed_another_build(name):
    one, same, other = (dict(flat(dict(make(name, seed=s).state_dict()), "")) for s in (0, 0, 1))
    assert differing(one, same) == []
    assert differing(one, other)


def test_building_leaves_the_global_generator_alone(name):
    state = torch.get_rng_state()
    make(name)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_observers_do_not_perturb(name, whole, tmp_path):
    class Meddler(Seen):
        def __call__(self, game, clock, stats):
            super().__call__(game, clock, stats)
            assert not game.training
            torch.randn(7)
            if isinstance(game, Samples):
                game.sample(2)
                game.sample(2, generator=torch.Generator().manual_seed(clock.step))

    trainer = trained(make(name), Tiny(home(name)), tmp_path, save_every=3, log_every=2, observers=[Meddler()])
    assert differing(whole(name)[1], everything(trainer)) == []


def test_killed_and_resumed_equals_uninterrupted(name, whole, tmp_path):
    """Stopped in the middle of the first stage and of the last, between a checkpoint and a line of the log."""
    reference, expected = whole(name)
    stages = reference.stages
    last = sum(s.rounds for s in stages[:-1]) + stages[-1].rounds - 1
    for stop in sorted({2, last}):
        with pytest.raises(Stopped):
            trained(make(name), Tiny(home(name)), tmp_path, save_every=3, log_every=2, observers=[StopAt(stop)])
    # Built from another seed: whatever is not restored shows.
    trainer = trained(make(name, seed=1), Tiny(home(name)), tmp_path, save_every=3, log_every=2)
    assert differing(expected, everything(trainer)) == []


def test_state_dict_is_strict_and_whole(name, whole, tmp_path):
    """Another build with the state of the trained one is the trained one: nothing lives outside."""
    game = whole(name)[0].averaged
    game.save_pretrained(tmp_path)
    other = make(name, seed=1)
    checkpoint.read_weights(tmp_path / "model.safetensors", other)
    other.eval()
    assert differing(dict(game.state_dict()), dict(other.state_dict())) == []
    if isinstance(game, Samples):
        a, b = (g.sample(3, generator=torch.Generator().manual_seed(0)) for g in (game, other))
        assert torch.equal(a, b)
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


@pytest.mark.parametrize("which", ["averaged", "game"])
def test_sample(name, whole, which):
    game = whole(name)[0].averaged if which == "averaged" else make(name).eval()
    if not isinstance(game, Samples):
        pytest.skip("draws no samples")
    state = torch.get_rng_state()
    with torch.no_grad():
        several = [game.sample(n, generator=torch.Generator().manual_seed(5)) for n in (4, 4, 1)]
        other = game.sample(4, generator=torch.Generator().manual_seed(6))
        assert torch.equal(torch.get_rng_state(), state), "drawn from the global generator though one was given"
        torch.manual_seed(1)
        free = game.sample(4)
    assert torch.equal(several[0], several[1])
    assert not torch.equal(several[0], other)
    for x, n in ((several[0], 4), (several[2], 1), (free, 4)):
        assert x.shape == (n, *game.spec.shape)
        assert x.dtype == torch.float32
        assert x.isfinite().all()
        assert game.spec.continuous or x.abs().max() <= 1


def test_codes_reconstructions_and_classes(name, whole):
    """What encodes does so alike each time, its codes decode, and only a model that is told the class looks at labels."""
    game = whole(name)[0].averaged
    if not isinstance(game, Encodes | Reconstructs):
        pytest.skip("encodes nothing")
    batch = Tiny(home(name)).batch(torch.arange(5))
    x, labels = shown_to(game, batch.images, torch.Generator().manual_seed(0)), batch.labels
    other = None if labels is None else (labels + 1) % game.spec.classes
    with torch.no_grad():
        for of in [game.encode] * isinstance(game, Encodes) + [game.reconstruct] * isinstance(game, Reconstructs):
            found = of(x, labels)
            assert len(found) == 5
            assert found.isfinite().all()
            assert torch.equal(found, of(x, labels))
            torch.testing.assert_close(of(x[:1], None if labels is None else labels[:1]), found[:1], rtol=1e-4, atol=1e-4)
            if labels is not None:
                assert torch.equal(found, of(x, other)) != isinstance(game, EncodesGiven)
        if isinstance(game, Reconstructs):
            assert game.reconstruct(x, labels).shape == x.shape
        if isinstance(game, Encodes) and isinstance(game, Decodes):
            assert game.decode(game.encode(x, labels)).shape == x.shape
        if isinstance(game, EncodesGiven):
            codes = game.encode(x, labels)
            placed = game.placed(torch.zeros(5, game.free()), labels)
            assert torch.equal(codes[:, game.free() :], placed[:, game.free() :]), "they tell the class in one way"


@pytest.mark.parametrize("which", SPECS)
def test_sizes_and_channels(name, which, tmp_path):
    """Every kind of data is taken and played, or refused in one line."""
    spec, module = SPECS[which], module_of(name)
    game = fitting(module.PRESETS["tiny"], module, spec)
    if game is None:
        pytest.skip("refused, in one line")
    trainer = trained(shortened(game, 1), Tiny(spec, n=16), tmp_path)
    if isinstance(game, Samples):
        assert trainer.averaged.sample(2).shape == (2, *spec.shape)


def test_small_batches(name, tmp_path):
    """A batch of one, or the smallest that the configuration allows."""
    module = module_of(name)
    config = module.PRESETS["tiny"]
    if "batch_size" not in type(config).model_fields:
        pytest.skip("no batch size")
    for size in (1, 2, 3, 4):
        try:
            small = config.replace(batch_size=size)
            game = module.build(small, home(name))
        except InputError:
            continue
        trainer = trained(shortened(game, 1), Tiny(home(name), n=8), tmp_path / str(size))
        assert trainer.clock.step == trainer.rounds
        return
    pytest.fail("no batch of at most four images is allowed")


def test_data_smaller_than_a_batch(name, tmp_path):
    trainer = trained(shortened(make(name), 1), Tiny(home(name), n=3), tmp_path)
    assert trainer.clock.step == trainer.rounds


def test_configuration_round_trip(name):
    module = module_of(name)
    assert issubclass(module.Config, Config)
    for preset in module.PRESETS.values():
        assert module.Config.of(preset.model_dump()) == preset
        assert module.Config.of(json.loads(json.dumps(preset.model_dump(mode="json")))) == preset
        assert module.Config.of({}) == module.Config()
        assert preset.replace() == preset
        hash(preset)


def test_it_has_a_docstring_and_annotations(name):
    module = module_of(name)
    assert module.__doc__
    assert isinstance(make(name), AbstractGame)
    assert make(name).config == module.PRESETS["tiny"]
    assert make(name).spec == home(name)


def test_a_copy_is_independent(name, whole):
    """The averaged game shares no tensor with the game in training, and its turns reach its own networks."""
    trainer = whole(name)[0]
    game, mean = trainer.game, trainer.averaged
    live = {t.data_ptr() for t in [*game.parameters(), *game.buffers()] if t.numel()}
    assert not live & {t.data_ptr() for t in [*mean.parameters(), *mean.buffers()] if t.numel()}
    own = {id(p) for p in mean.parameters()}
    assert all(id(p) in own for player in mean.players().values() for p in player.parameters())


# Systems only.

SYSTEMS = systems.names()


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_docstring_begins_with_its_paper(system):
    about = systems.about(system)
    assert 1980 < about.year < 2030
    assert about.title
    assert about.authors
    assert about.link.startswith("https://")
    assert "Deviations" in (module_of(system).__doc__ or ""), "a system says where it deviates from its paper, or: none"


@pytest.mark.parametrize("system", SYSTEMS)
def test_presets(system):
    module = module_of(system)
    light = systems.presets(system)
    assert {"paper", "small", "tiny"} <= set(light) == set(module.PRESETS)
    assert systems.preset_names(system) == list(module.PRESETS)
    for name, preset in module.PRESETS.items():
        assert light[name].model_dump() == preset.model_dump()
        specs = [spec for spec in (home(system), *SPECS.values()) if fitting(preset, module, spec)]
        assert specs, f"preset {name} fits none of {list(SPECS)}"
    assert module.PRESETS["paper"] == module.Config(), "the defaults are the paper's"


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_field_is_explained(system):
    fields = module_of(system).Config.model_fields
    assert not [name for name, field in fields.items() if not field.description], "a docstring below the field"


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_has_tests_of_its_own(system):
    assert (TESTS / "systems" / f"test_{system.replace('-', '_')}.py").exists(), (
        f"write tests/systems/test_{system.replace('-', '_')}.py"
    )


@pytest.mark.parametrize("backbone", ["mlp", "dcgan", "resnet"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_backbones(system, backbone, tmp_path):
    """The objective and the backbone are orthogonal: a system that has a choice of backbones plays on each of them."""
    module, spec = module_of(system), Spec(1, 16, 16, classes=3)
    choices = (
        typing.get_args(module.Config.model_fields["backbone"].annotation) if "backbone" in module.Config.model_fields else ()
    )
    if backbone not in choices:
        pytest.skip("its networks are its own")
    game = module.build(module.PRESETS["tiny"].replace(backbone=backbone, width=4), spec)
    trainer = trained(shortened(game, 2), Tiny(spec, n=16), tmp_path)
    assert trainer.averaged.sample(2).shape == (2, *spec.shape)


def switched(config):
    """The configuration itself, and with each choice and each switch of it thrown alone."""
    yield config
    for field, about in type(config).model_fields.items():
        choices = (False, True) if about.annotation is bool else typing.get_args(about.annotation)
        if about.annotation is bool or typing.get_origin(about.annotation) is typing.Literal:
            yield from (config.replace(**{field: value}) for value in choices if value != getattr(config, field))


def certified(module, config, spec, **options):
    """Whether the model was certified; False where the system does not fit."""
    game = fitting(config, module, spec)
    if game is not None:
        found = causality(game, spec.height, spec.width, draws=1, **options)
        assert found.holds, (config, found.verdict)
    return game is not None


@pytest.mark.parametrize("spec", [Spec(1, 7, 9, classes=3), Spec(3, 4, 7, classes=3)], ids=["grey", "colour"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_likelihood_sees_the_past_that_it_promises_and_no_more(system, spec):
    """Every system with an exact log p(x): no leak, no gap beyond its architecture's own, with every option."""
    module = module_of(system)
    if not isinstance(make(system), Likelihood):
        pytest.skip("has no exact likelihood")
    assert sum(certified(module, config, spec) for config in switched(module.PRESETS["tiny"]))


@pytest.mark.parametrize(
    ("layers", "spec"),
    [(2, Spec(1, 9, 6)), (2, Spec(3, 3, 7)), (5, Spec(1, 6, 11)), pytest.param(5, Spec(3, 6, 4), marks=pytest.mark.slow)],
    ids=["2 layers, 9 x 6", "2 layers, 3 x 7 RGB", "5 layers, 6 x 11", "5 layers, 6 x 4 RGB"],
)
@pytest.mark.parametrize("system", SYSTEMS)
def test_so_it_does_at_every_depth_and_size(system, layers, spec):
    """Taller and wider than high, grey and RGB, deep enough to see from edge to edge; with every option of the network."""
    module = module_of(system)
    tiny = module.PRESETS["tiny"]
    if not isinstance(make(system), Likelihood) or "layers" not in type(tiny).model_fields:
        pytest.skip("has no exact likelihood, or no depth")
    of_network = [config for config in switched(tiny.replace(layers=layers)) if config.output == tiny.output]
    assert sum(certified(module, config, spec, modes=("eval",)) for config in of_network)


@pytest.mark.parametrize("system", SYSTEMS)
def test_from_pretrained(system, whole, tmp_path):
    from pinxit.training import from_pretrained

    game = whole(system)[0].averaged
    game.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    assert type(again) is type(game)
    assert (again.config, again.spec) == (game.config, game.spec)
    assert differing(dict(game.state_dict()), dict(again.state_dict())) == []
    assert not again.training


@pytest.mark.slow
@pytest.mark.skipif(not SYSTEMS, reason="no system yet")
def test_from_pretrained_in_another_process(whole, tmp_path):
    system = SYSTEMS[0]
    game = whole(system)[0].averaged
    game.save_pretrained(tmp_path / "m")
    expected = game.sample(3, generator=torch.Generator().manual_seed(0))
    code = (
        "import sys, torch, pinxit; torch.set_num_threads(1)\n"
        "game = pinxit.from_pretrained(sys.argv[1])\n"
        "torch.save(game.sample(3, generator=torch.Generator().manual_seed(0)), sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "m"), str(tmp_path / "x.pt")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.equal(torch.load(tmp_path / "x.pt", weights_only=True), expected)


@pytest.mark.parametrize("name", systems.names())
def test_what_a_system_can_do_is_known_without_importing_it(name):
    module = systems.load(name)
    games = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, AbstractGame)]
    for protocol in (
        Completes, Conditional, Decodes, Encodes, EncodesGiven, HasClassLatents, HasCodes, HasLatents, Likelihood, Matches,
        Reconstructs, Samples, ZeroSum,
    ):  # fmt: skip
        assert systems.able(name, protocol) == any(issubclass(kind, protocol) for kind in games), protocol
