"""Who may import whom: the rooms of the package, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

SOURCE = ROOT / "src" / "sinefield"
MODELS = {"jet", "activations", "encodings", "field"}
# What each room may import beside the standard library, itself and errors; imports for type checking are free.
MAY = {
    "errors": set(),
    "files": set(),
    "autocast": {"torch"},
    "jet": {"torch", "autocast"},
    "kernels": {"torch", "numpy", "numba", "autocast", "jet"},
    "activations": {"torch", "jet", "kernels"},
    "encodings": {"torch", "autocast", "jet", "kernels"},
    "layerwise": {"torch", "jet"},
    "field": {"torch", "jet", "activations", "encodings", "kernels", "layerwise"},
    "stack": {"torch", "field"},
    "losses": {"torch", "jet"},
    "signals": {"torch", "numpy", "scipy", "PIL", "skimage", "tifffile", "jet"},
    "metrics": {"torch", "torchmetrics", "numpy", "jet"},
    "evaluation": {"torch", "jet", "metrics"},
    "data": {"torch", "pytorch_lightning", "jet", "evaluation"},
    "allocator": set(),
    "pieces": {"torch", "allocator", "jet", "stack"},
    "guard": {"torch"},
    "gradients": {"torch"},
    "resolvers": {"omegaconf"},
    "trial": {"torch"},
    "module": {"torch", "pytorch_lightning", "jet", "metrics", "data", "evaluation", "guard", "pieces"},
    "callbacks": {"torch", "pytorch_lightning", "tqdm", "environment", "files", "metrics", "module"},
    "interrupts": set(),
    "checkpoints": {"torch", "pytorch_lightning", "files", "interrupts", "data", "module", "trial"},
    "script": {"streams"},
    "streams": set(),
    "fingerprints": {"report"},
    "claim": {"files"},
    "folders": {"hydra", "omegaconf", "rank"},
    "rank": {"pytorch_lightning", "lightning_fabric", "omegaconf", "configuration"},
    "lock": {"claim", "files"},
    "state": {"claim", "files", "lock"},
    "loggers": {"pytorch_lightning", "wandb", "yaml", "files", "tracking"},
    "tracking": {"wandb", "wandb_workspaces", "files", "report"},
    "environment": {"torch", "pytorch_lightning"},
    "configuration": {"torch", "hydra", "omegaconf", "resolvers", "trial"},
    "trainer": {"pytorch_lightning", "omegaconf", "checkpoints", "configuration", "gradients", "rank"},
    "report": {"numpy", "PIL", "matplotlib", "yaml", "files", "lock", "state"},
    "raster": {"numpy", "tifffile"},
    "render": {"torch", "numpy", "PIL", "tqdm", "jet", "files", "raster", "report", "run"},
    "benchmarks": {
        "torch",
        "numpy",
        "tqdm",
        "tifffile",
        "matplotlib",
        "pytorch_lightning",
        "metrics",
        "module",
        "siren_pytorch",
        "jet",
        "data",
        "evaluation",
        "environment",
        "field",
        "losses",
        "pieces",
        "report",
        "stack",
    },
    "drawing": {"torch", "jet", "report"},
    "results": {
        "omegaconf",
        "callbacks",
        "checkpoints",
        "data",
        "drawing",
        "evaluation",
        "environment",
        "files",
        "metrics",
        "module",
        "stack",
    },
    "pruning": {"pytorch_lightning", "optuna", "module"},
    "sweep": {"lock", "state", "interrupts", "report"},
    "run": {"*"},
    "repeats": {"torch", "checkpoints"},
    "saved": {"hydra", "omegaconf", "report"},
    "command": {"*"},
    "__init__": {"jet", "field", "run"},
}


def room(path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> set[str]:
    """The rooms and packages a module imports at run time."""
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        name.split(".")[1] if name.startswith("sinefield.") else name.split(".")[0]
        for name in names
        if name.split(".")[0] not in sys.stdlib_module_names
    }


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_room_may(path) -> None:
    here = room(path)
    assert here in MAY, f"say in MAY what the new room {here} may import"
    found = imported(ast.parse(path.read_text())) - {here, "errors"}
    assert "*" in MAY[here] or found <= MAY[here], f"{here} must not import {sorted(found - MAY[here])}"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_is_short_enough_to_be_read(path) -> None:
    assert len(path.read_text().splitlines()) <= 220


def test_the_core_is_read_in_a_quarter_of_an_hour() -> None:
    core = [
        SOURCE / "jet.py",
        SOURCE / "field.py",
        *(SOURCE / "activations").glob("*.py"),
        *(SOURCE / "losses").glob("*.py"),
    ]
    code = [line for path in core for line in _without_docstrings(path).splitlines() if line.strip()]
    assert len(code) < 600


def _without_docstrings(path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("imports", "absent"),
    [
        ("from sinefield import Siren", {"pytorch_lightning", "hydra", "wandb", "matplotlib"}),
        ("import hydra_plugins.sinefield_search, hydra_plugins.sinefield_slurm", {"torch", "numpy", "optuna"}),
        ("import sinefield.resolvers, sinefield.script", {"torch", "numpy", "hydra"}),
        ("import sinefield.run, sinefield.loggers", {"wandb"}),
        ("import sinefield.report.pictures, sinefield.report.sheet", {"matplotlib.pyplot"}),
    ],
)
def test_an_import_loads_nothing_it_does_not_need(imports, absent) -> None:
    code = f"import sys; {imports}; print(*sorted({absent!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == ""
