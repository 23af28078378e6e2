"""The benchmarks: what they make of given times, by hand; and every command, on a small size."""

import io
import json
import math

import numpy as np
import pytest
import skimage
import torch
from conftest import ROOT
from PIL import Image
from processes import run

from sinefield.benchmarks import compression, quality, runs, scale, steps
from sinefield.report.markdown import table

SMALL = ["points=64", "width=8", "depth=1", "channels=[1,3]", "repeats=1"]
STEPS = {"case", "channels", "path", "ms_per_step", "gflops", "gemm_fraction", "peak_memory_mb", "times_as_fast"}


def benchmark(tmp_path, *arguments: str) -> list[dict]:
    """The rows that the script writes."""
    out = tmp_path / "new folder" / "rows.json"
    done = run(*arguments, f"out={out}", script=ROOT / "scripts" / "benchmark.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def timed(monkeypatch, **turns: list[float]):
    """Have the benchmarks find that the turns of a step, by its name, take so many seconds."""
    seconds = {name: iter(its) for name, its in turns.items()}
    now = [0.0]
    monkeypatch.setattr(steps, "perf_counter", lambda: now[0])

    def step(name: str):
        def work() -> None:
            now[0] += next(seconds[name])

        return work

    return step


def test_the_first_turn_does_not_count(monkeypatch) -> None:
    step = timed(monkeypatch, a=[9, 2, 4, 3], b=[1, 12, 10, 11])
    found = steps.in_turns({"a": step("a"), "b": step("b")}, torch.device("cpu"), repeats=3)
    assert found == {"a": 3, "b": 11}


def test_a_step_s_figures_are_those_of_the_median_turn(monkeypatch) -> None:
    """Rates are operations over seconds, and the ratio is to nested autograd."""
    seconds = {"default": 3.0, "nested_autograd": 11.0, "siren_pytorch": 5.0, "gemm": 2.0}
    monkeypatch.setattr(steps, "in_turns", lambda work, device, repeats: {name: seconds[name] for name in work})
    monkeypatch.setattr(steps, "gemm", lambda problem: (None, 100.0))
    monkeypatch.setattr(steps, "peak_memory", lambda step, device: 7.0)
    own, nested, *_ = steps.rows(steps.Problem("value", points=600, width=8, depth=1), ["gradient"], [1], repeats=3)
    gflop = steps.Problem("gradient", points=600, width=8, depth=1).gflop
    for row, name, spent in ((own, "default", 3), (nested, "nested_autograd", 11)):
        assert (row["case"], row["channels"], row["path"]) == ("gradient", 1, name)
        assert row["ms_per_step"] == 1000 * spent
        assert row["gflops"] == pytest.approx(gflop / spent)
        assert row["gemm_fraction"] == pytest.approx(gflop / spent / 50)
        assert row["peak_memory_mb"] == 7
        assert row["times_as_fast"] == 11 / spent


def test_a_stack_is_compared_with_as_many_fields_in_turn(monkeypatch) -> None:
    """The step of K equal fields at once has K times the loss of one."""
    problem = steps.Problem("laplacian", points=20, width=8, depth=1)
    losses = [float(steps.default(problem, count)()) for count in (None, 3)]
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-5)
    monkeypatch.setattr(steps, "in_turns", lambda work, device, repeats: {"stack": 3.0, "each": 10.0})
    (row,) = steps.stack_rows(problem, ["laplacian"], [3], repeats=3)
    assert (row["fields"], row["ms_per_step"], row["ms_one_after_the_other"], row["ratio"]) == (3, 3000, 10_000, 0.3)


def test_the_soonest_of_all_budgets_counts_by_the_median_of_its_runs(monkeypatch) -> None:
    """A threshold that one run of a budget misses is not reached by that budget; the paper's ends at its bound."""

    def row(step: int, seconds: float, psnr: float) -> dict:
        return {"step": step, "seconds": seconds, "psnr": psnr, "psnr_off_grid": psnr - 1}

    fits = {
        10: iter([[row(5, 1.0, 20), row(10, 2.0, 31)], [row(5, 3.0, 20), row(10, 4.0, 31)], [row(10, 3.5, 32)]]),
        40: iter([[row(20, 5.0, 31), row(40, 9.0, 41)], [row(40, 8.0, 39)], [row(40, 7.0, 41)]]),
    }
    slow = [row(25, 10.0, 25.0), row(50, 20.0, 30.0), row(75, 30.0, 35.0)]
    monkeypatch.setattr(quality, "paper", lambda signal: iter(slow))
    found = [*quality.rows("cat", None, lambda steps: next(fits[steps]), [10, 40], 25.0, 3, [30.0, 40.0])]
    keys = ("threshold_db", "seconds", "step", "psnr_off_grid", "of_steps", "paper_seconds", "paper_step")
    assert [tuple(its.get(key) for key in keys) for its in found] == [
        (30.0, 3.5, 10, 30, 10, 20.0, 50),
        (40.0, None, None, None, None, None, None),
    ]
    assert [its["times_sooner"] for its in found] == [20 / 3.5, None]
    assert {(its["paper_stopped_after"], its["paper_psnr_end"]) for its in found} == {(30.0, 35.0)}
    assert table(found).count("\n") == 3


def test_overhead_is_what_a_step_takes_beyond_the_bare_loop_s(monkeypatch) -> None:
    watch = {"first_step": {"time": 3.0, "cpu_time": 4.0}, "every": 5, "evaluations": [2.5, 3.0, 3.5]}
    watch |= {"steps": [1.0, 2.0, 1.0], "bare_steps": [9.0, 0.5, 0.5], "bare_evaluations": [1.0]}
    monkeypatch.setattr(runs, "watched", lambda *arguments, bare=False: watch)
    monkeypatch.setattr(runs, "_help", lambda script: {"time": 0.5, "cpu_time": 0.4})
    assert [*runs.overhead_rows(ROOT / "train.py", [], steps=3, repeats=1)] == [
        {"what": "train.py --help", "time": 0.5, "cpu_time": 0.4},
        {"what": "the first step's end", "time": 3.0, "cpu_time": 4.0},
        {"what": "step", "time": 1.0, "bare_loop": 0.5, "overhead": 1.0},
        {"what": "evaluation, checkpoint and history", "time": 2.0, "bare_loop": 1.0, "overhead": 1.0},
        {"what": "5 steps and an evaluation", "time": 7.0, "bare_loop": 3.5, "overhead": 1.0},
    ]


def test_one_knob_grows_at_a_time(monkeypatch, tmp_path) -> None:
    """The others stay at their defaults; the first steps of a run do not count; the picture is as large as asked."""
    asked = []

    def watched(script, *overrides: str) -> dict:
        asked.append(overrides)
        return {"steps": [9.0, 9.0, 1.0, 3.0, 2.0], "peak_memory_mb": 5.0, "anonymous_mb": 4.0, "parameters": 7}

    monkeypatch.setattr(scale, "watched", watched)
    grown = {"picture side": [256], "width": [8, 16], "depth": [], "points": []}
    found = list(scale.rows(ROOT / "train.py", tmp_path, grown, ["value"], ["a=b"], steps=6))
    assert [(row["knob"], row["value"], row["ms_per_step"]) for row in found] == [
        ("in memory", 256, 2000), ("picture side", 256, 2000), ("width", 8, 2000), ("width", 16, 2000)
    ]  # fmt: skip
    small, large, *wide = ({*overrides} for overrides in asked)
    assert small >= {"signal.size=256", "field.width=256", "field.depth=3", "data.batch_size=4096", "loss=value", "a=b"}
    assert large >= {"signal=large", f"signal.path='{tmp_path / '256.tif'}'", "field.width=256"}
    for width, of in zip((8, 16), wide, strict=True):
        assert of >= {"signal=large", f"field.width={width}", "field.depth=3"}
    with Image.open(tmp_path / "256.tif") as picture:
        assert picture.size == (256, 256)


@pytest.mark.slow
def test_steps(tmp_path) -> None:
    """Every case by this project's path, and by nested autograd; all figures positive."""
    rows = benchmark(tmp_path, "steps", *SMALL)
    assert {(row["case"], row["channels"]) for row in rows if row["path"] == "default"} == {
        (case, channels) for case in ("value", "gradient", "laplacian", "sobolev") for channels in (1, 3)
    }
    assert {row["path"] for row in rows} >= {"default", "nested_autograd"}
    for row in rows:
        assert row.keys() >= STEPS
        assert min(row["ms_per_step"], row["gflops"], row["gemm_fraction"]) > 0
        assert row["peak_memory_mb"] >= 0


@pytest.mark.slow
def test_quality(tmp_path) -> None:
    """Both recipes at every threshold; what a network reaches has seconds, steps and a PSNR between the samples."""
    small = ["signal.size=16", "field.width=32", "field.depth=1"]
    arguments = "pictures=skimage:brick budgets=10,40 thresholds=[40,20,10] bound=0.1 repeats=1"
    rows = benchmark(tmp_path, "quality", *arguments.split(), *small)
    assert [row["threshold_db"] for row in rows] == [10, 20, 40]
    for row in rows:
        assert row["paper_stopped_after"] > 0
        if "seconds" in row:
            assert row["seconds"] > 0
            assert row["step"] > 0
            assert math.isfinite(row["psnr_off_grid"])
            assert row["times_sooner"] > 0


def test_fields(tmp_path) -> None:
    """A row per case and count, the ratio that of the two times."""
    small = "points=64 width=8 depth=1 repeats=1 cases=[value,laplacian] counts=[1,3]"
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


@pytest.mark.parametrize("path", ["nested_autograd", "siren_pytorch"])
@pytest.mark.parametrize("case", ["value", "gradient", "laplacian", "sobolev"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_paths_take_the_same_step(path, case, channels) -> None:
    """From the same weights and points: the losses of three steps, each after the one before, differ by rounding."""
    if path == "siren_pytorch":
        pytest.importorskip(path)
    problem = steps.Problem(case, channels=channels, points=50, width=16, depth=2)
    own, other = (getattr(steps, name)(problem) for name in ("default", path))
    losses = [(own().item(), other().item()) for _ in range(3)]
    assert losses[0][0] != losses[2][0]
    for mine, theirs in losses:
        assert mine == pytest.approx(theirs, rel=1e-4)


TINY = ["field.width=8", "field.depth=1", "logger=none", "data.batch_size=16", "trainer.accelerator=cpu"]


@pytest.mark.slow
def test_scale(tmp_path) -> None:
    """A row per knob, value and loss, beside that of a small picture in memory; a plot of them."""
    plot = tmp_path / "plots" / "scale.png"
    empty, network = ["sides=[]", "depths=[]", "points=[]"], ["widths=8"]
    rows = benchmark(tmp_path, "scale", *empty, *network, "losses=value", "steps=6", f"plot={plot}", *TINY[1:])
    assert [(row["knob"], row["value"]) for row in rows] == [("in memory", 256), ("width", 8)]
    assert rows[0]["parameters"] > rows[1]["parameters"]
    for row in rows:
        assert row["ms_per_step"] > 0
        assert row["peak_memory_mb"] >= row["anonymous_mb"] > 10
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_overhead(tmp_path) -> None:
    """Start-up in seconds and in the CPU's; a step, an evaluation and both, against a bare loop."""
    rows = benchmark(tmp_path, "overhead", "steps=14", "repeats=1", "data.eval_every=5", *TINY)
    start, own = rows[:2], rows[2:]
    assert [row["what"] for row in own] == ["step", "evaluation, checkpoint and history", "5 steps and an evaluation"]
    for row in start:
        assert row["time"] > 0.5 * row["cpu_time"] > 0.1
    for row in own:
        assert row["overhead"] == pytest.approx(row["time"] / row["bare_loop"] - 1)


def test_the_large_picture_is_written_in_tiles(tmp_path) -> None:
    """Grey, of the size asked for, with something in every part of it, and readable in place."""
    from sinefield.benchmarks.scale import write_picture
    from sinefield.signals.large import Large

    write_picture(tmp_path / "a.tif", 600)
    signal = Large(tmp_path / "a.tif", holdout=False)
    assert signal.shape == (600, 600)
    assert signal.samples().value.reshape(10, 20, 10, 20).std(dim=(1, 3)).min() > 0.1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["step"],
            "there is no step; choose from: steps, fields, shapes, quality, between, compression, scale, overhead",
        ),
        (
            ["steps", "cases=[value,curl]"],
            "cases must be one of value, gradient, laplacian, sobolev, sdf, digs, not 'curl'",
        ),
        (["steps", "repeets=3"], "there is no repeets; choose from: cases, channels"),
        (["steps", "field.width=3"], "there is no field.width; choose from"),
        (["steps", "--cases"], "'--cases' is no option; write key=value"),
        (["fields", "counts=[1,x]"], "counts takes a whole number each"),
        (["fields", "repeats=0"], "repeats must be a whole number of at least 1"),
        (["fields", "depth=-1"], "depth must be a whole number of at least 0"),
        (["quality", "bound=soon"], "bound must be a number, not soon"),
        (["overhead", "stops=3"], "there is no stops; choose from: steps, repeats, out"),
        (["scale", "steps=2"], "steps must be at least 4"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path) -> None:
    done = run(*arguments, script=ROOT / "scripts" / "benchmark.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_compression_has_the_rivals_of_each_file_s_size(tmp_path) -> None:
    """JPEG by trying all its qualities; COIN's published point at its own rate."""
    truth = np.ascontiguousarray(skimage.data.astronaut()[100:148, 180:244])
    Image.fromarray(truth).save(tmp_path / "kodim99.png")
    (row,) = benchmark(tmp_path, "compression", "pictures=[kodim99.png]", "rates=[2]", "block=16")
    assert row["bits_per_pixel"] == pytest.approx(8 * row["bytes"] / truth[..., 0].size)
    assert row["bits_per_pixel"] == pytest.approx(2, rel=0.2)
    found = {}
    for number in range(1, 101):
        file = io.BytesIO()
        Image.fromarray(truth).save(file, "JPEG", quality=number, optimize=True)
        with Image.open(file) as picture:
            error = np.square(np.asarray(picture).astype(float) - truth).mean()
        if file.tell() <= row["bytes"]:
            found[number] = 10 * math.log10(255**2 / error)
    assert row["JPEG_db"] == pytest.approx(found[max(found)])
    assert compression._published(0.3074) == pytest.approx(26.412)
    assert row["COIN_mean_db"] == pytest.approx(30.644)  # beyond its last point
