"""The shape of the code: who imports whom, how long things are, what stays light."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "pinxit"
FILES = sorted(SRC.rglob("*.py"))
NAMES = [str(path.relative_to(SRC)) for path in FILES]

# Who may import whom, besides itself. A folder that is not named here may import nothing.
MAY = {
    "core": set(),
    "losses": {"core"},
    "nn": {"core", "losses"},
    "systems": {"core", "losses", "nn"},
    "data": {"core"},
    "viz": {"core"},
    "metrics": {"core", "losses", "viz", "data"},
    "diagnostics": {"core", "losses", "nn", "metrics", "viz"},
    "theory": {"core", "losses", "nn", "viz", "metrics", "diagnostics"},
    "conformance": {"core", "losses", "nn", "systems", "data", "metrics", "diagnostics"},
    "observers": {"core", "viz", "metrics", "diagnostics"},
    "evaluation": {"core", "data", "metrics", "viz"},
    "training": {"core", "data", "systems", "observers"},
    "playground": {"core", "data", "viz", "training"},
    "__init__": {"training", "data", "diagnostics", "systems", "viz", "evaluation"},
    "__main__": {"cli"},
    "cli": {
        "core",
        "data",
        "losses",
        "systems",
        "training",
        "viz",
        "metrics",
        "diagnostics",
        "observers",
        "evaluation",
        "playground",
        "theory",
        "conformance",
    },
}


def layer(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The parts of pinxit that a file imports, at its top or within a function."""
    found = set()
    parts = ("pinxit", *path.relative_to(SRC).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*parts[: -node.level], *([node.module] if node.module else [])])
            modules = [f"{module}.{alias.name}" for alias in node.names] if module == "pinxit" else [module]
        found |= {m.split(".")[1] for m in modules if m.startswith("pinxit.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_one_way(path):
    allowed = MAY.get(layer(path), set()) | {layer(path)}
    assert imported(path) <= allowed, f"{path.relative_to(ROOT)} may import {sorted(allowed)} only"


def test_the_graph_of_layers_has_no_cycle():
    done: set[str] = set()
    while left := {k for k in MAY if k not in done}:
        ready = {k for k in left if MAY[k] <= done}
        assert ready, f"a cycle among {sorted(left)}"
        done |= ready


def test_only_the_command_line_and_training_know_systems():
    assert {layer(path) for path in FILES if "systems" in imported(path)} <= {
        "systems",
        "training",
        "cli",
        "conformance",
        "__init__",
    }


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_systems_do_not_import_each_other(path):
    if layer(path) == "systems" and path.name != "__init__.py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("pinxit.systems"), "each system reads alone"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_sizes(path):
    lines = path.read_text().count("\n")
    limit = {"core": 200, "systems": 250}.get(layer(path), 400)
    assert lines <= limit, f"{lines} lines"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} has {node.end_lineno - node.lineno + 1} lines"


TEXTS = [
    path
    for folder in ("src", "tests", "scripts", "benchmarks", "experiments", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".toml", ".yaml", ".yml", ".json", ".html", ".js") and path != Path(__file__)
] + [path for path in ROOT.glob("*") if path.suffix in (".md", ".toml") or path.name == "Makefile"]


def test_no_machine_paths():
    """No file knows where it was written."""
    pattern = re.compile(r"(?<![\w.])/(?:home|work|root|Users|tmp/v|mnt)/[\w.]+")
    found = [f"{p.relative_to(ROOT)}: {m.group()}" for p in TEXTS for m in pattern.finditer(p.read_text(errors="replace"))]
    assert not found


@pytest.mark.parametrize(
    "module",
    [
        "pinxit",
        "pinxit.core.config",
        "pinxit.core.spec",
        "pinxit.core.protocols",
        "pinxit.systems",
        "pinxit.data",
        "pinxit.diagnostics",
    ],
)
def test_light_imports(module):
    heavy = ("torch", "torchvision", "lightning_fabric", "matplotlib", "safetensors", "gradio")
    code = f"import sys, {module}\nprint([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == ("[]", "")


def test_documented_names_are_found_by_their_dots_after_import_pinxit_alone():
    """As docs/theory.md and docs/likelihood.md write them: `pinxit.theory` was no attribute of `pinxit`."""
    text = "".join(path.read_text() for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"])
    named = sorted(set(re.findall(r"`(pinxit(?:\.\w+)+)", text)))
    assert {"pinxit.theory", "pinxit.diagnostics.lipschitz.lower", "pinxit.viz.directions.noise_decoded"} <= set(named)
    code = """if True:
        import sys
        for name in sys.argv[1:]:
            for module in [module for module in sys.modules if module.partition(".")[0] == "pinxit"]:
                del sys.modules[module]
            import pinxit
            eval(name)
    """
    more = ["pinxit.systems.dcgan.PRESETS", "pinxit.theory.gaussians.kl", "pinxit.nn.backbones", "pinxit.core.game"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code, *named, *more]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_presets_are_read_without_torch():
    code = """if True:
        import sys
        from pinxit import systems
        for name in systems.names():
            assert systems.about(name).year > 1980
            presets = systems.presets(name)
            assert {"paper", "small", "tiny"} <= set(presets)
            assert all(field.description for field in type(presets["tiny"]).model_fields.values()), "the help of --help"
        print([m for m in ("torch", "numpy") if m in sys.modules])
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == ("[]", "")
