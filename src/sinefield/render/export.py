"""A field as a program that needs no sinefield: an ONNX model, or a .pt2 archive of torch.export.

Input `coordinates` (N, D) float32 in [-1, 1], any N. Outputs, as deep as `order` asks: `value` (N, C), `gradient`
(N, C, D) per unit of coordinate, `laplacian` (N, C) per unit².
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sinefield.errors import UserError, integer, require
from sinefield.fields.mlp import CoordinateMLP
from sinefield.system.files import write_atomically

ANY_NUMBER = ({0: torch.export.Dim("points")},)
OUTPUTS = ("value", "gradient", "laplacian")
TOLERANCE = 1e-3  # of a part's largest number: float32 in another order of operations stays well below


class _Program(nn.Module):
    def __init__(self, field: CoordinateMLP, order: int) -> None:
        super().__init__()
        self.field, self.order = field, order

    def forward(self, coordinates: Tensor) -> tuple[Tensor, ...]:
        jet = self.field.jet(coordinates, self.order)
        return cast("tuple[Tensor, ...]", (jet.value, jet.gradient, jet.laplacian)[: self.order + 1])


def export(field: nn.Module, dims: object, out: str | Path, order: int = 0) -> dict[str, float]:
    """Write a field as a program, once that program has given the field's own answers at 1,000 random points.

    Args:
        field: as `sinefield.load` gives it; of float32, on the CPU.
        dims: D, its coordinates.
        out: the file, .onnx or .pt2.
        order: 0 value, 1 and gradient, 2 and Laplacian.

    Returns:
        By output, the largest difference to the field.

    Raises:
        UserError: the file's name ends in something else, a package is missing, or the answers differ.
        UnwritableError: the file cannot be written.
    """
    out, order = Path(out), integer("order", order, least=0, most=2)
    require(out.suffix in FORMATS, f"{out} must end in {' or '.join(FORMATS)}")
    require(out.parent.is_dir(), f"there is no folder {out.parent}; make it first")
    require(not out.is_dir(), f"{out} is a folder; choose another name")
    program = _Program(cast("CoordinateMLP", field).float(), order).eval().requires_grad_(False)
    dims = integer("field.in_features", dims, least=1)
    x = 2 * torch.rand(1000, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float32) - 1
    with _quiet("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
        content, answers = FORMATS[out.suffix](program, x)
    differences = {}
    for name, own, other in zip(OUTPUTS, program(x), answers, strict=False):
        differences[name] = float((own - other).abs().max())
        close = own.shape == other.shape and differences[name] <= TOLERANCE * float(own.abs().max().clamp(min=1))
        require(close, f"the exported {name} differs by {differences[name]:.1e}; try the other of {', '.join(FORMATS)}")
    write_atomically(out, content)
    return differences


Exported = tuple[bytes, Sequence[Tensor]]  # the file's content, and what it answers when it is loaded from there


def _onnx(program: _Program, x: Tensor) -> Exported:
    try:
        import onnxruntime  # noqa: PLC0415  optional
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise UserError(f"{error.name} is missing, which ONNX needs: pip install -e '.[export]'") from error
    names: Any = {"input_names": ["coordinates"], "output_names": OUTPUTS[: program.order + 1]}
    made = torch.onnx.export(program, (x[:7],), dynamic_shapes=ANY_NUMBER, dynamo=True, verbose=False, **names)
    assert made is not None
    content = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, [torch.from_numpy(part) for part in session.run(None, {"coordinates": x.numpy()})]


def _pt2(program: _Program, x: Tensor) -> Exported:
    file = BytesIO()
    torch.export.save(torch.export.export(program, (x[:7],), dynamic_shapes=ANY_NUMBER), file)
    content = file.getvalue()
    return content, torch.export.load(BytesIO(content)).module()(x)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Hide what is no error of loggers, and Python's warnings: the exporters' are about their own code."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


FORMATS: dict[str, Callable[[_Program, Tensor], Exported]] = {".onnx": _onnx, ".pt2": _pt2}
