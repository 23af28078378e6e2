"""A run repeated is the same run; what is not the same is found, and measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import SMALL
from hydra.errors import CompactHydraException
from processes import assert_same, known, run

from sinefield.runs import resume_or_repeat
from sinefield.runs.resume_or_repeat import compare, summary


def test_a_repetition_from_the_command_line_is_identical_and_the_original_untouched(fit, tmp_path) -> None:
    folder = fit(*SMALL)["folder"]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run(f"repeat={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (new,) = (tmp_path / "outputs" / "fit").iterdir()
    assert_same(known(folder), known(new))
    assert done.stdout.endswith(f"repeats            {folder}\nidentical: every weight, score and row of the history\n")
    report = json.loads((new / "repeat.json").read_text())
    assert report == {
        "of": str(folder), "identical": True, "metrics": {}, "history": [], "weights": {}, "place": {}
    }  # fmt: skip
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_differs_is_named_and_measured(fit, tmp_path) -> None:
    folder, other = fit(*SMALL)["folder"], tmp_path / "other"
    shutil.copytree(folder, other)
    metrics = json.loads((other / "metrics.json").read_text())
    metrics |= {"psnr": metrics["psnr"] + 1, "wall_seconds": 0, "git_commit": "another"}
    (other / "metrics.json").write_text(json.dumps(metrics))
    last = torch.load(other / "checkpoints" / "last.ckpt", weights_only=True)
    weight = next(name for name, tensor in last["state_dict"].items() if tensor.ndim == 2)
    last["state_dict"][weight][0, 0] += 0.5
    torch.save(last, other / "checkpoints" / "last.ckpt")
    rows = (other / "history.csv").read_text().splitlines()
    (other / "history.csv").write_text("\n".join([*rows, "4" + rows[-1][1:]]) + "\n")
    found = compare(folder, other)
    assert found["weights"] == {f"last/{weight}": pytest.approx(0.5, abs=1e-6)}
    assert found["metrics"] == {"psnr": [metrics["psnr"] - 1, metrics["psnr"]]}
    assert found["history"] == [4]
    assert found["place"].keys() == {"git_commit"}
    assert not found["identical"]
    words = summary(found)
    assert words.startswith(f"differs: psnr {metrics['psnr'] - 1} -> {metrics['psnr']}; ")
    assert words.endswith("; evaluations from step 4 on; weights by up to 0.5; made with another git_commit")


def interrupted(*arguments, **options):
    raise KeyboardInterrupt


def test_a_repetition_that_is_interrupted_is_resumed_and_then_compared(fit, tmp_path, monkeypatch, capsys) -> None:
    folder, new = fit(*SMALL)["folder"], tmp_path / "new"
    with monkeypatch.context() as patch:
        patch.setattr(resume_or_repeat, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            resume_or_repeat.repeat(folder, new)
    assert json.loads((new / "repeat.json").read_text()) == {"of": str(folder)}
    resume_or_repeat.resume(new)
    assert json.loads((new / "repeat.json").read_text())["identical"]
    assert "identical" in capsys.readouterr().out


def test_mistakes_are_one_line(fit, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = fit(*SMALL)["folder"]
    with pytest.raises(CompactHydraException, match="is there already; choose another"):
        resume_or_repeat.repeat(folder, folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(CompactHydraException, match=r"is not finished, so .*; resume=.* goes on with it"):
        resume_or_repeat.repeat(folder, tmp_path / "new")
    for action in (resume_or_repeat.resume, lambda nosuch: resume_or_repeat.repeat(nosuch, None)):
        with pytest.raises(CompactHydraException, match=r"nosuch holds no run \(no config.yaml in it\)"):
            action(Path("nosuch"))
    done = run("repeat=a", "seed=1", cwd=tmp_path)
    assert done.returncode == 1
    assert "leave out all but" in done.stderr
    assert done.stderr.count("\n") == 1
