"""The jet of a product of two functions, by Leibniz' rule."""

import torch

from sinefield.core.jet import Jet, sums


def multiply(one: Jet, other: Jet) -> Jet:
    """The jet of ``f g``, channel by channel, from theirs of one order at the same points.

        d(f g) = f dg + g df        S_m (f g) = f S_m g + g S_m f + 2 sum_d A_md df/dx_d dg/dx_d

    >>> from sinefield.core.jet import coordinates
    >>> x = coordinates(torch.tensor([[3.0]]), order=2)
    >>> [part.item() for part in multiply(x, multiply(x, x)).parts]
    [27.0, 27.0, 18.0]
    """
    f, g = one.value, other.value
    parts = [f * g]
    if one.gradient is not None and other.gradient is not None:
        df, dg = one.gradient.movedim(-1, -3), other.gradient.movedim(-1, -3)  # (D, N, C), as `linear` left them
        f, g = f.unsqueeze(-3), g.unsqueeze(-3)
        parts.append(torch.addcmul(f * dg, g, df).movedim(-3, -1))
        if one.second is not None and other.second is not None:
            rows = torch.addcmul(f * other.second.movedim(-1, -3), g, one.second.movedim(-1, -3))
            parts.append(rows.add_(sums(df * dg, one.operators), alpha=2).movedim(-3, -1))
    return one.of(parts)
