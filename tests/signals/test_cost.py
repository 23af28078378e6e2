"""Classical solvers whose grids would take for ever are refused in one line, before anything is computed."""

import pytest

from sinefield.errors import UserError
from sinefield.signals.heat import Heat
from sinefield.signals.helmholtz import Helmholtz
from sinefield.signals.inversion import Inversion
from sinefield.signals.poisson import Poisson
from sinefield.signals.solution import refinement
from sinefield.signals.wave import Wave


@pytest.mark.parametrize(
    ("signal", "knobs", "said"),
    [
        (Heat, {"std": 1e-300}, "signal.std=1e-300 and signal.size=96 need a grid of"),
        (Heat, {"size": 10**6}, "signal.size must be at most 4,096"),
        (Heat, {"frames": 10**6}, "signal.frames must be at most 4,096"),
        (Heat, {"centre": float("nan")}, "signal.centre must be between -1 and 1"),
        (Poisson, {"charges": [[1, [0, 0], 1e-9]]}, "a charge's deviation=1e-09 and signal.size=64 need a grid of"),
        (Poisson, {"charges": [[0, [0, 0], 0.1]]}, "no potential inside the square"),
        (Poisson, {"charges": [[1, [0, float("nan")], 0.1]]}, "no potential inside the square"),
        (Wave, {"std": 1e-300}, "signal.std=1e-300 needs"),
        (Wave, {"duration": 1e300}, "a shorter signal.duration"),
        (Helmholtz, {"size": 10**6}, "signal.size must be at most 1,025"),
        (Inversion, {"size": 10**6}, "signal.size must be at most 513"),
    ],
)
def test_a_problem_that_is_too_large(signal, knobs, said) -> None:
    with pytest.raises(UserError) as refused:
        signal(**knobs)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250


def test_the_solver_s_grid_is_as_fine_as_was_asked() -> None:
    """11 samples are 0.2 apart; 5 points per 0.1 are 0.02 apart."""
    assert refinement(11, 1, 0.1, 5, "signal.std") == 10
    assert refinement(11, 1, 10.0, 5, "signal.std") == 1
