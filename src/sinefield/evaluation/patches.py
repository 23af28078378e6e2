"""Held-out pictures of `signal=patches`: what a prior has between their samples, beside the spline through these."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sinefield.core.jet import Jet, joined
from sinefield.errors import integer, require
from sinefield.evaluation.base import Evaluation, Score, Scores
from sinefield.report.colours import error_picture, laplacian_picture, value_picture
from sinefield.signals.patches import Patches
from sinefield.system.files import write_atomically

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

_PARTS = ("value", "gradient", "laplacian")
_ROWS = 4  # pictures on the sheet, at most


class HeldOut(Evaluation):
    """Compares at the pixels between the samples, over tiles of every held-out picture; all scores are means of these.

    Args:
        signal: of patches.
        loss: what the field is fitted by.
        tiles: of each picture, evenly spread; None for all.

    Raises:
        UserError: the signal is none of patches, or holds no pictures out.
    """

    shown = (
        Score("psnr_off_grid", "PSNR between", "dB"),
        Score("psnr_off_grid_spline", "  of the spline", "dB", direction=""),
        Score("gain", "gain over the spline", "dB"),
        Score("gain_worst", "  of the picture with the least", "dB"),
        Score("gain_gradient", "  in the gradient", "dB"),
        Score("gain_laplacian", "  in the Laplacian", "dB"),
    )

    def __init__(self, signal: Signal, loss: Loss, tiles: int | None = 24) -> None:
        super().__init__(signal, loss)
        require(isinstance(signal, Patches), "evaluation=patches is for signal=patches")
        assert isinstance(signal, Patches)
        self.patches = signal
        require(bool(signal.held_out), "signal.held_out is empty: give the pictures that evaluation=patches scores")
        most = None if tiles is None else integer("evaluation.tiles", tiles, least=1)
        self.shown_tiles: list[tuple[int, int]] = []
        for number in signal.held_out:
            views = signal.tiles(number)
            which = np.linspace(0, len(views) - 1, min(len(views), most or len(views))).round().astype(int)
            self.shown_tiles += [(number, views[k]) for k in which]

    def points(self) -> Sequence[Tensor]:
        """All pixels of one tile after the other, (N, 4) each."""
        n, like = self.patches.side, self.patches.extent
        index = torch.arange(n, device=like.device)
        pixels = torch.stack(torch.meshgrid(index, index, indexing="xy"), dim=-1).flatten(0, 1)
        x = self.patches.coordinates(pixels.to(like) / self.patches.factor)[:, :2]
        return [torch.cat([x, x.new_tensor([about]).expand(len(x), 2)], dim=1) for about in self.shown_tiles]

    def scores(self, values: Tensor) -> Scores:
        """psnr_off_grid and the gains in value, as means over the pictures."""
        truth, spline = (self._known(order=0, of=of) for of in (self.patches.jet, self.patches.seen_spline))
        own, rival = self._errors(Jet(values), truth)[0], self._errors(spline, truth)[0]
        gains = 10 * np.log10(rival / own)
        return {
            "psnr_off_grid": float((10 * np.log10(4 / own)).mean()),
            "psnr_off_grid_spline": float((10 * np.log10(4 / rival)).mean()),
            "gain": float(gains.mean()),
            "gain_worst": float(gains.min()),
        }

    def final(self, field: CoordinateMLP) -> Scores:
        """The gains in gradient and Laplacian."""
        truth, spline = (self._known(order=2, of=of) for of in (self.patches.jet, self.patches.seen_spline))
        with torch.no_grad():
            own = joined([field.jet(x, 2) for x in self.points()])
        pairs = zip(self._errors(own, truth), self._errors(spline, truth), strict=True)
        gains = [float(10 * np.log10(rival / error).mean()) for error, rival in pairs]
        return {"gain_gradient": gains[1], "gain_laplacian": gains[2]}

    def _known(self, order: int, of: object) -> Jet:
        return joined([of(x, order) for x in self.points()])  # type: ignore[operator]

    def _errors(self, jet: Jet, truth: Jet) -> list[np.ndarray]:
        """For each part of the jets the mean squared error between the samples, of every picture."""
        n, factor = self.patches.side, self.patches.factor
        between = torch.ones(n, n, dtype=torch.bool)
        between[::factor, ::factor] = False
        numbers = np.array([number for number, _ in self.shown_tiles])
        found = []
        for part, known in zip(jet.parts, truth.parts, strict=True):
            squares = (
                (part - known).double().square().flatten(1).sum(1).cpu().unflatten(0, (-1, n, n))[:, between].mean(1)
            )
            found.append(np.array([squares.numpy()[numbers == number].mean() for number in self.patches.held_out]))
        return found

    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """between.png: of the busiest tile of some pictures truth, spline and field, and errors and Laplacians."""
        from sinefield.report.figures import page  # noqa: PLC0415  no step waits for matplotlib

        n, tiles = self.patches.side, []
        for number in self.patches.held_out[:_ROWS]:
            each = [x for x, (owner, _) in zip(self.points(), self.shown_tiles, strict=True) if owner == number]
            with torch.no_grad():
                tiles.append(max(each, key=lambda x: float((self.patches.jet(x, 0).value).std())))
        headings: tuple[str, ...] = (
            "all pixels",
            "spline through every second",
            "field",
            "error of the spline",
            "error of the field",
        )
        headings += ("Laplacian", "of the spline", "of the field")
        side, gap, above = n * max(1, round(240 / n)), 24, 110
        with page(gap + len(headings) * (side + gap), above + len(tiles) * (side + gap)) as drawing:
            gains = ", ".join(
                f"{part} {scores[key]:+.2f} dB"
                for part, key in zip(_PARTS, ("gain", "gain_gradient", "gain_laplacian"), strict=True)
                if scores.get(key) is not None
            )
            drawing.text(
                drawing.width / 2, 30, f"Between the samples of held-out pictures, over the spline: {gains}", 8.5
            )
            for column, heading in enumerate(headings):
                drawing.text(gap + column * (side + gap) + side / 2, above - 28, heading, 7)
            for row, x in enumerate(tiles):
                with torch.no_grad():
                    jets = [of(x, 2) for of in (self.patches.jet, self.patches.seen_spline, field.jet)]
                values = [jet.value.double().reshape(n, n, 1).cpu().numpy() for jet in jets]
                curved = [jet.parts[2].double().reshape(n, n, 1).cpu().numpy() for jet in jets]
                worst, most = np.percentile(abs(values[1] - values[0]), 99), np.percentile(abs(curved[0]), 98)
                panels = [value_picture(value) for value in values]
                panels += [error_picture(value - values[0], float(worst) or 1.0) for value in values[1:]]
                panels += [laplacian_picture(part, float(most) or 1.0) for part in curved]
                for column, panel in enumerate(panels):
                    drawing.show(gap + column * (side + gap), above + row * (side + gap), side, side, panel)
            buffer = BytesIO()
            Image.fromarray(drawing.pixels()).save(buffer, format="PNG")
        path = folder / "between.png"
        write_atomically(path, buffer.getvalue())
        return {"between": path}
