"""How long files are, how much the core is to read, and what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

SLOW = {"scipy.signal", "scipy.stats", "matplotlib", "skimage.metrics", "wandb", "optuna"}  # 0.3 s or more each
LOSSES = ("base", "schedule", "value", "gradient", "laplacian", "constraints", "weak")
SOURCE = ROOT / "src" / "sinefield"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_is_short_enough_to_be_read(path) -> None:
    assert len(path.read_text().splitlines()) <= 220


def test_the_core_is_read_in_a_quarter_of_an_hour() -> None:
    core = [
        SOURCE / "core" / "jet.py",
        SOURCE / "fields" / "mlp.py",
        *(SOURCE / "activations" / f"{name}.py" for name in ("base", "sine")),  # each further one is a page of its own
        *(SOURCE / "losses" / f"{name}.py" for name in LOSSES),
    ]
    code = [line for path in core for line in _without_docstrings(path).splitlines() if line.strip()]
    assert len(code) < 600


def _without_docstrings(path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


# Each with what no import up to it may have loaded, in the order in which two processes run them.
IMPORTS = [
    [
        ("sinefield.system.script", {"torch", "numpy", "hydra"}),
        ("sinefield.runs.folders", {"torch", "numpy"}),
        ("hydra_plugins.sinefield_search, hydra_plugins.sinefield_slurm", {"torch", "numpy", "optuna"}),
    ],
    [
        ("sinefield; from sinefield import Siren", {"pytorch_lightning", "hydra", "wandb", "matplotlib"}),
        ("sinefield.runs.command, sinefield.runs.resume_or_repeat, sinefield.runs.loggers", SLOW),
        ("sinefield.report.pictures, sinefield.report.sheet", {"matplotlib.pyplot"}),
    ],
]


@pytest.mark.parametrize("process", IMPORTS, ids=["light", "heavy"])
def test_an_import_loads_nothing_it_does_not_need(process) -> None:
    lines = [f"import {names}; print(*sorted({absent!r} & set(sys.modules)))" for names, absent in process]
    found = subprocess.run([sys.executable, "-c", "\n".join(["import sys", *lines])], check=True, capture_output=True)
    assert found.stdout.split() == []
