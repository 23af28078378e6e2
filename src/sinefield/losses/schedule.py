"""A weight that may change over the run: linear between given parts of it.

w(p) = w_i + (w_{i+1} - w_i) (p - p_i) / (p_{i+1} - p_i),   p_i <= p <= p_{i+1},   p from 0 to 1
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from numbers import Real

from sinefield.errors import positive, require

Weight = float | Sequence[Sequence[float]]  # a number, or [[part of the run, weight], ...]


class Schedule:
    """w(p), constant before the first and behind the last of the given parts.

    Args:
        weight: a number above 0, or pairs (part of the run, weight) in the order of the parts.

    Raises:
        UserError: it is neither.

    >>> fading = Schedule([[0.2, 100.0], [0.4, 0.0]])
    >>> fading(0.0), round(fading(0.3), 9), fading(1.0)
    (100.0, 50.0, 0.0)
    >>> Schedule(3)(0.5)
    3.0
    """

    def __init__(self, weight: Weight) -> None:
        pairs = weight if isinstance(weight, list | tuple) else [(0.0, positive("the weight of a term", weight))]
        numbers = bool(pairs) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_not_negative, pair)) for pair in pairs
        )
        rises = numbers and all(a[0] < b[0] for a, b in pairwise(pairs)) and pairs[-1][0] <= 1
        form = "pairs [part of the run from 0 to 1, weight] whose parts rise, such as [[0.2,100],[0.4,0]]"
        require(rises, f"the weight of a term must be a number above 0, or {form}; not {weight!r}")
        self.parts = [float(part) for part, _ in pairs]
        self.weights = [float(value) for _, value in pairs]
        require(max(self.weights) > 0, f"the weight of a term is 0 over the whole run: {weight!r}; leave the term out")

    def __call__(self, progress: float) -> float:
        """The weight when `progress` of the run is done, 0 to 1."""
        after = bisect_right(self.parts, progress)
        if after == 0 or after == len(self.parts):
            return self.weights[max(0, after - 1)]
        (start, end), (first, last) = self.parts[after - 1 : after + 1], self.weights[after - 1 : after + 1]
        return first + (last - first) * (progress - start) / (end - start)


def _not_negative(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf
