"""Products of compiled loops: numpy's, however the operands lie; and what is done where there are none."""

import _ctypes
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from sinefield.field import Siren
from sinefield.kernels import base, blas, cpu, loops, rounded
from sinefield.kernels.cpu import Compiled
from sinefield.kernels.mixed import Mixed
from sinefield.kernels.tensors import Tensors


@pytest.mark.skipif(not blas.FOUND, reason="torch's libraries do not show their products here")
@pytest.mark.parametrize(("number", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-15)])
@pytest.mark.parametrize("shape", [(5, 3, 4), (1, 300, 1), (64, 1, 256)])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("accumulate", [False, True])
def test_multiply_is_numpys(number, tolerance, shape, transpose_a, transpose_b, accumulate):
    (n, k, m), draw = shape, np.random.default_rng(0)
    a, b, before = (draw.standard_normal(its).astype(number) for its in ((n, k), (k, m), (n, m)))
    out = before.copy() if accumulate else np.full_like(before, np.nan)
    expected = a.astype(float) @ b + (before if accumulate else 0)
    lying = [np.ascontiguousarray(part.T) if turned else part for part, turned in ((a, transpose_a), (b, transpose_b))]
    blas.multiply(*lying, out, transpose_a, transpose_b, accumulate)
    assert out.dtype == number
    assert np.abs(out - expected).max() <= tolerance * k * 4


def test_torchs_operations_do_it_where_there_are_none(monkeypatch):
    """And where numbers are short by themselves, or shortened in another way than to bfloat16."""
    if blas.FOUND:
        assert type(base.passes(torch.ones(1))) is Compiled
    assert isinstance(base.passes(torch.ones(1, dtype=torch.bfloat16)), Tensors)
    with torch.autocast("cpu", torch.bfloat16):
        assert isinstance(base.passes(torch.ones(1)), Mixed if blas.FOUND else Tensors)
        assert isinstance(base.passes(torch.ones(1, dtype=torch.float64)), Tensors)
    with torch.autocast("cpu", torch.float16):
        assert isinstance(base.passes(torch.ones(1)), Tensors)
    monkeypatch.setattr(cpu, "PRECISIONS", ())
    assert isinstance(base.passes(torch.ones(1)), Tensors)
    with torch.autocast("cpu", torch.bfloat16):
        assert isinstance(base.passes(torch.ones(1)), Tensors)
        assert base.passes(torch.ones(1)).autocast == torch.bfloat16


def test_a_library_without_products_is_no_use():
    assert not blas._found(_ctypes.__file__)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dims", "dtype"), [(1, None), (3, None), (2, torch.float64)])
def test_points_of_another_shape_or_precision_are_refused(dims, dtype, order, channels):
    """The library itself would read beyond what is there."""
    with pytest.raises((ValueError, RuntimeError), match=r"shape|coordinates|dtype"):
        Siren(2, channels, width=8, depth=1).jet(torch.rand(5, dims, dtype=dtype), order)


@pytest.mark.parametrize("module", [loops, rounded], ids=lambda module: module.__name__.rpartition(".")[2])
def test_machine_code_is_of_these_files(module):
    """Whoever changes one of them writes its new sum into the module, which has the machine code made anew."""
    folder = Path(module.__file__).parent
    assert {name: zlib.crc32((folder / name).read_bytes()) for name in module.MADE_OF} == module.MADE_OF
