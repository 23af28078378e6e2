"""A layer's matrix products and its elementwise part, which takes one pass over memory each way, in one call.

What `sinefield.kernels.tensors` does operation by operation, each of which reads and writes whole matrices, this does
row by row, while the row is in the first cache. The names are those of `sinefield.kernels.base.Passes`; all arrays have
an axis of K networks in front and lie row by row in memory.
"""

from __future__ import annotations

import numpy as np

from sinefield.kernels.blas import multiply
from sinefield.kernels.sincos import compiled, sines

# The machine code that numba keeps of these functions is made anew when this file changes: so it holds a sum of the
# files they are made of, and tests/kernels/test_blas.py says when it is another.
MADE_OF = {"blas.py": 0x0167E114, "sincos.py": 0x5A004EB4}


@compiled
def sine_cosine(h, weight, bias, value, cosine, w, table):  # type: ignore[no-untyped-def]  # numba finds the types
    """s into `value` and c into `cosine`."""
    for m in range(len(h)):
        multiply(h[m], weight[m], cosine[m], False, True, False)
        for i in range(h.shape[1]):
            sines(cosine[m, i], value[m, i], bias[m], w, table)


@compiled
def forward(  # type: ignore[no-untyped-def]
    h, dh, lh, weight, bias, value, cosine, slopes, curve, gradient, laplacian, w, table
):
    """What goes in, then room for what comes out."""
    networks, n, width = value.shape
    for m in range(networks):
        multiply(h[m], weight[m], cosine[m], False, True, False)
        for d in range(dh.shape[1]):
            multiply(dh[m, d], weight[m], slopes[m, d], False, True, False)
        for k in range(lh.shape[1]):
            multiply(lh[m, k], weight[m], curve[m, k], False, True, False)
        for i in range(n):
            a, s = cosine[m, i], value[m, i]
            sines(a, s, bias[m], w, table)
            for k in range(curve.shape[1]):
                y, lap = curve[m, k, min(i, curve.shape[2] - 1)], laplacian[m, k, i]
                for j in range(width):
                    lap[j] = a[j] * y[j]
                for d in range(slopes.shape[1]):
                    slope = slopes[m, d, min(i, slopes.shape[2] - 1)]
                    for j in range(width):
                        lap[j] -= w * w * s[j] * slope[j] * slope[j]
            for d in range(slopes.shape[1]):
                slope, out = slopes[m, d, min(i, slopes.shape[2] - 1)], gradient[m, d, i]
                for j in range(width):
                    out[j] = a[j] * slope[j]


@compiled
def backward(  # type: ignore[no-untyped-def]
    h, dh, lh, weight, sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian,
    by_h, by_dh, by_lh, by_weight, by_bias, w
):  # fmt: skip
    """What went in, came out and comes back; room for the derivatives, no rows where one is not wanted."""
    networks, n, width = sine.shape
    square = w * w
    by_z, by_slopes, by_curve = np.empty_like(sine[0]), np.empty_like(slopes[0]), np.empty_like(curve[0])
    for m in range(networks):
        by_slopes[:], by_curve[:] = 0, 0
        for i in range(n):
            s, c, g, out = sine[m, i], cosine[m, i], by_value[m, i], by_z[i]
            for j in range(width):
                out[j] = c[j] * g[j]
            for d in range(slopes.shape[1]):
                row = min(i, slopes.shape[2] - 1)
                slope, by_slope, part = slopes[m, d, row], by_slopes[d, row], by_gradient[m, d, i]
                for j in range(width):
                    out[j] -= square * s[j] * part[j] * slope[j]
                for j in range(width):
                    by_slope[j] += c[j] * part[j]
                for k in range(curve.shape[1]):
                    lap = by_laplacian[m, k, i]
                    for j in range(width):
                        both = square * lap[j] * slope[j]
                        out[j] -= c[j] * both * slope[j]
                        by_slope[j] -= s[j] * (both + both)
            for k in range(curve.shape[1]):
                row = min(i, curve.shape[2] - 1)
                y, by_y, lap = curve[m, k, row], by_curve[k, row], by_laplacian[m, k, i]
                for j in range(width):
                    out[j] -= square * s[j] * y[j] * lap[j]
                for j in range(width):
                    by_y[j] += c[j] * lap[j]
            total = by_bias[m]
            for j in range(width):
                total[j] += out[j]
        _back_through(by_z.reshape((1, n, width)), h[m : m + 1], weight[m], by_h[m : m + 1], by_weight[m])
        _back_through(by_slopes, dh[m], weight[m], by_dh[m], by_weight[m])
        _back_through(by_curve, lh[m], weight[m], by_lh[m], by_weight[m])


@compiled
def _back_through(by_products, parts, weight, by_parts, by_weight):  # type: ignore[no-untyped-def]
    """To what was multiplied, where there is room for it, and to the weights."""
    for d in range(len(parts)):
        multiply(by_products[d], parts[d], by_weight, True, False, True)
        if by_parts.shape[1] > 0:
            multiply(by_products[d], weight, by_parts[d], False, False, False)


@compiled
def down(by, weight, slope, extra, h, by_z, by_bias, by_weight, has_extra, accumulate):  # type: ignore[no-untyped-def]
    """As `Passes.down`; `accumulate` says that by_weight holds something already."""
    networks, n, width = by_z.shape
    for m in range(networks):
        multiply(by[m], weight[m], by_z[m], False, False, False)
        for i in range(n):
            b, c, e, total = by_z[m, i], slope[m, i], extra[m, i], by_bias[m]
            for j in range(width):
                b[j] *= c[j]
            if has_extra:
                for j in range(width):
                    b[j] += e[j]
            for j in range(width):
                total[j] += b[j]
        multiply(by_z[m], h[m], by_weight[m], True, False, accumulate)


@compiled
def sweep(g, slope, weight, u, found):  # type: ignore[no-untyped-def]
    """G slope into `u`, and u W into `found`."""
    networks, channels, n, width = u.shape
    for m in range(networks):
        for k in range(channels):
            for i in range(n):
                row, c, out = g[m, k, min(i, g.shape[2] - 1)], slope[m, i], u[m, k, i]
                for j in range(width):
                    out[j] = row[j] * c[j]
            multiply(u[m, k], weight[m], found[m, k], False, False, False)


@compiled
def up(by, u, g, slope, bend, weight, by_g, along, by_weight):  # type: ignore[no-untyped-def]
    """The way `sweep` came."""
    networks, channels, n, width = u.shape
    for m in range(networks):
        for k in range(channels):
            multiply(u[m, k], by[m, k], by_weight[m], True, False, k > 0)
            multiply(by[m, k], weight[m], by_g[m, k], False, True, False)
        for i in range(n):
            c, y, out = slope[m, i], bend[m, i], along[m, i]
            out[:] = 0
            for k in range(channels):
                b, row = by_g[m, k, i], g[m, k, min(i, g.shape[2] - 1)]
                for j in range(width):
                    out[j] += b[j] * row[j]
                    b[j] *= c[j]
            for j in range(width):
                out[j] *= y[j]
