"""What must be true of a run folder at any moment, whoever was killed in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from PIL import Image

from sinefield.system.status import read


def _json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text()), dict)


def _yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text()) is not None


def _csv(path: Path) -> None:
    text = path.read_text()
    rows = list(csv.reader(text.splitlines()))
    assert text.endswith("\n")
    assert len({len(row) for row in rows}) == 1
    steps = [int(row[rows[0].index("step")]) for row in rows[1:]]
    assert steps == sorted(steps)


def _png(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _checkpoint(path: Path) -> None:
    assert torch.load(path, weights_only=True)["state_dict"]


WHOLE: dict[str, Callable[[Path], None]] = {
    ".json": _json, ".yaml": _yaml, ".csv": _csv, ".png": _png, ".ckpt": _checkpoint,
    ".txt": lambda path: None,  # error.txt: nobody reads it but a person
}  # fmt: skip
DONE = {"metrics.json", "history.csv", "config.yaml", "contact_sheet.png", "checkpoints/last.ckpt"}


def drafts(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.draft"))


def assert_whole(folder: Path) -> None:
    """Every file is whole, drafts aside; a run that looks finished is, and has no drafts."""
    left = set(drafts(folder))
    for path in folder.rglob("*"):
        if path.is_file() and path not in left and path.name != ".lock":
            assert path.suffix in WHOLE, f"say in WHOLE when {path} is whole"
            WHOLE[path.suffix](path)
    if read(folder)["state"] == "finished":
        assert {name for name in DONE if (folder / name).is_file()} == DONE
        assert not left, "nobody comes again to remove them"
