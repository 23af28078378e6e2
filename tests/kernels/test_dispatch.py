"""Whatever keeps the compiled loops from working leads to the same numbers by another way."""

import importlib
import os
import subprocess
import sys

import numba
import pytest
import torch
from numba.core import caching

from sinefield.fields.mlp import Siren
from sinefield.kernels import compiled, dispatch, operations


@pytest.fixture
def anew(monkeypatch):
    """The backend chosen as in a new process, whose loops are not compiled yet; afterwards as it was."""

    def choose():
        importlib.reload(compiled)
        return dispatch._compiled.__wrapped__()

    yield choose
    monkeypatch.undo()  # before they are loaded again, or all later tests would have loops that are not compiled
    importlib.reload(compiled)


def same_jets(backend) -> bool:
    z, dz, sz = torch.randn(4, 6), torch.randn(2, 4, 6), torch.randn(1, 4, 6)
    results = [way.jet(z, dz, sz, None, 30.0) for way in (backend, operations)]
    backwards = [
        way.jet_backward((*its[:2], dz, sz), (z, dz, sz), None, 30.0)
        for way, its in zip((backend, operations), results, strict=True)
    ]
    return all(
        torch.allclose(part, other, rtol=1e-4, atol=1e-2)
        for pair in (results, backwards)
        for part, other in zip(*pair, strict=True)
    )


def test_loops_are_used_here(anew):
    """What the other tests of this file rely on."""
    assert anew() is compiled
    assert same_jets(compiled)


def test_without_a_folder_for_machine_code_it_is_compiled_anew(anew, monkeypatch):
    """As in a container whose code and home are read-only."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert anew() is compiled
    assert same_jets(compiled)


@pytest.mark.parametrize("error", [PermissionError, OSError(28, "no space left on device")])
def test_machine_code_that_cannot_be_kept_is_used(anew, monkeypatch, error):
    """The disk fills up, or the folder is taken away, between two functions."""

    def refuse(*arguments):
        raise error

    monkeypatch.setattr(caching.IndexDataCacheFile, "load", lambda *arguments: None)
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", refuse)
    assert anew() is compiled
    assert same_jets(compiled)


def test_a_compiler_that_is_switched_off_is_not_used(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert dispatch._compiled.__wrapped__() is operations


@pytest.mark.parametrize("fault", ["missing", "raising", "wrong"])
def test_loops_that_do_not_work_are_not_used(monkeypatch, fault):
    """One warning says why, and what it costs."""
    if fault == "missing":
        monkeypatch.setitem(sys.modules, "numba", None)
    if fault == "raising":
        monkeypatch.setattr(compiled, "jet", lambda *arguments: 1 / 0)
    if fault == "wrong":
        monkeypatch.setattr(compiled, "jet", lambda *arguments: [part + 1 for part in operations.jet(*arguments)])
    reason = {"missing": "numba", "raising": "ZeroDivisionError", "wrong": "something else than torch"}[fault]
    with pytest.warns(UserWarning, match=f"compiled loops are off, which costs a tenth of the speed .*{reason}"):
        assert dispatch._compiled.__wrapped__() is operations


def test_a_switched_off_compiler_in_a_process_of_its_own():
    """The same jets, to rounding, as with it."""
    code = (
        "import torch; from sinefield import Siren; torch.manual_seed(0); f = Siren(2, 3, 32, 2);"
        "print([part.double().sum().item() for part in f.jet(torch.linspace(-1, 1, 40).reshape(20, 2), 2).parts])"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        field = Siren(2, 3, 32, 2)
    expected = field.jet(torch.linspace(-1, 1, 40).reshape(20, 2), 2).parts
    assert eval(found.stdout) == pytest.approx([part.double().sum().item() for part in expected], rel=1e-3)


@pytest.mark.parametrize("like", [torch.zeros(1).half(), torch.zeros(1).bfloat16(), torch.zeros(1, device="meta")])
def test_other_numbers_and_devices_take_torchs_operations(like):
    assert dispatch.backend(like) is operations
