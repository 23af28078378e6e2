"""The mesh of a run: where the surface is, in the file's coordinates, in every format, whole or not at all."""

from __future__ import annotations

import importlib.util
import os
import signal as signals
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from conftest import ROOT
from omegaconf import OmegaConf
from processes import start

from sinefield.activations.sine import Sine
from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.evaluation.mesh_files import ENDINGS, write_mesh
from sinefield.fields.mlp import CoordinateMLP
from sinefield.render.mesh import render_mesh
from sinefield.signals.base import Signal
from sinefield.training.checkpoints import AtomicCheckpoints

SCRIPT = ROOT / "scripts" / "render.py"
RADIUS, SCALE, CENTRE = 0.55, 40.0, np.array([500_000.0, 20.0, -3.0])


class Ball(Signal):
    """A box of half the height along z, whose points lie elsewhere in a file."""

    def __init__(self) -> None:
        super().__init__((5, 9, 9), 1)

    def jet(self, x: torch.Tensor, order: int) -> Jet:
        raise NotImplementedError

    def to_file(self, x: np.ndarray) -> np.ndarray:
        return CENTRE + SCALE * x


class Plain(Ball):
    """Of no file."""

    to_file = None


def ball(x: torch.Tensor) -> torch.Tensor:
    """Flat enough for the box."""
    return (x * x.new_tensor([1, 1, 1.5])).norm(dim=1, keepdim=True) - RADIUS


def two(x: torch.Tensor) -> torch.Tensor:
    return (torch.cdist(x, x.new_tensor([[-0.4, 0, 0], [0.6, 0, 0]])) - x.new_tensor([0.4, 0.25])).amin(1, keepdim=True)


def made(folder: Path, function, target: str = "Ball", dims: int = 3) -> Path:
    """The folder of a run whose field is fitted to a function, here and now."""
    torch.manual_seed(0)
    field = CoordinateMLP(dims, 1, 32, 1, activation=Sine(omega0=4))
    optimizer = torch.optim.Adam(field.parameters(), 5e-3)
    for _ in range(250 if function else 0):
        x = 2 * torch.rand(512, 3) - 1
        optimizer.zero_grad()
        (field.jet(x, 0).value - function(x)).square().mean().backward()
        optimizer.step()
    parts = {"_target_": "sinefield.fields.mlp.CoordinateMLP", "in_features": dims, "out_features": 1, "width": 32}
    activation = {"_target_": "sinefield.activations.sine.Sine", "omega0": 4}
    config = {"field": parts | {"depth": 1, "activation": activation}, "signal": {"_target_": f"{__name__}.{target}"}}
    folder.mkdir()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
    (folder / "metrics.json").write_text("{}")
    state = {f"field.{name}": tensor for name, tensor in field.state_dict().items()}
    AtomicCheckpoints().save_checkpoint({"state_dict": state}, folder / "checkpoints" / "last.ckpt")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("mesh") / "run", ball)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_holds_the_surface_in_the_file_s_own_coordinates(ending, run, tmp_path) -> None:
    out = tmp_path / f"mesh{ending}"
    said = render_mesh(run, out, resolution=24, trust=[__name__])
    found = trimesh.load(out, force="mesh", process=True)
    assert found.is_watertight or ending == ".stl"  # whose vertices, 500 km away, are 3 cm off
    assert found.euler_number == 2 or ending == ".stl"
    assert f"{len(found.faces):,} faces, closed, 1 part; in the file's own coordinates" in said
    at = torch.from_numpy((found.vertices - CENTRE) / SCALE).float()
    field = torch.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    network = CoordinateMLP(3, 1, 32, 1, activation=Sine(omega0=4))
    network.load_state_dict({name.removeprefix("field."): tensor for name, tensor in field.items()})
    with torch.no_grad():
        assert network(at).abs().max() < (2e-3 if ending in (".stl", ".glb") else 2e-6)
    assert ball(at).abs().max() < 0.1  # as good as the fit
    assert found.volume > 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_the_largest_part_alone_is_kept_where_asked_for(tmp_path) -> None:
    run = made(tmp_path / "run", two, "Plain")
    both = render_mesh(run, tmp_path / "both.ply", 40, trust=[__name__])
    one = render_mesh(run, tmp_path / "one.ply", 40, only_largest=True, trust=[__name__])
    assert "2 parts, of which the largest has " in both
    assert "largest=true keeps it alone; in coordinates of the field" in both
    assert "and is kept" in one
    found, whole = (trimesh.load(tmp_path / f"{name}.ply") for name in ("one", "both"))
    assert (found.body_count, whole.body_count) == (1, 2)
    assert found.vertices[:, 0].max() < 0.2
    assert whole.vertices[:, 0].max() > 0.7


def test_a_level_beyond_the_box_is_cut_off_and_said_to_be_open(run, tmp_path) -> None:
    assert "open, cut off at the box" in render_mesh(run, tmp_path / "a.obj", 16, level=0.4, trust=[__name__])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "a.xyz"}, r"must end in \.ply, \.obj"),
        ({"path": "nowhere/a.ply"}, "there is no folder"),
        ({"level": 50.0}, "no surface: f is nowhere 50 in the box"),
        ({"resolution": 2}, "resolution must be a whole number of at least 4"),
        ({"device": "gpu"}, "device must be auto, cpu or cuda"),
        ({"trust": []}, "no class that a run folder may ask for"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(options, said, run, tmp_path) -> None:
    path = tmp_path / options.pop("path", "a.ply")
    with pytest.raises(UserError, match=said) as caught:
        render_mesh(run, path, **{"resolution": 16, "trust": [__name__]} | options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_run_of_a_picture_has_no_mesh(tmp_path) -> None:
    with pytest.raises(UserError, match=r"three coordinates and one channel; that of .* has 2 and 1"):
        render_mesh(made(tmp_path / "run", None, dims=2), tmp_path / "a.ply", trust=[__name__])


def test_the_script_writes_a_mesh_and_sends_who_forgot_to_ask_for_one_there(run, tmp_path, capsys) -> None:
    spec = importlib.util.spec_from_file_location("render_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    out = tmp_path / "a.PLY"
    script.main([f"run={run}", f"out={out}", "resolution=16", "level=-0.1", f"trust={__name__}", "largest=true"])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: ")
    assert "block" in printed.err
    assert trimesh.load(out, file_type="ply").is_watertight
    with pytest.raises(UserError, match=r"three coordinates; out=mesh\.ply makes a mesh"):
        script.main([f"run={run}"])


@pytest.mark.slow
def test_ctrl_c_leaves_no_half_file(run, tmp_path) -> None:
    paths = [str(Path(__file__).parent), str(ROOT / "src"), str(ROOT / "tests")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    arguments = [f"run={run}", "out=a.ply", "resolution=2000", f"trust={__name__}"]
    (tmp_path / "a.ply").write_text("an earlier one")
    with start(*arguments, script=SCRIPT, cwd=tmp_path, env=environment) as process:
        said, deadline = process._said[1], time.monotonic() + 60
        while not (said.exists() and "block" in said.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signals.SIGINT)
        process.wait()
    assert process.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]
    assert (tmp_path / "a.ply").read_text() == "an earlier one"


@pytest.mark.parametrize(("away", "size"), [(0.0, 4), (1e6, 8)])
def test_a_ply_is_as_exact_as_it_needs_to_be(away, size, tmp_path) -> None:
    box = trimesh.creation.box((0.1, 0.2, 0.3))
    write_mesh(tmp_path / "a.ply", box.vertices + away, np.asarray(box.faces))
    found = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(found.vertices - away, box.vertices, atol=1e-6)
    assert np.array_equal(found.faces, box.faces)
    head, _, data = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert len(data) == 8 * 3 * size + 12 * 13
