"""Volumes: NumPy arrays, TIFFs of several pages and NIfTI, with the spacings that the file tells.

Arrays are (z, y, x), rows first; spacings are along (x, y, z), the order of coordinates. Of a NIfTI x is to the right,
y to the front and z up, whatever the order in the file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sinefield.errors import UserError, integer, require
from sinefield.signals.decoding.source import DAMAGE

NIFTI = (".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mgh")
_CURE = "give a volume (z, y, x) of real numbers"


def read(path: str | Path, frame: int | None = None) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """A volume (z, y, x), perhaps mapped into memory, and its spacings along (x, y, z), None where it tells none.

    Args:
        path: .npy, .npz, .tif, .tiff, .nii, .nii.gz.
        frame: which volume of a file of several, along its last axis in NIfTI and its first elsewhere.

    Raises:
        UserError: it cannot be read, or is no volume.
    """
    file, name = Path(path), repr(str(path))
    require(file.is_file(), f"there is no volume {name}; give a file, signal.path=x.npy")
    kind = next((ending for ending in (*_READERS, *NIFTI) if file.name.lower().endswith(ending)), None)
    require(kind is not None, f"{name} must end in {', '.join((*_READERS, *NIFTI[:2]))}")
    reader = _READERS.get(str(kind), _nifti)
    try:
        values, spacings = reader(file, name)
    except (UserError, MemoryError):
        raise
    except (*DAMAGE, UnicodeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name} cannot be read as a volume ({reason}); get it again") from error
    while values.ndim > 3 and 1 in values.shape:
        values = values.squeeze(values.shape.index(1))
    last = reader is _nifti
    if values.ndim == 4:
        count = values.shape[-1 if last else 0]
        several = (
            f"{name} holds {count} volumes, {tuple(values.shape)}; take one of them, signal.frame=0 to {count - 1}"
        )
        require(frame is not None, several)
        values = np.take(values, integer("signal.frame", frame, least=0, most=count - 1), axis=-1 if last else 0)
    real = values.ndim == 3 and values.dtype.kind in "fiub"
    require(real, f"{name} has the shape {tuple(values.shape)} of {values.dtype}; {_CURE}")
    return (values.transpose(2, 1, 0) if last else values), spacings


def _npy(file: Path, name: str) -> tuple[Any, None]:
    values = np.load(file, mmap_mode="r", allow_pickle=False)
    return values, None


def _npz(file: Path, name: str) -> tuple[Any, None]:
    with np.load(file, allow_pickle=False) as archive:
        names = archive.files
        require(len(names) == 1, f"{name} holds {', '.join(names) or 'nothing'}; save one array by numpy.save")
        return archive[names[0]], None


def _tiff(file: Path, name: str) -> tuple[Any, Any]:
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        require(len(series.shape) > 2, f"{name} has one page; a volume has several, one for each z")
        return series.asarray(), _tiff_spacings(tiff)


def _tiff_spacings(tiff: tifffile.TiffFile) -> tuple[float, float, float] | None:
    """As OME or ImageJ writes them."""
    ome = dict(re.findall(r'PhysicalSize([XYZ])="([^"]+)"', tiff.ome_metadata or ""))
    if len(ome) == 3:
        return (float(ome["X"]), float(ome["Y"]), float(ome["Z"]))
    told = tiff.imagej_metadata or {}
    tags = [tiff.pages.first.tags.get(key) for key in ("XResolution", "YResolution")]
    steps = [tag.value[1] / tag.value[0] for tag in tags if tag is not None and tag.value[0]]
    if "spacing" in told and len(steps) == 2:
        return (steps[0], steps[1], float(told["spacing"]))
    return None


def _nifti(file: Path, name: str) -> tuple[Any, Sequence[float]]:
    try:
        import nibabel  # noqa: PLC0415  an extra
    except ImportError as error:
        raise UserError(f"{name} needs nibabel; install it by `pip install nibabel`, or sinefield[volume]") from error
    try:
        image = nibabel.as_closest_canonical(nibabel.load(file))
        return np.asanyarray(image.dataobj), tuple(float(size) for size in image.header.get_zooms()[:3])
    except nibabel.filebasedimages.ImageFileError as error:
        raise UserError(f"{name} is no NIfTI ({error}); get it again") from error


_READERS: dict[str, Any] = {".npy": _npy, ".npz": _npz, ".tif": _tiff, ".tiff": _tiff}
