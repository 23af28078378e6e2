"""What docs/ shows can be done: the notebook's cells, the gallery's commands and pictures."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import ROOT
from processes import run

SMALL = ["signal.size=16", "field.width=16", "trainer.max_steps=2", "trainer.accelerator=cpu"]
DOCS = ROOT / "docs"
GALLERY = (DOCS / "gallery.md").read_text()
COMMANDS = [
    shlex.split(line) for block in re.findall(r"```\n(.*?)```", GALLERY, re.DOTALL) for line in block.splitlines()
]


def test_the_notebook_runs_and_holds_no_outputs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((DOCS / "example.ipynb").read_text())["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    assert names["field"].metrics["psnr"] > 15  # dB, after its 100 steps
    assert (tmp_path / "camera_x4.png").is_file()
    assert "there is no loss/laplace; choose from" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_of_the_gallery(tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    scripts = [command[1] for command in COMMANDS]
    assert scripts.count("train.py") == 7
    for python, script, *arguments in COMMANDS:
        assert python == "python"
        small = SMALL if script == "train.py" else []
        here = [argument.replace("[120,60,32]", "[8,8,6]") for argument in arguments]  # inside the small picture
        done = run(*here, *small, cwd=tmp_path, script=ROOT / script)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "docs" / "zoom.png").is_file()
    assert (tmp_path / "outputs" / "fit" / "dashboard.html").is_file()


def test_the_pictures_of_the_gallery_are_there_and_small() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", GALLERY)
    assert len(pictures) == GALLERY.count("\n## ")
    for picture in pictures:
        assert 0 < (DOCS / picture).stat().st_size < 500_000
