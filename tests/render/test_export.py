"""Exported fields, run by other programs: onnxruntime, and torch.export's reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from processes import run

import sinefield
from sinefield.activations.gabor import Gabor
from sinefield.activations.sine import Sine
from sinefield.core.jet import autograd_jet
from sinefield.encodings.positional import Positional
from sinefield.errors import UserError
from sinefield.fields.mlp import CoordinateMLP
from sinefield.render.export import export

RUN = ROOT / "tests" / "data" / "first_edition"
SCRIPT = ROOT / "scripts" / "export.py"


def fields() -> dict[str, CoordinateMLP]:
    torch.manual_seed(0)
    return {
        "sines": CoordinateMLP(2, 3, 16, 2, activation=Sine()),
        "waves behind an encoding": CoordinateMLP(
            3, 1, 16, 1, activation=Gabor(), encoding=Positional(in_features=3, samples=32)
        ),
    }


@pytest.mark.parametrize(("name", "kind"), [("sines", ".pt2"), ("waves behind an encoding", ".onnx")])
def test_value_gradient_and_laplacian_for_any_number_of_points(name, kind, tmp_path) -> None:
    runtime = pytest.importorskip("onnxruntime") if kind == ".onnx" else None
    field = fields()[name]
    dims, file = 2 if name == "sines" else 3, tmp_path / f"field{kind}"
    differences = export(field, dims, file, order=2)
    assert list(differences) == ["value", "gradient", "laplacian"]
    assert max(differences.values()) > 0  # another program
    for count in (1, 1234):
        x = 2 * torch.rand(count, dims) - 1
        if kind == ".onnx":
            session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
            assert [part.name for part in session.get_inputs()] == ["coordinates"]
            found = [torch.from_numpy(part) for part in session.run(list(differences), {"coordinates": x.numpy()})]
        else:
            found = torch.export.load(file).module()(x)
        jet = autograd_jet(fields()[name].double(), x.double(), 2)
        for part, own in zip(found, (jet.value.detach(), jet.gradient.detach(), jet.laplacian.detach()), strict=True):
            assert part.dtype == torch.float32
            assert part.shape == own.shape
            torch.testing.assert_close(part.double(), own, rtol=1e-3, atol=1e-4 * float(own.abs().max()))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_script_writes_a_run_s_field(tmp_path) -> None:
    done = run(f"run={RUN}", "out=field.pt2", script=SCRIPT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("field.pt2: differs from the field at most in value by ")
    x = 2 * torch.rand(50, 2) - 1
    (value,) = torch.export.load(tmp_path / "field.pt2").module()(x)
    torch.testing.assert_close(value, sinefield.load(RUN)(x))


@pytest.mark.parametrize(
    ("out", "order", "said"),
    [
        ("a.txt", 0, "must end in .onnx or .pt2"),
        ("a.onnx", 3, "order must be at most 2"),
        ("nowhere/a.pt2", 0, "there is no folder"),
        ("folder.pt2", 0, "is a folder"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(out, order, said, tmp_path) -> None:
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(UserError, match=said):
        export(fields()["sines"], 2, tmp_path / out, order)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.pt2"]


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[export\]'"):
        export(fields()["sines"], 2, tmp_path / "a.onnx")


def test_a_program_that_answers_something_else_is_not_written(tmp_path, monkeypatch) -> None:
    from sinefield.render import export as module

    monkeypatch.setitem(module.FORMATS, ".pt2", lambda program, x: (b"", [program(x)[0] + 0.1]))
    with pytest.raises(UserError, match="the exported value differs by 1"):
        export(fields()["sines"], 2, tmp_path / "a.pt2")
    assert list(Path(tmp_path).iterdir()) == []
