"""The page's data: every run folder in it, whatever state it is in, and never more than its budget."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import pytest
from conftest import ROOT
from made import HOSTILE, run, sound, status, sweep
from PIL import Image

from sinefield.errors import UserError
from sinefield.report import dashboard, knobs
from sinefield.report.media import FIRST, SMALL
from sinefield.report.runs import RunFolder, find
from sinefield.system.status import Status


def block(page: Path, name: str) -> dict:
    """A JSON block of the page, found as a browser finds it: up to the first end of a script element."""
    text = page.read_text("utf-8")
    found = re.search(rf'<script type="application/json" id="data-{name}">(.*?)</script', text, re.S)
    return json.loads(found[1])


def runs_of(folder: Path, **options: int) -> dict[str, dict]:
    return {run["name"]: run for run in block(dashboard.build(folder, **options), "runs")["runs"]}


def test_all_runs_of_a_sweep_are_there_with_what_differs(tmp_path) -> None:
    page = dashboard.build(sweep(tmp_path / "sweep"))
    assert page == tmp_path / "sweep" / "dashboard.html"
    data = block(page, "runs")
    assert data["knobs"] == ["loss", "activation", "seed"]
    assert [r["name"] for r in data["runs"]] == [str(i) for i in range(8)]
    last = data["runs"][7]
    assert last["knobs"] == {"loss": "gradient", "activation": "relu", "seed": 1}
    assert last["status"] == "finished"
    assert last["link"] == "7"
    assert last["command"] == "python train.py loss=gradient activation=relu seed=1"
    assert last["config"]["field.width"] == 64
    assert last["environment"]["versions.python"] == "3.x"
    assert last["history"]["step"] == [10 * i for i in range(1, 9)]


def test_a_run_that_did_not_say_has_its_default(tmp_path) -> None:
    """A knob of a value is looked up in the configuration, one of a group in Hydra's choices."""
    default = run(tmp_path / "a", {})
    (default / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {choices: {loss: value}}}")
    run(tmp_path / "b", {"loss": "gradient", "optimizer.lr": "1e-4", "field.width": 64})
    names, values = knobs.swept(list(find([tmp_path])))
    assert names == ["loss", "optimizer.lr"]
    assert values[0] == {"loss": "value", "optimizer.lr": 0.001}


def test_states(tmp_path) -> None:
    run(tmp_path / "finished", {})
    for state in ("running", "interrupted", "failed"):
        status(run(tmp_path / state, {}), state, "error: too high" if state == "failed" else None)
    status(tmp_path / "gone", "running")
    gone = {
        "state": "running",
        "error": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": "",
    }  # another's by now
    (tmp_path / "gone" / "status.json").write_text(json.dumps(gone))
    (run(tmp_path / "old", {}) / "metrics.json").unlink()
    (tmp_path / "composed" / ".hydra").mkdir(parents=True)
    (tmp_path / "composed" / ".hydra" / "config.yaml").write_text("seed: 0")
    (tmp_path / "alive").mkdir()
    with Status(tmp_path / "alive"):
        found = runs_of(tmp_path)
    assert {name: r["status"] for name, r in found.items()} == {
        "alive": "running",
        "finished": "finished",
        "running": "running",
        "interrupted": "interrupted",
        "failed": "failed",
        "gone": "interrupted",
        "old": "unfinished",
        "composed": "unfinished",
    }
    assert found["failed"]["problems"] == ["error: too high"]
    assert found["old"]["metrics"]["steps"] == 80
    assert found["old"]["metrics"]["psnr"] == pytest.approx(29.031)


@pytest.mark.parametrize("name", ["wandb", "csv", "checkpoints", "fields", ".hidden", "...", "-", "run-1"])
def test_a_run_may_have_any_name(tmp_path, name) -> None:
    """Also the name of what lies in a run folder, beside other runs and within the folder of one."""
    for place in (tmp_path / "sweep", run(tmp_path / "outer", {})):
        run(place / name, {}, pictures=False)
        run(place / name / "deeper" / name, {}, pictures=False)
    found = {r.folder.relative_to(tmp_path).as_posix() for r in find([tmp_path])}
    inside = {f"{place}/{end}" for place in ("sweep", "outer") for end in (name, f"{name}/deeper/{name}")}
    assert found == {"outer"} | inside


@pytest.mark.parametrize("kind", ["run", "offline-run"])
def test_what_is_no_run_s_is_not_shown(tmp_path, kind) -> None:
    """The configuration that W&B keeps, Hydra's, and whatever a virtual environment has."""
    folder = run(tmp_path / "wandb", {})
    files = folder / "wandb" / f"{kind}-20260101_000000-abc" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text("a: 1")
    (files.parent / "run-abc.wandb").touch()
    (files.parents[1] / "latest-run").symlink_to(files.parent.name)
    (folder / ".hydra" / "config.yaml").write_text("a: 1")
    for package in (tmp_path / ".venv" / "lib" / "package", tmp_path / "env" / "lib" / "package"):
        package.mkdir(parents=True)
        (package / "config.yaml").write_text("a: 1")
        (package.parents[1] / "pyvenv.cfg").touch()
    assert [r.folder for r in find([tmp_path])] == [folder]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{" + ", ".join(f"k{j}: *{chr(97 + i)}" for j in range(9)) + "}\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metrics.json", '{"psnr": 3', "metrics.json is no whole JSON"),
        ("metrics.json", "[1, 2]", "list where names and values"),
        ("metrics.json", "[" * 100_000, "recursion"),
        ("metrics.json", b"\xff\xfe{", "metrics.json is no UTF-8"),
        ("history.csv", "step,loss\n1,2\n3", "history.csv, line 3: 1 of 2 values"),
        ("history.csv", "step,loss\n1,x\n", "history.csv: could not convert"),
        ("history.csv", "", "no evaluation"),
        ("config.yaml", "a: [1, 2", "config.yaml is no whole YAML"),
        ("config.yaml", "a: 2001-99-99", "config.yaml is no whole YAML"),
        ("config.yaml", BOMB, "config.yaml is larger than"),
        ("config.yaml", "a: &a {b: *a}", "config.yaml is larger than"),
        ("config.yaml", "!!python/object/apply:os.system ['true']", "config.yaml is no whole YAML"),
        (".hydra/overrides.yaml", "a: 1", "overrides.yaml holds no list"),
        ("metrics.json", '{"shown": [1]}', "does not describe its scores"),
        ("metrics.json", '{"shown": {"psnr": 1}}', "does not describe its scores"),
        ("metrics.json", '{"shown": [{"name": "SNR"}]}', "does not describe its scores"),
        ("metrics.json", '{"shown": [{"key": [1]}]}', "does not describe its scores"),
        ("metrics.json", '{"shown": [{"key": "a", "digits": 1e9}]}', "does not describe its scores"),
        ("metrics.json", '{"shown": [{"key": "a", "direction": "up"}]}', "does not describe its scores"),
        ("metrics.json", '{"shown": 3}', "does not describe its scores"),
        ("metrics.json", '{"monitor": "snr"}', "does not describe its scores"),
        ("metrics.json", '{"monitor": {"direction": "max"}}', "does not describe its scores"),
        ("status.json", '{"state": "<b>"}', "unknown state '<b>'"),
        ("error.png", b"\x89PNG\r\n\x1a\n", "error.png is no whole PNG"),
        ("error.png", b"GIF89a", "error.png is no whole PNG"),
    ],
)
def test_a_damaged_run_says_why_and_stops_nothing(tmp_path, name, content, reason) -> None:
    run(tmp_path / "whole", {"seed": 0})
    broken = run(tmp_path / "broken", {"seed": 1}, seed=1)
    if name == "status.json":
        (broken / "metrics.json").unlink()
    (broken / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = runs_of(tmp_path)
    assert found["whole"]["status"] == "finished"
    assert found["broken"]["status"] == "damaged"
    assert reason in " ".join(found["broken"]["problems"])


def test_a_picture_cut_in_the_middle_is_seen_embedded_or_linked(tmp_path) -> None:
    path = run(tmp_path / "0", {}, side=64) / "reconstruction.png"
    path.write_bytes(path.read_bytes()[:-300])
    for budget in (0, 10**6):
        assert runs_of(tmp_path, budget=budget)["0"]["problems"] == ["reconstruction.png is no whole PNG"]


def test_links_neither_repeat_a_run_nor_go_round(tmp_path) -> None:
    run(tmp_path / "runs" / "0", {})
    (tmp_path / "runs" / "latest").symlink_to("0")
    (tmp_path / "runs" / "up").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "itself").symlink_to("itself")
    found = {r.folder.name: r for r in find([tmp_path / "runs"])}
    assert set(found) == {"0", "up", "itself"}
    assert found["up"].problems == ["a symbolic link to a folder that holds it"]
    assert found["itself"].status == "damaged"
    dashboard.build(tmp_path / "runs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_damaged(tmp_path) -> None:
    run(tmp_path / "0", {})
    (tmp_path / "0").chmod(0)
    try:
        assert [r.status for r in find([tmp_path])] == ["damaged"]
    finally:
        (tmp_path / "0").chmod(0o755)


def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(run(tmp_path / "0", {}) / "status.json")
    os.remove(tmp_path / "0" / "error.png")
    os.mkfifo(tmp_path / "0" / "error.png")
    problems = runs_of(tmp_path)["0"]["problems"]
    assert problems == ["status.json is no ordinary file", "error.png is no ordinary file"]


def test_what_a_run_is_called_cannot_leave_its_json(tmp_path) -> None:
    folder = run(tmp_path / "sweep" / HOSTILE.replace("/", "∕"), {"loss": HOSTILE, "x": "]]>--><!--"})
    run(folder.parent / os.fsdecode(b"not\xffutf8"), {"loss": "value"})
    page = dashboard.build(folder.parent)
    assert {r["knobs"]["loss"] for r in block(page, "runs")["runs"]} == {HOSTILE, "value"}
    text = page.read_text("utf-8")
    assert "onerror" in text
    assert "<img" not in text
    assert text.count("<script") == 3
    links = [r["link"] for r in block(page, "runs")["runs"]]
    assert all(re.fullmatch(r"[\w%.~-]+", link) for link in links), links


def test_pictures_are_embedded_once_and_linked_beyond_the_budget(tmp_path) -> None:
    """Ground truths that are equal, byte for byte, are one thumbnail."""
    page = dashboard.build(sweep(tmp_path / "a"))
    data, embedded = block(page, "runs"), block(page, "pictures")
    assert all(uri.startswith("data:image/webp;base64,") for uri in embedded.values())
    signals = {r["media"]["gradient_signal.png"][0] for r in data["runs"]}
    assert len(signals) == 1
    assert signals <= set(embedded)
    linked = dashboard.build(tmp_path / "a", budget=0)
    assert block(linked, "pictures") == {}
    assert block(linked, "runs")["runs"][0]["media"]["error.png"] == [None, 24, 24, "a scale"]


def test_whatever_a_folder_holds_is_shown_by_its_name(tmp_path) -> None:
    """Pictures before sounds before films, the usual ones first; the contact sheet and huge renderings are none."""
    run(tmp_path / "0", {"seed": 0})
    heard = sound(tmp_path / "1", {"seed": 1}, mse=1e-3)
    for name in ("flight.mp4", "turn_table.webm", "b.ogg", "a.flac", "c.MP3"):
        (heard / name).write_bytes(name.encode())
    (heard / "folder.wav").mkdir()
    (heard / "gone.png").symlink_to("nowhere")
    Image.new("L", (8192, 8192)).save(heard / "render.png")
    Image.new("L", (8192, 8192)).save(heard / "error.png")
    data = block(dashboard.build(tmp_path), "runs")
    assert [medium["file"] for medium in data["media"]] == [
        *(f"{name}.png" for name in (*FIRST, "waveform")),
        "ground_truth.wav", "reconstruction.wav", "a.flac", "b.ogg", "c.MP3",
        "flight.mp4", "turn_table.webm",
    ]  # fmt: skip
    elements = {medium["title"]: medium["element"] for medium in data["media"]}
    assert (elements["waveform"], elements["a"], elements["turn table"]) == ("img", "audio", "video")
    assert data["runs"][1]["media"]["error.png"] == [None, 8192, 8192, ""]  # one of the usual, linked
    assert [r["status"] for r in data["runs"]] == ["finished"] * 2


def test_a_sound_is_embedded_whole_while_it_is_small_and_there_is_room(tmp_path) -> None:
    for number in range(2):
        sound(tmp_path / str(number), {"seed": number}, mse=1e-3, seed=number)
    (tmp_path / "0" / "long.wav").write_bytes(bytes(SMALL))
    whole = (tmp_path / "0" / "ground_truth.wav").read_bytes()
    page = dashboard.build(tmp_path)
    first, second = (r["media"] for r in block(page, "runs")["runs"])
    embedded = block(page, "pictures")
    key, *nothing = first["ground_truth.wav"]
    assert base64.b64decode(embedded[key].removeprefix("data:audio/wav;base64,")) == whole
    assert nothing == [0, 0, ""]
    assert second["ground_truth.wav"] == first["ground_truth.wav"]  # the same bytes: kept once
    assert first["long.wav"] == [None, 0, 0, ""]
    assert len(embedded) == 4  # one truth, two reconstructions, one waveform
    tight = dashboard.build(tmp_path, budget=len(whole) + 500)
    first, second = (r["media"] for r in block(tight, "runs")["runs"])
    assert first["ground_truth.wav"][0] == key
    assert second["reconstruction.wav"][0] is None


def test_a_file_may_have_any_name(tmp_path) -> None:
    """A link is its bytes in percents, so that a browser finds what no text can name."""
    names = ["100 %?#&.png", HOSTILE.replace("/", "∕") + ".wav", os.fsdecode(b"not\xffutf8.png"), "__proto__.png"]
    folder = run(tmp_path / "0", {}, pictures=False)
    for name in names:
        shutil.copy(run(tmp_path / "other", {}) / "error.png", folder / name)
        shutil.rmtree(tmp_path / "other")
    page = dashboard.build(tmp_path)
    media = block(page, "runs")["media"]
    assert {medium["file"] for medium in media} == set(names)
    assert {os.fsdecode(unquote_to_bytes(medium["link"])) for medium in media} == set(names)
    assert all(re.fullmatch(r"[\w%.~-]+", medium["link"]) for medium in media)
    assert page.read_text("utf-8").count("<script") == 3


def test_several_folders_and_a_page_elsewhere(tmp_path) -> None:
    run(tmp_path / "a" / "0", {"seed": 0})
    run(tmp_path / "b" / "0", {"seed": 1})
    page = dashboard.build([tmp_path / "a", tmp_path / "b"], tmp_path / "out" / "page.html")
    links = [r["link"] for r in block(page, "runs")["runs"]]
    assert links == ["../a/0", "../b/0"]
    assert all((page.parent / link / "metrics.json").is_file() for link in links)


def test_mistakes_are_named(tmp_path) -> None:
    with pytest.raises(UserError, match="no run folder in it"):
        dashboard.build(tmp_path)
    with pytest.raises(UserError, match="nosuch is no folder"):
        dashboard.build(tmp_path / "nosuch")


def test_the_script_says_where_the_page_is(tmp_path) -> None:
    run(tmp_path / "0", {})
    command = [sys.executable, ROOT / "scripts" / "dashboard.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "dashboard.html")
    command.append(f"out={tmp_path}/0/metrics.json/x.html")
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1


def test_a_curve_keeps_its_ends_when_it_is_thinned() -> None:
    thin = dashboard._thinned({"step": [float(i) for i in range(1000)]}, 20)["step"]
    assert len(thin) == 20
    assert (thin[0], thin[-1]) == (0, 999)


def test_two_thousand_runs_are_a_minute_at_most(tmp_path) -> None:
    """The cost of a run is linear, so two hundred in a tenth of the time say it without writing 16,000 pictures."""
    for i in range(200):
        run(tmp_path / str(i), {"seed": i, "optimizer.lr": 10 ** (-i / 50)}, seed=i)
    started = time.perf_counter()
    dashboard.build(tmp_path, budget=0)
    assert time.perf_counter() - started < 6


def test_a_job_of_an_experiment_that_sweeps_is_repeated_alone() -> None:
    made = RunFolder(Path("x"), overrides=["experiment=does_supervision_help", "signal.path='a b.png'"])
    assert knobs.command(made) == (
        "python train.py experiment=does_supervision_help 'signal.path='\"'\"'a b.png'\"'\"'' hydra.mode=RUN"
    )


def test_trials_of_a_search_differ_by_what_it_proposed(sweeper) -> None:
    search = sweeper("sweep=search")
    proposed = [SimpleNamespace(params={"optimizer.lr": lr}, _trial_id=lr) for lr in (0.1, 0.2)]
    trials = [search._trial("sqlite://", trial) for trial in proposed]
    overrides = [[text for text in trial.overrides if not text.startswith("hydra.")] for trial in trials]
    runs = [RunFolder(Path("x"), overrides=typed) for typed in overrides]
    assert any("callback" in text for text in overrides[0])
    assert knobs.swept(runs) == (["optimizer.lr"], [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}])
    assert knobs.command(runs[0]) == "python train.py sweep=search optimizer.lr=0.1 hydra.mode=RUN"
