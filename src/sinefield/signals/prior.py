"""What a prior finds between the samples of a whole picture: `sinefield.fields.local_prior` from a file of weights.

A file is a NumPy archive of the weights in half precision and of the field's few knobs; `scripts/prior.py` makes one of
a finished run of experiment=prior/between. Pictures are taken in tiles with the samples around them, so memory is
bounded and the tiles equal the whole. Beyond the border the picture goes on as its mirror image; channels are taken one
by one. With `symmetric` the answer is the mean over the eight turns and mirror images of the picture.
"""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sinefield.activations.sine import Sine
from sinefield.errors import UserError, require
from sinefield.fields.local_prior import LocalPrior
from sinefield.fields.mlp import CoordinateMLP

_TILE = 96  # samples along each side of a tile
_POINTS = 2**14  # evaluated at once
_PLANE = 2  # coordinates
_EDITION = 2  # of the field: what it makes of the same weights


class Prior:
    """A trained local prior, for pictures as arrays.

    Args:
        name: of a prior in the package, such as natural, or a file that `scripts/prior.py` wrote.
        symmetric: take the mean over eight turns and mirror images, at eight times the cost.

    Raises:
        UserError: there is no such file, or it holds no prior.
    """

    def __init__(self, name: str | Path = "natural", symmetric: bool = False) -> None:
        self.field, self.turns = read(name), range(8 if symmetric else 1)

    def refined(self, samples: np.ndarray, factor: int = 2) -> np.ndarray:
        """(factor (H - 1) + 1, factor (W - 1) + 1, C): what to add to the spline on a grid so many times as fine."""
        height, width = samples.shape[:2]
        down, across = (np.arange(factor * (n - 1) + 1) / factor for n in (height, width))
        return self.correction(samples, down, across)[0]

    def correction(self, samples: np.ndarray, down: np.ndarray, across: np.ndarray, order: int = 0) -> list[np.ndarray]:
        """What to add to the jet of the spline through the samples: (h, w, C), (h, w, C, 2), (h, w, C), per sample.

        Args:
            samples: (H, W, C) in [-1, 1].
            down, across: (h,) and (w,), rising rows and columns of the points, in samples. Those beyond the border get
                what the border has.
            order: how many derivatives.
        """
        height, width, channels = samples.shape
        shape = (len(down), len(across), channels)
        found = [np.empty((*shape, *last)) for last in ((), (_PLANE,), ())[: order + 1]]
        reach, parameter = self.field.reach, next(self.field.parameters())
        margins = [(reach, reach), (reach, reach), (0, 0)]
        wide = np.pad(samples, margins, mode="reflect" if min(height, width) > 1 else "edge")
        planes = torch.from_numpy(np.ascontiguousarray(wide.transpose(2, 0, 1))).to(parameter)
        cells = [np.clip(np.floor(p), 0, max(n - 2, 0)).astype(int) for p, n in ((down, height), (across, width))]
        for top in range(0, max(height - 1, 1), _TILE):
            rows = np.flatnonzero((cells[0] >= top) & (cells[0] < top + _TILE))
            bottom = min(top + _TILE, height - 1) + 1
            for left in range(0, max(width - 1, 1), _TILE):
                columns = np.flatnonzero((cells[1] >= left) & (cells[1] < left + _TILE))
                if not (len(rows) and len(columns)):
                    continue
                right = min(left + _TILE, width - 1) + 1
                seen = planes[:, top : bottom + 2 * reach, left : right + 2 * reach]
                at = (down[rows] - top).clip(0, bottom - 1 - top), (across[columns] - left).clip(0, right - 1 - left)
                parts = self._tile(seen, *at, order)
                for whole, part in zip(found, parts, strict=True):
                    whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = part
        return found

    @torch.no_grad()
    def _tile(self, seen: Tensor, down: np.ndarray, across: np.ndarray, order: int) -> list[np.ndarray]:
        """`correction` of samples with what is around them (C, H + 2 reach, W + 2 reach), the mean over the turns."""
        total: list[np.ndarray] = []
        for turn in self.turns:
            swap, flips = turn & 1, (turn >> 1 & 1, turn >> 2 & 1)  # first both axes are flipped, then exchanged
            turned = seen.flip([axis + 1 for axis in (0, 1) if flips[axis]])
            sizes = [n - 2 * self.field.reach for n in seen.shape[1:]]
            at = [n - 1 - p if flip else p for p, n, flip in zip((down, across), sizes, flips, strict=True)]
            if swap:
                turned, at = turned.mT, at[::-1]
            parts = self._points(turned, at[0], at[1], order)
            if swap:
                parts = [part.swapaxes(0, 1) for part in parts]
            if order >= 1:
                gradient = parts[1][..., ::-1] if swap else parts[1]
                parts[1] = gradient * np.array([1.0 - 2 * flips[1], 1.0 - 2 * flips[0]])  # d/dx is along the columns
            total = [a + b for a, b in zip(total, parts, strict=True)] if total else list(parts)
        return [part / len(self.turns) for part in total]

    def _points(self, seen: Tensor, down: np.ndarray, across: np.ndarray, order: int) -> list[np.ndarray]:
        """`correction` at all crossings of rows and columns, within one tile."""
        channels = len(seen)
        made = self.field.make(seen)
        height, width = made.shape[1:3]
        v, u = np.meshgrid(down, across, indexing="ij")
        x = torch.from_numpy(np.stack([u, v], axis=-1).reshape(-1, 2)).to(made)
        cell = x.floor().minimum(x.new_tensor([width - 2.0, height - 2.0])).clamp(min=0)
        first = cell.long() @ torch.tensor([1, width])
        corners = torch.tensor([0, width, 1, width + 1])  # x first, as `neighbours` has them
        blocks = []
        for points, t in zip(first.split(_POINTS), (x - cell).split(_POINTS), strict=True):
            rows = points[:, None] + corners
            each = [self.field.correction(m, rows, t, order) for m in made.flatten(1, 2)]
            blocks.append([torch.stack(parts, dim=1) for parts in zip(*(jet.parts for jet in each), strict=True)])
        joined = [torch.cat(parts).double().numpy() for parts in zip(*blocks, strict=True)]
        shape = (len(down), len(across), channels)
        return [part.reshape(*shape, *last) for part, last in zip(joined, ((), (2,), ()), strict=False)]


def packed(field: LocalPrior) -> bytes:
    """The file of a trained field: its knobs, and its weights in half precision.

    Raises:
        UserError: its base has other activations than sines.
    """
    sines = field.activation
    require(type(sines) is Sine, "a prior's file keeps a base of sines; train with conf/field/local_prior as it is")
    assert isinstance(sines, Sine)
    base = field.base.linear_maps()
    knobs = (base[0].out_features, len(base) - 1, field.first.out_channels, len(field.trunk))
    numbers = (sines.omega0, sines.hidden_omega0, field.floor, float(field.exact))
    tensors = {name: tensor.detach().cpu().numpy().astype(np.float16) for name, tensor in field.state_dict().items()}
    file = io.BytesIO()
    np.savez_compressed(file, edition=_EDITION, knobs=np.array(knobs), numbers=np.array(numbers), **tensors)
    return file.getvalue()


def read(name: str | Path) -> LocalPrior:
    """The field of a file that `packed` made, or of the one of that name in the package."""
    inside = resources.files("sinefield") / "priors"
    known = sorted(Path(file.name).stem for file in inside.iterdir() if file.name.endswith(".npz"))
    path = inside / f"{name}.npz" if str(name) in known else Path(name)
    require(path.is_file(), f"there is no prior {str(name)!r}; choose from {', '.join(known)}, or give a file")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            found = {key: torch.from_numpy(archive[key]) for key in archive.files}
        edition = int(found.pop("edition", torch.tensor(1)))
        require(edition == _EDITION, f"of edition {edition} of the field, this is {_EDITION}")
        width, depth, features, layers = (int(n) for n in found.pop("knobs"))
        omega0, hidden_omega0, floor, exact = (float(n) for n in found.pop("numbers"))
        made = found["first.weight"].shape[0], found["base.head.weight"].shape[1]
        require((features, width) == made and 0 <= max(depth, layers) < len(found), "its knobs are not its weights'")
        sines = Sine(omega0=omega0, hidden_omega0=hidden_omega0)
        with torch.random.fork_rng(devices=[]):  # the seed of a run is for its field alone
            base = CoordinateMLP(_PLANE, 1, width, depth, activation=sines)
            field = LocalPrior(base, features, layers, floor, exact=bool(exact))
        field.load_state_dict({key: value.to(torch.get_default_dtype()) for key, value in found.items()})
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        EOFError,
        UserError,
        zipfile.BadZipFile,
    ) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{name} holds no prior ({reason}); make one by scripts/prior.py") from error
    return field.requires_grad_(False).eval()
