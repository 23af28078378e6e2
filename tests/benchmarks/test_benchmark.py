"""The benchmarks run on a small size, and their JSON has the fields; what they measure is not asserted."""

import json
import math

import pytest
from conftest import ROOT
from PIL import Image
from processes import run

SMALL = ["--points", "64", "--width", "8", "--depth", "1", "--channels", "1", "3", "--repeats", "1"]
STEPS = {
    "case",
    "precision",
    "channels",
    "path",
    "ms_per_step",
    "gflops",
    "gemm_fraction",
    "peak_memory_mb",
}
QUALITY = {"picture", "recipe", "threshold_db", "seconds", "steps", "psnr_off_grid"}


def benchmark(tmp_path, *arguments: str) -> list[dict]:
    """The rows that the script writes."""
    out = tmp_path / "new folder" / "rows.json"
    done = run(*arguments, "--out", str(out), script=ROOT / "scripts" / "benchmark.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_steps(tmp_path) -> None:
    """Every case in both precisions by this project's path, and by nested autograd; all figures positive."""
    rows = benchmark(tmp_path, "steps", *SMALL)
    assert {(row["case"], row["precision"], row["channels"]) for row in rows if row["path"] == "default"} == {
        (case, precision, channels)
        for case in ("value", "gradient", "laplacian", "sobolev")
        for precision in ("fp32", "bf16")
        for channels in (1, 3)
    }
    assert {row["path"] for row in rows} >= {"default", "nested_autograd"}
    for row in rows:
        assert row.keys() >= STEPS
        assert min(row["ms_per_step"], row["gflops"], row["gemm_fraction"]) > 0
        assert row["peak_memory_mb"] >= 0


def test_quality(tmp_path) -> None:
    """Both recipes at every threshold; what a network reaches has seconds, steps and a PSNR between the samples."""
    small = ["signal.size=16", "field.width=32", "field.depth=1"]
    arguments = "--pictures skimage:brick --budgets 10 40 --thresholds 40 20 10 --bound 0.1 --repeats 1"
    rows = benchmark(tmp_path, "quality", *arguments.split(), *small)
    assert [(row["recipe"], row["threshold_db"]) for row in rows] == [
        (recipe, threshold) for threshold in (10, 20, 40) for recipe in ("default", "paper")
    ]
    for row in rows:
        assert row.keys() >= QUALITY
        if row["seconds"] is not None:
            assert row["seconds"] > 0
            assert row["steps"] > 0
            assert math.isfinite(row["psnr_off_grid"])


def test_fields(tmp_path) -> None:
    """A row per case and count, the ratio that of the two times."""
    small = "--points 64 --width 8 --depth 1 --repeats 1 --cases value laplacian --counts 1 3"
    rows = benchmark(tmp_path, "fields", *small.split())
    assert [(row["case"], row["fields"]) for row in rows] == [
        ("value", 1),
        ("value", 3),
        ("laplacian", 1),
        ("laplacian", 3),
    ]
    for row in rows:
        assert min(row["ms_per_step"], row["ms_one_after_the_other"]) > 0
        assert row["ratio"] == pytest.approx(row["ms_per_step"] / row["ms_one_after_the_other"])


@pytest.mark.parametrize("path", ["nested_autograd", "siren_pytorch", "jet_for_pytorch"])
@pytest.mark.parametrize("case", ["value", "gradient", "laplacian", "sobolev"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_paths_take_the_same_step(path, case, channels) -> None:
    """From the same weights and points: the losses of three steps, each after the one before, differ by rounding."""
    from sinefield.benchmarks import paths

    problem = paths.Problem(case, channels=channels, points=50, width=16, depth=2)
    if not paths.available(path, problem):
        pytest.skip(f"{path} cannot do {case} here")
    own, other = (paths.PATHS[name](problem) for name in ("default", path))
    losses = [(own().item(), other().item()) for _ in range(3)]
    assert losses[0][0] != losses[2][0]
    for mine, theirs in losses:
        assert mine == pytest.approx(theirs, rel=1e-4)


TINY = ["field.width=8", "field.depth=1", "logger=none", "data.batch_size=16", "trainer.accelerator=cpu"]


def test_scale(tmp_path) -> None:
    """A row per knob, value and loss, beside that of a small picture in memory; a plot of them."""
    plot = tmp_path / "plots" / "scale.png"
    empty, network = ["--sides", "--depths", "--points"], ["--widths", "8"]
    rows = benchmark(
        tmp_path, "scale", *empty, *network, "--losses", "value", "--steps", "6", "--plot", str(plot), *TINY[1:]
    )
    assert [(row["knob"], row["value"]) for row in rows] == [("in memory", 256), ("width", 8)]
    assert rows[0]["parameters"] > rows[1]["parameters"]
    for row in rows:
        assert row["ms_per_step"] > 0
        assert row["peak_memory_mb"] >= row["anonymous_mb"] > 10
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


def test_overhead(tmp_path) -> None:
    """Start-up in seconds and in the CPU's; a step, an evaluation and both, against a bare loop."""
    rows = benchmark(tmp_path, "overhead", "--steps", "14", "--repeats", "1", "data.eval_every=5", *TINY)
    start, own = rows[:2], rows[2:]
    assert [row["what"] for row in own] == ["step", "evaluation, checkpoint and history", "5 steps and an evaluation"]
    for row in start:
        assert row["seconds"] > 0.5 * row["cpu_seconds"] > 0.1
    for row in own:
        assert row["overhead"] == pytest.approx(row["seconds"] / row["bare_seconds"] - 1)


def test_the_large_picture_is_written_in_tiles(tmp_path) -> None:
    """Grey, of the size asked for, with something in every part of it, and readable in place."""
    from sinefield.benchmarks.scale import write_picture
    from sinefield.signals.large import Large

    write_picture(tmp_path / "a.tif", 600)
    signal = Large(tmp_path / "a.tif", holdout=False)
    assert signal.shape == (600, 600)
    assert signal.samples().value.reshape(10, 20, 10, 20).std(dim=(1, 3)).min() > 0.1
