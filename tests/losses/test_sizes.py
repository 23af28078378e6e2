"""The terms of the sizes of code and weights."""

import pytest
import torch

from sinefield.core.jet import Jet
from sinefield.errors import UserError
from sinefield.losses.sizes import CodeSize, WeightSize


@pytest.mark.parametrize(("cls", "column", "weight"), [(CodeSize, 0, 0.1), (WeightSize, 1, 100.0)])
def test_a_term_is_the_mean_square_that_the_field_tells(cls, column, weight):
    """(n,), with the paper's weight; the gradient of its residual's square is its own."""
    sizes = torch.tensor([[0.5, 2.0], [3.0, 0.25]], requires_grad=True)
    field, x = Jet(torch.zeros(2, 3), sizes=sizes), torch.zeros(2, 4)
    term = cls()
    assert term.weight(0.5) == weight
    torch.testing.assert_close(term(field, field, x), sizes[:, column])
    torch.testing.assert_close(term.residual(field, field, x).square()[:, 0], sizes[:, column])


def test_a_field_of_one_picture_has_no_code():
    plain = Jet(torch.zeros(2, 3))
    with pytest.raises(UserError, match="signal=collection"):
        CodeSize()(plain, plain, torch.zeros(2, 2))
