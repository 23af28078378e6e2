"""The least-squares problem that affine terms pose for the head of a field.

A field is ``f = sum_j w_j h_j``: features h, the last of them 1, whose jets do not depend on w. A term whose residual
is affine in the field's jet has ``r(f) = r(0) + sum_j w_j (r(h_j) - r(0))``, so that a loss of such terms is

    sum_rows |A w - b|^2        A_j = s (r(h_j) - r(0))      b = -s r(0)      s^2 = weight / M share / n

The rows are those of all groups of points and components of the residual; A is never held whole, but

    G = A^H A      g = A^H b      c = |b|^2

How the channels hang together is found by asking the terms (layouts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from sinefield.core.jet import Jet
from sinefield.optimizers.layouts import Channels, Complex, Coupled, Layout

if TYPE_CHECKING:
    from sinefield.fields.mlp import CoordinateMLP
    from sinefield.losses.base import Group, Loss, Term
    from sinefield.training.data import Samples

_BLOCK = 2**20  # numbers in a part of the features' jet at a time, 8 MB: larger ones are fetched from the system anew
_TOGETHER = 64  # features whose residuals are transformed at a time
_PROBED = 64  # groups of points at which a term is asked what it makes of the channels
_ROWS = 4  # blocks of rows in which a Hermitian product is computed, of which half are needed


def equations(
    field: CoordinateMLP, loss: Loss, batch: Sequence[Samples], weights: Mapping[str, Tensor]
) -> tuple[Layout, Normal]:
    """The layout of fewest unknowns that all terms admit, and the normal equations of a step.

    Args:
        field: in float64.
        loss: one of its groups of terms for each entry of the batch, which may hold all of them several times.
        batch: the points, and what is known there; taken to float64.
        weights: of each term over what it is relative to, () each; terms without one are left out.
    """
    channels, features = field.head.out_features, field.head.in_features + 1
    groups = [group.only(weights) for group in loss.groups] * (len(batch) // len(loss.groups))
    exact = [_Points(group, *_double(samples)) for group, samples in zip(groups, batch, strict=True) if group.terms]
    layouts: list[Layout] = [Channels(channels), Complex(channels), Coupled(channels)]
    probes = [_probe(term, channels, points) for points in exact for term in points.group.terms.values()]
    layout = next(layout for layout in layouts if all(map(layout.admits, probes)))
    normal = Normal()
    for points in exact:
        size = points.group.size
        for some in points.split(len(points.x) if size is None else max(size, _BLOCK // features // size * size)):
            for name, term in some.group.terms.items():
                at_zero = _at_zero(term, channels, some)
                rows = _columns(term, field, layout, some)
                scale = (weights[name].double() * some.share / at_zero.shape[0]).sqrt()
                normal.add(layout.rows(rows)[:, 0].mul_(scale), layout.rows(at_zero).mul_(-scale))
    return layout, normal


class _Points(NamedTuple):
    """Points of a group of terms, in float64: coordinates x (N, D), what is known there, their share of the step's."""

    group: Group
    x: Tensor
    known: Jet
    share: float

    def split(self, size: int) -> Iterator[_Points]:
        """Some at a time."""
        for start in range(0, len(self.x), size):
            rows = slice(start, start + size)
            x, known = self.x[rows], self.known.map(lambda part, rows=rows: part[rows])  # type: ignore[misc]
            yield _Points(self.group, x, known, self.share * len(x) / len(self.x))


def _double(samples: Samples) -> tuple[Tensor, Jet, float]:
    return samples.x.double(), samples.known.map(Tensor.double), samples.share


def _probe(term: Term, channels: int, points: _Points) -> Tensor:
    """(C, n, R), the linear part of a term's residual for one function in each channel in turn."""
    points = next(points.split(_PROBED * points.group.size)) if points.group.size else points
    generator = torch.Generator(points.x.device).manual_seed(0)

    def one(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, device=points.x.device, dtype=points.x.dtype)

    fields = _jet(term, 1, points.x, one).map(Coupled(channels).placed)
    return _linear(term, fields, points) - _at_zero(term, channels, points)


def _at_zero(term: Term, channels: int, points: _Points) -> Tensor:
    """(n, R), a term's residual for the field 0."""
    return term.residual(_jet(term, channels, points.x, points.x.new_zeros), points.known, points.x)


def _jet(term: Term, channels: int, x: Tensor, made: Callable[[tuple[int, ...]], Tensor]) -> Jet:
    """A jet as deep as a term wants it, of what is `made` of each shape."""
    n, d = x.shape
    sums = 1 if term.operators is None else len(term.operators)
    shapes = [(n, channels), (n, channels, d), (n, channels, sums)][: term.order + 1]
    return Jet(*map(made, shapes))._replace(operators=term.operators)


def _linear(term: Term, fields: Jet, points: _Points) -> Tensor:
    """(K, n, R), a term's residual for K fields, from their jets with K in front."""
    return term.residual(fields, points.known.map(lambda part: part.expand(len(fields.value), *part.shape)), points.x)


def _columns(term: Term, field: CoordinateMLP, layout: Layout, points: _Points) -> Tensor:
    """(F', n, R), the linear part of a term's residual for every feature, 1 as the last, in its place.

    Of a term that transforms another's residuals those are found some points at a time, and transformed some features
    at a time: the columns are held, the jets are not.
    """
    if term.pointwise is not None:
        size = max(1, _BLOCK // (field.head.in_features + 1))
        whole = torch.cat([_columns(term.pointwise, field, layout, some) for some in points.split(size)], dim=1)
        return torch.cat([term.transform(some, points.x) for some in whole.split(_TOGETHER)])
    jet = field.features(points.x, term.order, term.operators)
    ends = zip(jet.parts, (1.0, 0.0, 0.0), strict=False)
    jet = jet.of([torch.cat([part, torch.full_like(part[:, :1], end)], dim=1) for part, end in ends])
    at_zero = _at_zero(term, field.head.out_features, points)
    return _linear(term, jet.map(layout.placed), points) - at_zero


class Normal:
    """G (F', F'), g (F', B) and c (B,), to which rows are added."""

    def __init__(self) -> None:
        self.gram, self.right, self.square = torch.empty(0), torch.empty(0), torch.empty(0)

    def add(self, a: Tensor, b: Tensor) -> None:
        """Rows of A, as Aᵀ (F', rows), and of b, (B, rows)."""
        if not len(self.gram):
            self.gram = a.new_zeros(len(a), len(a))
            self.right, self.square = a.new_zeros(len(a), len(b)), b.new_zeros(len(b)).real
        step = -(-len(a) // _ROWS)
        for start in range(0, len(a), step):
            end = start + step
            self.gram[start:end, :end].addmm_(a[start:end].conj(), a[:end].mT)
        self.right.addmm_(a.conj(), b.mT)
        self.square += b.abs().square().sum(1)

    def solution(self, ridge: float, refinements: int = 2) -> Tensor:
        """(F', B), of ``min |A w - b|^2 + ridge |D w|^2`` with D² the diagonal of G, the ridge taken back in steps.

        Every refinement solves for what is left of g, and divides what the ridge has taken away by 1 + its ratio to the
        eigenvalue once more. Where rounding has made G indefinite beyond the ridge, that is raised by tens.
        """
        lower = self.gram.tril()
        gram = lower + lower.tril(-1).mH
        diagonal = gram.diagonal().real.sqrt()
        scale = torch.where(diagonal > 0, 1 / diagonal, 1.0).unsqueeze(1)
        gram.mul_(scale).mul_(scale.mT)
        right = self.right * scale
        one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        failed = 1
        while failed:
            factor, info = torch.linalg.cholesky_ex(gram + ridge * one)
            failed, ridge = int(info), 10 * ridge
        w = torch.cholesky_solve(right, factor)
        for _ in range(refinements):
            w += torch.cholesky_solve(right - gram @ w, factor)
        return w * scale

    def loss(self, w: Tensor) -> Tensor:
        """(), what |A w - b|^2 is for unknowns w (F', B), 0 where rounding has left nothing of it."""
        return (self.square.sum() + self.quadratic(w) - 2 * (w.conj() * self.right).real.sum()).clamp(min=0)

    def quadratic(self, w: Tensor) -> Tensor:
        """(), |A w|^2."""
        lower = self.gram.tril()
        return (w.conj() * (lower @ w + lower.tril(-1).mH @ w)).real.sum()
