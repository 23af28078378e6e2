"""Run folders made up in milliseconds, whole and in ruins, for the tests of the dashboard."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.io import wavfile

from sinefield.report.media import FIRST

HOSTILE = "<img src=x onerror=window.hit=1></script><script>window.hit=1</script>"


PICTURE = {
    "monitor": {"name": "psnr_off_grid", "direction": "max", "unit": "dB"},
    "shown": [
        {"key": "psnr", "name": "PSNR on samples", "unit": "dB", "digits": 2, "direction": "max"},
        {"key": "psnr_off_grid", "name": "PSNR between", "unit": "dB", "digits": 2, "direction": "max"},
        {"key": "psnr_off_grid_spline", "name": "  of the spline", "unit": "dB", "digits": 2, "direction": ""},
        {"key": "ssim", "name": "SSIM", "unit": "", "digits": 4, "direction": "max"},
    ],
}
SOUND = {
    "monitor": {"name": "mse", "direction": "min", "unit": ""},
    "shown": [
        {"key": "mse", "name": "mean square error", "unit": "", "digits": -1, "direction": "min"},
        {"key": "snr", "name": "SNR", "unit": "dB", "digits": 1, "direction": "max"},
    ],
}


def run(
    folder: Path,
    overrides: dict[str, object],
    seed: int = 0,
    side: int = 24,
    rows: int = 8,
    pictures: bool = True,
    old: bool = False,
) -> Path:
    """A finished run of a picture whose PSNR is known: 20 + 5 for loss=value + 10 lg(steps) + seed / 10.

    An old one is of a version that did not say what its scores are.
    """
    _chosen(folder, overrides, seed)
    random = np.random.default_rng([seed, len(folder.name)])
    end = 20 + 5 * (overrides.get("loss") == "value") + seed / 10
    lines = ["step,seconds,loss,loss/value,psnr,psnr_off_grid,ssim"]
    for i in range(1, rows + 1):
        psnr = end + 10 * np.log10(i)
        loss, ssim = 0.1 / i, i / (rows + 1)
        lines.append(f"{10 * i},{0.1 * i:.2f},{loss:.4f},{loss:.4f},{psnr:.3f},{psnr - 2:.3f},{ssim:.4f}")
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    if pictures:
        for kind in FIRST:
            pixels = np.full((side, side, 3), 90, np.uint8)
            if "signal" not in kind:  # a signal's are the same in all runs
                pixels = random.integers(0, 255, pixels.shape, dtype=np.uint8)
            meaning = PngInfo()
            meaning.add_text("Description", "a scale" if overrides.get("loss") != HOSTILE else HOSTILE)
            Image.fromarray(pixels).save(folder / f"{kind}.png", pnginfo=meaning)
        Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(folder / "contact_sheet.png")
    scores = {"psnr": psnr, "psnr_off_grid": psnr - 2, "psnr_off_grid_spline": 21.0, "ssim": 0.9}
    return _finished(folder, scores | ({} if old else PICTURE), rows, seed)


def sound(folder: Path, overrides: dict[str, object], mse: float, seed: int = 0, rows: int = 4) -> Path:
    """A finished run of a sound of 0.1 s, judged by its mean square error: less is better."""
    _chosen(folder, overrides, seed)
    lines = ["step,seconds,loss,mse,snr"]
    for i in range(1, rows + 1):
        error = mse * rows / i
        lines.append(f"{10 * i},{0.1 * i:.2f},{error},{error},{-10 * np.log10(error):.3f}")
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    time = np.arange(800) / 8000
    for name, noise in (("ground_truth", 0.0), ("reconstruction", mse)):
        wave = np.sin(2 * np.pi * 440 * time) / 2 + np.sqrt(noise) * np.random.default_rng(seed).normal(size=800)
        wavfile.write(folder / f"{name}.wav", 8000, (32767 * wave.clip(-1, 1)).astype(np.int16))
    Image.fromarray(np.full((20, 60, 3), 200, np.uint8)).save(folder / "waveform.png")
    scores = {"mse": mse, "snr": -10 * np.log10(mse), "snr_spline": 10.0}
    return _finished(folder, scores | SOUND, rows, seed)


def _chosen(folder: Path, overrides: dict[str, object], seed: int) -> None:
    (folder / ".hydra").mkdir(parents=True)
    typed = [f"{key}={value}" for key, value in overrides.items()]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(typed))
    config = {"seed": seed, "field": {"width": 64, "depth": 3}, "optimizer": {"lr": 0.001, "betas": [0.9, 0.999]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def _finished(folder: Path, scores: dict[str, object], rows: int, seed: int) -> Path:
    metrics = scores | {
        "loss": 0.1 / rows,
        "steps": 10 * rows,
        "fit_seconds": 0.1 * rows,
        "steps_per_second": 100.0,
        "parameters": 4321,
        "seed": seed,
    }
    metrics |= {"device": "cpu (a test)", "versions": {"python": "3.x"}, "git_commit": "0" * 40, "wall_seconds": 2.0}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def sweep(folder: Path, **options: int) -> Path:
    """Losses × activations × seeds: 8 runs in folders 0 to 7."""
    for number, (loss, activation, seed) in enumerate(product(("value", "gradient"), ("sine", "relu"), (0, 1))):
        run(folder / str(number), {"loss": loss, "activation": activation, "seed": seed}, seed, **options)
    return folder


def status(folder: Path, state: str, error: str | None = None) -> Path:
    """A run that is not finished, as status.json tells it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)
    told = {"state": state, "error": error, "host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00"}
    (folder / "status.json").write_text(json.dumps(told))
    return folder
