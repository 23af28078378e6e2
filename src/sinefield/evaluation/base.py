"""What is scored of a field, which score a run is judged by, and what is drawn of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Loss
    from sinefield.signals.base import Signal

Scores = dict[str, float | None]  # by their keys in metrics.json; None where the signal does not allow one


@dataclass(frozen=True)
class Score:
    """A number in metrics.json, and how it is shown.

    Attributes:
        key, name: in metrics.json and history.csv; in words.
        unit: such as dB; "" for none.
        digits: behind the point, 20 at most; -1 for e-notation.
        direction: whether more is better, less, or neither.
    """

    key: str
    name: str
    unit: str = ""
    digits: int = 2
    direction: Literal["max", "min", ""] = "max"

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is a better score than `other`."""
        return one < other if self.direction == "min" else one > other

    def text(self, value: float | None) -> str:
        """The value as it is shown."""
        if value is None:
            return "-"
        number = f"{value:.3e}" if self.digits < 0 else f"{value:.{self.digits}f}"
        return f"{number} {self.unit}".rstrip()


def mean(scores: Sequence[Mapping[str, float | None]]) -> Scores:
    """The mean of each score over several fields; None where one of them has none.

    >>> mean([{"psnr": 30.0, "ssim": None}, {"psnr": 40.0, "ssim": 1.0}])
    {'psnr': 35.0, 'ssim': None}
    """
    columns = {name: [row[name] for row in scores] for name in scores[0]}
    return {
        name: None if None in values else sum(value for value in values if value is not None) / len(values)
        for name, values in columns.items()
    }


class Evaluation(ABC):
    """Compares a field with its signal.

    Args:
        signal: the truth.
        loss: what the field is fitted by; scores may leave out what it cannot see.

    Attributes:
        shown: the scores, in the order in which they are shown; the first is the one a run is judged by.
    """

    shown: ClassVar[Sequence[Score]]

    def __init__(self, signal: Signal, loss: Loss) -> None:
        self.signal, self.loss = signal, loss

    @property
    def monitor(self) -> Score:
        """The score that says which checkpoint, run or trial is the best."""
        return self.shown[0]

    def described(self) -> dict[str, Any]:
        """What metrics.json says of the scores: `monitor`, and all that are shown."""
        monitor = {"name": self.monitor.key, "direction": self.monitor.direction, "unit": self.monitor.unit}
        return {"monitor": monitor, "shown": [asdict(score) for score in self.shown]}

    @abstractmethod
    def points(self) -> Sequence[Tensor]:
        """The points at which the field is compared, in blocks (N, D) of bounded size, on the signal's device."""

    @abstractmethod
    def scores(self, values: Tensor) -> Scores:
        """The scores of the field's values (N, C) at all these points, in their order."""

    def references(self) -> Scores:
        """What is known without a field, such as how good a spline through the samples is; under keys of `shown`."""
        return {}

    def final(self, field: CoordinateMLP) -> Scores:
        """What is scored once, at the end, from the field itself: too dear for every evaluation; {} for nothing."""
        return {}

    @abstractmethod
    def draw(self, folder: Path, field: CoordinateMLP, scores: Scores) -> dict[str, Path]:
        """Write what is to be seen or heard of the fit, PNG and WAV, into the run folder; the files by name."""
