"""What is not seen of a picture is missing, and no grey: an encoder's code does not change with what lies there."""

import pytest
import torch
from discover import build, described

from sinefield.fields.conditional import Observation
from sinefield.fields.encoders.convolution import Convolution, filled
from sinefield.fields.encoders.none import Table
from sinefield.fields.encoders.set import Set

pytestmark = pytest.mark.usefixtures("float64")
SIDE, CHANNELS = 9, 3


def observation(count=3, share=0.3):
    """Pictures of noise of which a share is seen; 0 where it is not."""
    values, seen = torch.rand(count, SIDE**2, CHANNELS), torch.rand(count, SIDE**2) < share
    axis = torch.linspace(-1, 1, SIDE)
    x = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    numbers = torch.arange(count)
    return Observation(numbers, numbers, x, values * seen[..., None], seen, (SIDE, SIDE))


@pytest.fixture(params=sorted(described("encoder")))
def encoder(request):
    made = build(described("encoder")[request.param], dims=2, channels=CHANNELS, pictures=3)
    return made.double()


def test_a_code_for_each_picture_alone(encoder):
    """(P, K); a picture's code is the same whatever else is in the batch, and pictures do not share one."""
    if isinstance(encoder, Table):
        torch.nn.init.normal_(encoder.rows)
    seen = observation()
    codes = encoder(seen)
    assert codes.shape == (3, encoder.code)
    alone = Observation(seen.numbers[1:2], seen.views[1:2], seen.x, seen.values[1:2], seen.seen[1:2], seen.shape)
    torch.testing.assert_close(encoder(alone), codes[1:2])
    assert (codes[0] - codes[1]).abs().max() > 1e-3


@pytest.mark.parametrize("cls", [Set, Convolution])
class TestMissing:
    def make(self, cls):
        return cls(6, CHANNELS, **({"width": 16} if cls is Set else {"widths": (8, 8)}))

    def test_what_lies_at_a_missing_pixel_does_not_matter(self, cls):
        encoder, seen = self.make(cls), observation()
        other = torch.where(seen.seen[..., None], seen.values, torch.rand_like(seen.values))
        torch.testing.assert_close(encoder(seen._replace(values=other)), encoder(seen))

    def test_missing_is_not_grey(self, cls):
        """A pixel that is seen to be 0, the middle grey, is another thing than one that is not seen."""
        encoder, seen = self.make(cls), observation()
        grey = seen._replace(seen=torch.ones_like(seen.seen))
        assert (encoder(grey) - encoder(seen)).abs().max() > 1e-3

    def test_nothing_seen_is_no_nan(self, cls):
        encoder, seen = self.make(cls), observation(share=0.0)
        codes = encoder(seen)
        assert codes.isfinite().all()
        torch.testing.assert_close(codes[0], codes[1])

    def test_the_gradient_is_finite_where_little_is_seen(self, cls):
        encoder = self.make(cls)
        encoder(observation(share=0.03)).square().sum().backward()
        assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_a_set_has_no_order():
    """Pixels in another order are the same set."""
    encoder, seen, order = Set(6, CHANNELS, width=16), observation(), torch.randperm(SIDE**2)
    moved = seen._replace(x=seen.x[order], values=seen.values[:, order], seen=seen.seen[:, order])
    torch.testing.assert_close(encoder(moved), encoder(seen))


def test_filling_in():
    """What is seen stays; the rest is a mean of what is seen, that of the smallest cell which has something."""
    values, seen = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    values[..., 0, 1], seen[..., 0, 1], values[..., 3, 0], seen[..., 3, 0] = 2.0, 1.0, 6.0, 1.0
    found = filled(values, seen)[0, 0]
    assert found[:2, :2].unique().tolist() == [2.0]
    assert found[2:, :2].unique().tolist() == [6.0]
    assert found[:, 2:].unique().tolist() == [4.0]
    constant = torch.full((1, 2, 7, 5), 0.3)
    mask = (torch.rand(1, 1, 7, 5) < 0.2).double()
    torch.testing.assert_close(filled(constant * mask, mask), constant)


def test_codes_as_parameters():
    """One row for each picture; that of a picture in none is 0, and no gradient goes anywhere."""
    table, seen = Table(4, 3), observation()
    torch.nn.init.normal_(table.rows)
    assert torch.equal(table(seen._replace(numbers=torch.tensor([2, 0, 1]))), table.rows[[2, 0, 1]])
    unknown = table(seen._replace(numbers=torch.tensor([-1, -1, 2])))
    assert torch.equal(unknown[:2], torch.zeros(2, 4))
    unknown.sum().backward()
    assert table.rows.grad.tolist() == [[0.0] * 4, [0.0] * 4, [1.0] * 4]
