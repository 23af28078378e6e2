"""A rendering is the field at the positions it claims, in every format, crop and tile; a mistake leaves nothing."""

from __future__ import annotations

import copy
import importlib.util
import json
import runpy
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import CONF, ROOT, SMALL, small
from PIL import Image
from processes import start

from sinefield import autograd_jet, render
from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.render import raster
from sinefield.report.colours import gradient_picture, laplacian_picture, value_picture
from sinefield.signals.large import Large
from sinefield.system.files import atomic_write

SCRIPT = ROOT / "scripts" / "render.py"
W, H = 16, 12


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run: 16 × 12 samples in colour, two steps of fitting."""
    from hydra import compose, initialize_config_dir

    from sinefield.runs.train import train

    folder = tmp_path_factory.mktemp("render")
    noise = np.random.default_rng(0).integers(0, 256, (2 * H - 1, 2 * W - 1, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*SMALL, f"signal.path={folder / 'noise.png'}", "logger=none"])
    train(config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def picture(run) -> render.Picture:
    found = render.Picture(run, device="cpu")
    assert (found.shape, found.channels) == ((H, W), 3)
    return found


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("render_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def coordinates(positions) -> torch.Tensor:
    """By hand: the spacing is 2 / 15, and the shorter side is centred on 0."""
    return torch.tensor((np.asarray(positions, dtype=float) - [(W - 1) / 2, (H - 1) / 2]) * 2 / (W - 1))


def samples(field) -> torch.Tensor:
    """The field at the samples, (H, W, 3)."""
    columns, rows = np.meshgrid(np.arange(W), np.arange(H))
    with torch.no_grad():
        return field(coordinates(np.stack([columns, rows], axis=-1)).float())


def array(picture, part="value", scale=1.0, crop=None, units="colour", tile=render.TILE) -> np.ndarray:
    return np.concatenate([*picture.bands(part, picture.axes(scale, crop), units, tile)])


def decoded(path: Path) -> np.ndarray:
    """A PNG whose rows are filtered by Up, read by its specification; checks every CRC."""
    data, chunks, at = path.read_bytes(), [], 8
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(data):
        (length,), name = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + content),)
        chunks.append((name, content))
        at += 12 + length
    assert (chunks[0][0], chunks[-1]) == (b"IHDR", (b"IEND", b""))
    width, height, bits, colour = struct.unpack(">IIBB", chunks[0][1][:10])
    rows = np.frombuffer(zlib.decompress(b"".join(c for n, c in chunks if n == b"IDAT")), np.uint8).reshape(height, -1)
    assert set(rows[:, 0]) == {2}
    plain = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)
    return plain.view(f">u{bits // 8}").reshape(height, width, {0: 1, 2: 3}[colour])


def test_at_scale_1_it_is_the_reconstruction(run, picture, tmp_path) -> None:
    render.render(picture, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        found = np.asarray(image)
        assert image.text["Description"] == "value in colours of 0 to 1, black to white"
    assert found.dtype == np.uint8
    expected = value_picture(samples(picture.field).numpy())
    assert np.abs(found.astype(int) - expected).max() <= 1  # a rounding of float32 apart at most
    assert np.mean(found != expected) < 0.01
    with Image.open(run / "reconstruction.png") as image:
        assert np.abs(found.astype(int) - np.asarray(image)).max() <= 1


@pytest.mark.parametrize("part", render.PARTS)
@pytest.mark.parametrize("tile", [1, 7, 48, 100])
def test_the_size_of_the_tiles_changes_nothing(part, tile, picture) -> None:
    whole = array(picture, part, scale=2)
    found = array(picture, part, scale=2, tile=tile)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.abs(whole).max() * 10)


@pytest.mark.parametrize("odd", [1, 3, 7])
def test_odd_scales_hit_the_centres_of_the_samples(odd, picture) -> None:
    rows, columns = picture.axes(odd)
    assert (len(rows), len(columns)) == (odd * H, odd * W)
    assert rows[odd // 2 :: odd].tolist() == list(range(H))
    assert columns[odd // 2 :: odd].tolist() == list(range(W))
    expected = (samples(picture.field).numpy() + 1) / 2
    np.testing.assert_allclose(array(picture, scale=odd)[odd // 2 :: odd, odd // 2 :: odd], expected, atol=1e-5)


def test_pixels_are_areas_and_the_size_is_rounded(picture) -> None:
    rows, columns = picture.axes(2)
    assert (columns[0], columns[-1]) == (-0.25, W - 0.75)
    assert (rows[0], rows[-1]) == (-0.25, H - 0.75)
    assert [len(axis) for axis in picture.axes(1.3)] == [16, 21]  # 15.6, 20.8
    assert [len(axis) for axis in picture.axes(0.1)] == [1, 2]  # 1.2, 1.6


@pytest.mark.parametrize("part", render.PARTS)
def test_a_crop_is_a_slice_of_the_whole(part, picture) -> None:
    whole, found = array(picture, part, 4), array(picture, part, 4, crop=[3, 2, 10, 11])
    assert found.shape[:2] == (36, 28)
    np.testing.assert_allclose(found, whole[8:44, 12:40], rtol=0, atol=1e-5 * np.abs(whole).max())
    assert array(picture, part, 4, crop=[0, 0, W, H]).shape == whole.shape
    assert array(picture, part, 4, crop=[0.5, 0.25, 1, 1]).shape[:2] == (3, 2)


@pytest.mark.parametrize("bits", [8, 16])
def test_values_in_a_png(bits, picture, tmp_path) -> None:
    render.render(picture, tmp_path / "a.png", scale=5, bits=bits, tile=300)
    level = (array(picture, scale=5, units="field", tile=300).astype(float) + 1) / 2
    expected = np.rint(np.clip(level, 0, 1) * (2**bits - 1))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as image:  # Pillow keeps the high byte of 16-bit colour
        np.testing.assert_array_equal(np.asarray(image), expected // 2 ** (bits - 8))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_gives_back_its_pixels(kind, channels, tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (50, 33, channels), dtype=kind, endpoint=True)
    with atomic_write(tmp_path / "a.png") as file:
        raster.write_png(file, np.split(pixels, [3, 20]), pixels.shape, pixels.dtype, "per pixel²")
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), pixels)
    with Image.open(tmp_path / "a.png") as image:
        image.verify()
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {"Description": "per pixel²"}
        if channels == 1 or kind == np.uint8:
            np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("part", "paint"), [("gradient", gradient_picture), ("laplacian", laplacian_picture)], ids=["gradient", "laplacian"]
)
def test_derivatives_in_a_png_have_one_stated_limit(part, paint, picture, tmp_path) -> None:
    chosen = render.render(picture, tmp_path / "a.png", part, scale=2, limit=0.5)
    assert "0.5" in chosen
    assert "colours of 0 to 1 per pixel" in chosen
    expected = paint(array(picture, part, 2), 0.5)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), expected)
    own = render.render(picture, tmp_path / "b.png", part)
    assert f"{picture.limit(part, 'colour'):g}" in own
    assert (
        own.split("pixels")[1] == render.render(picture, tmp_path / "b.png", part, crop=[0, 0, 2, 2]).split("pixels")[1]
    )
    size = np.linalg.norm(array(picture, part).mean(axis=2).reshape(H * W, -1), axis=-1)
    assert 0.95 <= np.mean(size <= picture.limit(part, "colour")) <= 1
    with Image.open(tmp_path / "b.png") as image:
        assert image.text["Description"] in own


@pytest.mark.parametrize("part", render.PARTS)
def test_floats_come_back_unrounded_and_unclipped(part, picture, tmp_path) -> None:
    for ending in ("npy", "tif", "TIFF"):
        render.render(picture, tmp_path / f"a.{ending}", part, scale=3, units="field", tile=200)
    expected = array(picture, part, 3, units="field", tile=200)
    assert expected.shape == (3 * H, 3 * W, 3) + (2,) * (part == "gradient")
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    for ending in ("tif", "TIFF"):
        with tifffile.TiffFile(tmp_path / f"a.{ending}") as file:
            assert file.pages[0].description.startswith(part)
            np.testing.assert_array_equal(file.asarray().reshape(expected.shape), expected)


def test_a_grey_tiff_is_read_by_pillow(tmp_path) -> None:
    pixels = np.random.default_rng(0).random((9, 7, 1), dtype=np.float32)
    with atomic_write(tmp_path / "a.tif") as file:
        raster.write_tiff(file, [pixels[:4], pixels[4:]], pixels.shape, pixels.dtype, "²")
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


def test_at_is_the_field_and_its_derivatives_per_pixel(run, picture) -> None:
    positions, h = [[3.5, 2.5], [10.25, 7], [0, 0], [W - 1, H - 1]], 2 / (W - 1)
    oracle = autograd_jet(copy.deepcopy(picture.field).double(), coordinates(positions), order=2)
    found = render.at(run, positions, "laplacian")
    expected_parts = (oracle.value + 1) / 2, h / 2 * oracle.gradient, h**2 / 2 * oracle.laplacian
    for part, expected in zip((found.value, found.gradient, found.laplacian), expected_parts, strict=True):
        torch.testing.assert_close(part.double(), expected.detach(), rtol=1e-4, atol=1e-5)
    shallow = render.at(picture, positions)
    assert shallow.order == 0
    own = render.at(picture, positions, "gradient", units="field")
    torch.testing.assert_close(own.gradient, oracle.gradient.detach().float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(render.at(picture, [3.5, 2.5], units="byte").value, 255 * found.value[:1])


def test_a_derivative_per_pixel_is_the_difference_of_neighbours(picture) -> None:
    step = 0.01
    left, right, middle = (
        render.at(picture, [5 + d, 6], "gradient", units="byte") for d in (-step, step, 0)
    )  # fmt: skip
    difference = (right.value - left.value) / (2 * step)
    torch.testing.assert_close(middle.gradient[..., 0], difference, rtol=0.02, atol=0.1)


def test_an_interrupted_rendering_leaves_the_old_file(picture, tmp_path, monkeypatch) -> None:
    calls, jet = [], picture.jet

    def failing(*args):
        calls.append(args)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return jet(*args)

    monkeypatch.setattr(picture, "jet", failing)
    for name in ("a.png", "a.tif", "a.npy"):
        calls.clear()
        (tmp_path / name).write_text("old")
        with pytest.raises(KeyboardInterrupt):
            render.render(picture, tmp_path / name, tile=16)
        assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3


def memory(field: str) -> float:
    """VmRSS, what this process holds, or VmHWM, the most it has held, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


@pytest.mark.parametrize("ending", ["png", "tif", "npy"])
def test_memory_does_not_grow_with_the_picture(ending, picture, tmp_path) -> None:
    plain = copy.copy(picture)
    plain.field = torch.nn.Linear(2, 3)  # is fast
    plain.field.jet = lambda x, order: Jet(plain.field(x))
    render.render(plain, tmp_path / f"a.{ending}", scale=10, tile=2000)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the most held so far
    except OSError:
        pytest.skip("Linux alone keeps, and lets go of, the peak memory")
    before = memory("VmRSS")
    render.render(plain, tmp_path / f"a.{ending}", scale=120, tile=2000)
    whole = 120**2 * H * W * 3 * (1 if ending == "png" else 4) / 2**20  # MB
    assert whole > 7
    assert memory("VmHWM") - before < 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scale=0"], "scale must be a finite number above 0"),
        (["scale=-2"], "scale must be"),
        (["scale=abc"], "scale must be"),
        (["scale=1e9"], "1.6e+10 × 1.2e+10 pixels"),
        (["scale=1e308"], "a side must have 1 to"),
        (["scale=0.01"], "0 × 0 pixels"),
        (["crop=[0,0,17,3]"], "inside [0, 0, 16, 12]"),
        (["crop=[5,0,5,3]"], "inside [0, 0, 16, 12]"),
        (["crop=[-1,0,5,3]"], "inside [0, 0, 16, 12]"),
        (["crop=[0,0]"], "crop takes 4 numbers"),
        (["crop=[[0,0,1,1],[0,0,1,1]]"], "crop takes 4 numbers"),
        (["crop=[nan,0,1,1]"], "crop takes 4 numbers"),
        (["part=curl"], "part must be one of value, gradient, laplacian"),
        (["part=[value]"], "part must be one of"),
        (["at=[[16,0]]"], "[[16.0, 0.0]] lies outside the picture, whose samples are at [0, 0] to [15, 11]"),
        (["at=[[0,0],[0,-0.1]]"], "[[0.0, -0.1]] lies outside"),
        (["at=[[1,2],[3]]"], "at takes 2 numbers"),
        (["at=[]"], "at takes 2 numbers"),
        (["at=[[1,2]]", "part=curl"], "part must be one of"),
        (["at=[[1"], "cannot read the options"),
        (["bits=12"], "bits must be one of 8, 16"),
        (["limit=0", "part=gradient"], "limit must be"),
        (["units=mm"], "units must be one of colour, byte, field"),
        (["units=[1]"], "units must be one of"),
        (["tile=0"], "tile must be a whole number"),
        (["device=tpu"], "device must be one of auto, cpu, cuda"),
        (["checkpoint=worst"], "worst.ckpt does not exist"),
        (["out={tmp}/a.jpg"], "must end in .png, .tif, .tiff, .npy"),
        (["out={tmp}/nowhere/a.png"], "there is no folder"),
        (["out={tmp}/folder.png"], "is a folder"),
        (["zoom=[1,2]"], "zoom takes 3 numbers"),
        (["zoom=[20,2,4]"], "outside the picture"),
        (["zoom=[2,2,13]"], "whole number from 2 to 12"),
        (["zoom=here"], "zoom takes 3 numbers"),
        (["zoom=auto", "out={tmp}/a.tif"], "must end in .png"),
        (["run={tmp}"], "holds no finished run"),
        (["run={tmp}/nowhere"], "there is no folder"),
        (["run=null"], "say which run"),
        (["sclae=2"], "there is no sclae; choose from: run, out, part"),
        (["scale.x=2"], "there is no scale.x; choose from: run"),
        (["scale=${nothing}"], "scale must be a number, not ${nothing}"),
        (["scale"], "write key=value"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_writes_nothing(arguments, words, script, run, tmp_path) -> None:
    (tmp_path / "folder.png").mkdir()
    before = sorted(run.rglob("*"))
    with pytest.raises(UserError) as error:
        script.main(
            [f"run={run}", f"out={tmp_path}/a.png", *(text.replace("{tmp}", str(tmp_path)) for text in arguments)]
        )
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(run.rglob("*")) == before
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.png"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_cuda_is_missed_in_words(run) -> None:
    with pytest.raises(UserError, match="no CUDA device"):
        render.Picture(run, device="cuda")


def test_a_diverged_fit_is_said_so(run, picture) -> None:
    broken = copy.copy(picture)
    broken.field = copy.deepcopy(picture.field)
    torch.nn.init.constant_(broken.field.head.bias, float("nan"))
    with pytest.raises(UserError, match="not finite: its fit diverged"):
        render.at(broken, [1, 1])


def test_points_are_printed_as_a_table_and_as_json(script, run, capsys) -> None:
    expected = render.at(run, [[3.5, 2.5], [10.25, 7]], "laplacian")
    capsys.readouterr()
    script.main([f"run={run}", "at=[[3.5,2.5],[10.25,7]]", "part=laplacian"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "value: colours of 0 to 1",
        "gradient: colours of 0 to 1 per pixel",
        "laplacian: colours of 0 to 1 per pixel²",
    ]
    assert lines[3].split() == ["column", "row", "channel", "value", "d/dx", "d/dy", "Laplacian"]
    assert len(lines) == 4 + 2 * 3
    column, row, channel, *numbers = lines[4 + 4].split()  # the second point's green
    assert (column, row, channel) == ("10.25", "7", "green")
    answers = [expected.value[1, 1], *expected.gradient[1, 1], expected.laplacian[1, 1]]
    assert [float(x) for x in numbers] == pytest.approx([float(x) for x in answers], rel=1e-4)

    script.main([f"run={run}", "at=[10.25,7]", "part=gradient", "json=true", "units=byte"])
    found = json.loads(capsys.readouterr().out)
    assert found["units"] == {"value": "colours of 0 to 255", "gradient": "colours of 0 to 255 per pixel"}
    (point,) = found["points"]
    assert point["position"] == [10.25, 7]
    assert point["value"] == pytest.approx((255 * expected.value[1]).tolist(), rel=1e-4)
    assert np.shape(point["gradient"]) == (3, 2)


def test_the_script_ends_with_a_rendering_or_with_one_line_and_status_1(run, tmp_path) -> None:
    out = tmp_path / "a.npy"
    options = ["scale=2", "crop=[1,2,5,4]", "part=laplacian", f"out={out}"]
    good = start(f"run={run}", *options, script=SCRIPT, cwd=tmp_path)
    bad = start(f"run={run}", "scale", f"out={tmp_path / 'b.png'}", script=SCRIPT, cwd=tmp_path)
    said, progress = good.communicate()
    assert good.returncode == 0, progress
    assert said == f"{out}: 8 × 4 pixels, laplacian in colours of 0 to 1 per pixel²\n"
    assert "100%" in progress
    assert np.load(out).shape == (4, 8, 3)
    assert bad.communicate()[1].startswith("error: 'scale' is no option; write key=value; choose from: run, out, part,")
    assert bad.returncode == 1
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["scale=2", "-h"], 0), ([], 1)])
def test_the_script_explains_itself(arguments, status, script, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["render.py", *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out or end.value.code  # which Python prints on stderr, with status 1
    assert said == f"{script.USAGE}\n{script.OPTIONS}"
    assert bool(end.value.code) == bool(status)


def test_the_zoom_figure_is_written(script, run, tmp_path, capsys) -> None:
    for zoom in ("auto", "[3,4,6]"):
        script.main([f"run={run}", f"zoom={zoom}", f"out={tmp_path / 'zoom.png'}"])
        assert "zoom.png: columns " in capsys.readouterr().out
        with Image.open(tmp_path / "zoom.png") as image:
            assert image.mode == "RGB"
            assert image.width > 2000


def test_a_picture_drawn_at_every_third_sample_is_rendered_on_the_grid_it_was_fitted_to(fit, tmp_path, monkeypatch):
    """17 × 16 samples, of which the run's pictures show 6 × 6."""
    folder = fit(*small("signal/large", tmp_path), "signal=large", "logger=none")["folder"]
    with Image.open(folder / "reconstruction.png") as image:
        drawn = np.asarray(image.convert("RGB")).astype(int)
    picture, signal = render.Picture(folder, device="cpu"), Large(tmp_path / "a.tif", scored=200)
    assert (picture.shape, picture.every, drawn.shape) == ((17, 16), 3, (6, 6, 3))
    with torch.no_grad():
        expected = picture.field(signal.grid()).reshape(17, 16, 1).numpy()
    found = array(picture, units="field")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(value_picture(found)[::3, ::3][:6, :6] - drawn).max() <= 1
    slope = picture.field.jet(signal.grid()[-1:], 1).gradient * signal.spacing / 2  # of colours of 0 to 1, per sample
    torch.testing.assert_close(render.at(picture, [15, 16], "gradient").gradient, slope.detach(), rtol=1e-4, atol=1e-6)

    asked = []
    monkeypatch.setattr(render.picture, "zoom_figure", lambda *given: asked.append(given) or value_picture(expected))
    assert "columns 6 to 12, rows 6 to 12 of" in render.zoom(picture, tmp_path / "a.png", [9, 9, 9])
    ((pixels, crop, field, _, every),) = asked
    assert (pixels.shape, crop, every) == ((6, 6, 3), (2, 2, 5, 5), 3)
    assert np.abs(field(5)[2::5, 2::5].astype(int) - drawn[2:5, 2:5]).max() <= 1


def test_what_a_run_says_of_its_grid_must_fit_its_picture(run, picture, tmp_path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    said = json.loads((run / "metrics.json").read_text())
    assert said.pop("grid") == {"shape": [H, W], "every": 1}
    (folder / "metrics.json").write_text(json.dumps(said))  # as runs were written before
    assert render.Picture(folder).shape == picture.shape
    for grid in ({"shape": [H, W], "every": 3}, {"shape": [H, -W], "every": 1}, {"shape": [H]}, [1, 2], None):
        (folder / "metrics.json").write_text(json.dumps(said | {"grid": grid}))
        with pytest.raises(UserError, match=r"^[^\n]+$"):
            render.Picture(folder)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(UserError, match="no whole JSON"):
        render.Picture(folder)
