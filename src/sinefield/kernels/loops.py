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
    for m in range(len(h)):
        multiply(h[m], weight[m], cosine[m], False, True, False)
        for d in range(dh.shape[1]):
            multiply(dh[m, d], weight[m], slopes[m, d], False, True, False)
        for k in range(lh.shape[1]):
            multiply(lh[m, k], weight[m], curve[m, k], False, True, False)
        forward_elements(bias[m], value[m], cosine[m], slopes[m], curve[m], gradient[m], laplacian[m], w, table)


@compiled
def forward_elements(bias, value, cosine, slopes, curve, gradient, laplacian, w, table):  # type: ignore[no-untyped-def]
    """The elementwise part of `forward` for one network; z without its bias is in `cosine`."""
    n, width = value.shape
    for i in range(n):
        a, s = cosine[i], value[i]
        sines(a, s, bias, w, table)
        for k in range(len(curve)):
            y, lap = curve[k, min(i, curve.shape[1] - 1)], laplacian[k, i]
            for j in range(width):
                lap[j] = a[j] * y[j]
            for d in range(len(slopes)):
                slope = slopes[d, min(i, slopes.shape[1] - 1)]
                for j in range(width):
                    lap[j] -= w * w * s[j] * slope[j] * slope[j]
        for d in range(len(slopes)):
            slope, out = slopes[d, min(i, slopes.shape[1] - 1)], gradient[d, i]
            for j in range(width):
                out[j] = a[j] * slope[j]


@compiled
def backward(  # type: ignore[no-untyped-def]
    h, dh, lh, weight, sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian,
    by_h, by_dh, by_lh, by_weight, by_bias, w
):  # fmt: skip
    """What went in, came out and comes back; room for the derivatives, no rows where one is not wanted."""
    networks, n, width = sine.shape
    by_z, by_slopes, by_curve = np.empty_like(sine[0]), np.empty_like(slopes[0]), np.empty_like(curve[0])
    for m in range(networks):
        by_slopes[:], by_curve[:] = 0, 0
        backward_elements(
            sine[m], cosine[m], slopes[m], curve[m], by_value[m], by_gradient[m], by_laplacian[m],
            by_z, by_slopes, by_curve, by_bias[m], w
        )  # fmt: skip
        _back_through(by_z.reshape((1, n, width)), h[m : m + 1], weight[m], by_h[m : m + 1], by_weight[m])
        _back_through(by_slopes, dh[m], weight[m], by_dh[m], by_weight[m])
        _back_through(by_curve, lh[m], weight[m], by_lh[m], by_weight[m])


@compiled
def backward_elements(  # type: ignore[no-untyped-def]
    sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian, by_z, by_slopes, by_curve, by_bias, w
):
    """The elementwise part of `backward` for one network; adds to the derivatives by Z, Y and b."""
    n, width = sine.shape
    square = w * w
    for i in range(n):
        s, c, g, out = sine[i], cosine[i], by_value[i], by_z[i]
        for j in range(width):
            out[j] = c[j] * g[j]
        for d in range(len(slopes)):
            row = min(i, slopes.shape[1] - 1)
            slope, by_slope, part = slopes[d, row], by_slopes[d, row], by_gradient[d, i]
            for j in range(width):
                out[j] -= square * s[j] * part[j] * slope[j]
            for j in range(width):
                by_slope[j] += c[j] * part[j]
            for k in range(len(curve)):
                lap = by_laplacian[k, i]
                for j in range(width):
                    both = square * lap[j] * slope[j]
                    out[j] -= c[j] * both * slope[j]
                    by_slope[j] -= s[j] * (both + both)
        for k in range(len(curve)):
            row = min(i, curve.shape[1] - 1)
            y, by_y, lap = curve[k, row], by_curve[k, row], by_laplacian[k, i]
            for j in range(width):
                out[j] -= square * s[j] * y[j] * lap[j]
            for j in range(width):
                by_y[j] += c[j] * lap[j]
        for j in range(width):
            by_bias[j] += out[j]


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
    for m in range(len(by)):
        multiply(by[m], weight[m], by_z[m], False, False, False)
        down_elements(by_z[m], slope[m], extra[m], by_bias[m], has_extra)
        multiply(by_z[m], h[m], by_weight[m], True, False, accumulate)


@compiled
def down_elements(by_z, slope, extra, by_bias, has_extra):  # type: ignore[no-untyped-def]
    """The elementwise part of `down` for one network, in place; adds to the derivatives by b."""
    n, width = by_z.shape
    for i in range(n):
        b, c, e = by_z[i], slope[i], extra[i]
        for j in range(width):
            b[j] *= c[j]
        if has_extra:
            for j in range(width):
                b[j] += e[j]
        for j in range(width):
            by_bias[j] += b[j]


@compiled
def sweep(g, slope, weight, u, found):  # type: ignore[no-untyped-def]
    """G slope into `u`, and u W into `found`."""
    for m in range(len(u)):
        sweep_elements(g[m], slope[m], u[m])
        for k in range(u.shape[1]):
            multiply(u[m, k], weight[m], found[m, k], False, False, False)


@compiled
def sweep_elements(g, slope, u):  # type: ignore[no-untyped-def]
    """The elementwise part of `sweep` for one network."""
    channels, n, width = u.shape
    for k in range(channels):
        for i in range(n):
            row, c, out = g[k, min(i, g.shape[1] - 1)], slope[i], u[k, i]
            for j in range(width):
                out[j] = row[j] * c[j]


@compiled
def up(by, u, g, slope, bend, weight, by_g, along, by_weight):  # type: ignore[no-untyped-def]
    """The way `sweep` came."""
    for m in range(len(u)):
        for k in range(u.shape[1]):
            multiply(u[m, k], by[m, k], by_weight[m], True, False, k > 0)
            multiply(by[m, k], weight[m], by_g[m, k], False, True, False)
        up_elements(by_g[m], g[m], slope[m], bend[m], along[m])


@compiled
def up_elements(by_g, g, slope, bend, along):  # type: ignore[no-untyped-def]
    """The elementwise part of `up` for one network; the derivatives by u are in `by_g`."""
    channels, n, width = by_g.shape
    for i in range(n):
        c, y, out = slope[i], bend[i], along[i]
        out[:] = 0
        for k in range(channels):
            b, row = by_g[k, i], g[k, min(i, g.shape[1] - 1)]
            for j in range(width):
                out[j] += b[j] * row[j]
                b[j] *= c[j]
        for j in range(width):
            out[j] *= y[j]
