"""Pictures on one page, with labels and colour bars: the contact sheet of a run, and what a composite was made of."""

import textwrap

import numpy as np

from sinefield.report.colours import error_picture, gradient_picture, laplacian_picture, value_picture
from sinefield.report.figures import page


def side_by_side(panels: dict[str, np.ndarray], caption: str) -> np.ndarray:
    """The figure (h, w, 3) uint8: pictures (H, W, 3) uint8 of one size in a row, their names above, a line below."""
    high, wide = _shown(*next(iter(panels.values())).shape[:2])
    column, gap, above, below = max(wide, 300), 30, 60, 60
    width, height = len(panels) * (column + gap) + gap, above + high + below
    with page(width, height) as drawing:
        for k, (name, picture) in enumerate(panels.items()):
            x = gap + k * (column + gap) + (column - wide) / 2
            drawing.show(x, above, wide, high, picture)
            drawing.text(x + wide / 2, 34, name, 8)
        drawing.text(width / 2, height - 28, caption)
        return drawing.pixels()


def contact_sheet(
    panels: dict[str, np.ndarray], slope: float, curvature: float, worst: float, caption: str
) -> np.ndarray:
    """The figure (h, w, 3) uint8: signal above field; value, gradient, Laplacian, and the wheel above the error."""
    high, wide = _shown(*panels["error"].shape[:2])
    column, row = max(wide, 380), max(high, 110)  # room for the labels of a narrow or a flat picture
    left, gap, line = 72, 40, 34
    width = left + 4 * column + 3 * gap + 24
    lines = [part for words in caption.split("\n") for part in textwrap.wrap(words, width // 15) or [""]]
    top = 92 + line * len(lines)
    below = top + row + gap
    rows = (
        (top, "signal", ("ground_truth", "gradient_signal", "laplacian_signal")),
        (below, "field", ("reconstruction", "gradient_field", "laplacian_field", "error")),
    )
    ramp, turn = np.linspace(0, 1, 512)[None, :, None], np.linspace(0, 2 * np.pi, 64)[:, None, None]
    hues = gradient_picture(np.stack([ramp * np.cos(turn), ramp * np.sin(turn)], axis=-1), 1)
    blue_red, sides = laplacian_picture(2 * ramp - 1, 1), (f"≤ −{curvature:,.6g}", "0", f"≥ {curvature:,.6g}")
    bars = (
        (value_picture(2 * ramp - 1), ("≤ −1", "0", "≥ 1"), "dimensionless"),
        (hues, ("0", "", f"≥ {slope:,.6g}"), "per unit of coordinate"),
        (blue_red, sides, "per unit² of coordinate"),
        (error_picture(ramp, 1), ("0", "", f"≥ {worst:,.6g}"), "|field − signal|, RMS over channels"),
    )
    with page(width, below + row + 132) as drawing:
        title = drawing.text(width / 2, 26 + line * len(lines) / 2, "\n".join(lines), 8.5, linespacing=1.25)
        title.set_fontsize(8.5 * min(1, (width - 40) / max(1, title.get_window_extent().width)))  # wide letters
        lefts = [left + k * (column + gap) for k in range(4)]
        for x, heading in zip(lefts, ("value", "gradient", "Laplacian", "direction of the gradient"), strict=True):
            drawing.text(x + column / 2, top - 22, heading, 8.5)
        drawing.text(lefts[3] + column / 2, below - 22, "error", 8.5)
        for y, side, names in rows:
            drawing.text(36, y + row / 2, side, 8.5, rotation=90)
            for x, name in zip(lefts, names, strict=False):
                drawing.show(x + (column - wide) // 2, y + (row - high) // 2, wide, high, panels[name])
        for x, (bar, numbers, unit) in zip(lefts, bars, strict=True):
            drawing.show(x, below + row + 20, column, 18, bar)
            for shift, ha, number in zip((0, column / 2, column), ("left", "center", "right"), numbers, strict=True):
                drawing.text(x + shift, below + row + 60, number, ha=ha)
            drawing.text(x + column / 2, below + row + 98, unit)
        flat, disc = row < 320, min(row - 8, 180)  # flat: no room for the words below the wheel
        x, y = lefts[3], top + (row - disc - (0 if flat else 90)) // 2
        drawing.show(x + (10 if flat else (column - disc) // 2), y, disc, disc, _wheel(disc)).axis("off")
        words = f"hue: the way uphill\nblack: 0, full colour: ≥ {slope:,.6g}"
        across, down = (x + disc + 26, top + row / 2) if flat else (x + column / 2, y + disc + 54)
        drawing.text(across, down, words, ha="left" if flat else "center", linespacing=1.4)
        return drawing.pixels()


def _shown(height: int, width: int) -> tuple[int, int]:
    """Pixels of a picture on the page: a whole number per sample, up to 720 samples a side, so that none is blurred."""
    longest = max(height, width)
    zoom = max(1, round(480 / longest)) if longest <= 720 else 512 / longest
    return max(1, round(zoom * height)), max(1, round(zoom * width))


def _wheel(size: int) -> np.ndarray:
    """The gradient's colours (size, size, 4): a point of the unit disc shows the gradient that is its own vector."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    colour = gradient_picture(np.stack([x, y], axis=-1)[:, :, None], 1)
    cover = np.clip((1 - np.hypot(x, y)) * size / 2, 0, 1)[..., None]
    return np.concatenate([colour, np.rint(255 * cover).astype(np.uint8)], axis=-1)
