"""What several test rooms share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("WANDB_MODE", "offline")  # no test may reach out

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
SMALL = [
    "signal.size=16",
    "field.width=16",
    "field.depth=1",
    "trainer.max_steps=2",
    "data.eval_every=2",
    "trainer.accelerator=cpu",
]


@pytest.fixture
def compose() -> Callable[..., object]:
    """The composed configuration for some overrides, as train.py would get it."""
    from hydra import compose, initialize_config_dir

    def composed(*overrides: str) -> object:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("train", list(overrides))

    return composed


@pytest.fixture
def fit(compose: Callable[..., object], tmp_path: Path) -> Callable[..., dict]:
    """Run train() in a folder of its own; the metrics, with the folder under "folder"."""
    from sinefield.run import train

    def run(*overrides: str, folder: str = "run") -> dict:
        return train(compose(*overrides), tmp_path / folder) | {"folder": tmp_path / folder}

    return run


@pytest.fixture
def float64() -> Iterator[None]:
    """Double precision by default and a fixed seed, both undone afterwards: what the laws of the mathematics run in."""
    import torch

    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(before)
