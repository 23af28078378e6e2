"""The elementwise part of a layer over numbers of 16 bits: what `sinefield.kernels.loops` computes, in 32 bits.

A few rows at a time are widened, worked on and rounded back. Names and shapes are those of
`sinefield.kernels.base.Passes`, with K networks in front.
"""

import numpy as np

from sinefield.kernels import loops
from sinefield.kernels.sincos import compiled

MADE_OF = {"blas.py": 0x0167E114, "loops.py": 0x03784238, "sincos.py": 0x5A004EB4}  # as in loops.py
_ROWS = 8  # that are worked on at once: those of all operands of a pass, 256 numbers each, stay in the first cache


@compiled
def widen(part, start, wide):  # type: ignore[no-untyped-def]
    """(D, n, W) from row `start` on, as much as there is room for, (D, rows, W); or the one row that there is."""
    start, bits = min(start, part.shape[1] - wide.shape[1]), wide.view(np.uint32)
    for d in range(len(bits)):
        for i in range(bits.shape[1]):
            row, out, numbers = part[d, start + i], bits[d, i], wide[d, i]
            if part.itemsize == 2:
                for j in range(len(out)):
                    out[j] = np.uint32(row[j]) << np.uint32(16)
            else:
                for j in range(len(out)):
                    numbers[j] = row[j]


@compiled
def narrow(wide, start, short):  # type: ignore[no-untyped-def]
    """The way back, rounded to nearest, ties to even."""
    start, bits = min(start, short.shape[1] - wide.shape[1]), wide.view(np.uint32)
    for d in range(len(bits)):
        for i in range(bits.shape[1]):
            row, out = bits[d, i], short[d, start + i]
            for j in range(len(row)):
                odd = (row[j] >> np.uint32(16)) & np.uint32(1)
                out[j] = np.uint16((row[j] + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@compiled
def _room(like, rows):  # type: ignore[no-untyped-def]
    """For so many rows of (K, D, n, W), or the one that there is, of one network, in 32 bits."""
    return np.zeros((like.shape[1], min(rows, like.shape[2]), like.shape[3]), np.float32)


@compiled
def _together(n):  # type: ignore[no-untyped-def]
    """How many rows are worked on at once: as many every time."""
    rows = _ROWS
    while n % rows:
        rows //= 2
    return rows


@compiled
def forward(bias, z, value, cosine, slopes, curve, gradient, laplacian, w, table):  # type: ignore[no-untyped-def]
    """The products z, Z and Y, then room for what comes out; of no slopes too."""
    networks, n, width = value.shape
    shape, rows = (networks, 1, n, width), _together(n)
    zs, values, cosines = z.reshape(shape), value.reshape(shape), cosine.reshape(shape)
    s, c, z_d, y = _room(values, rows), _room(cosines, rows), _room(slopes, rows), _room(curve, rows)
    ds, ls = _room(gradient, rows), _room(laplacian, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            widen(zs[m], i, c)
            widen(slopes[m], i, z_d)
            widen(curve[m], i, y)
            loops.forward_elements(bias[m], s[0], c[0], z_d, y, ds, ls, w, table)
            narrow(s, i, values[m])
            narrow(c, i, cosines[m])
            narrow(ds, i, gradient[m])
            narrow(ls, i, laplacian[m])


@compiled
def backward(  # type: ignore[no-untyped-def]
    sine, cosine, slopes, curve, by_value, by_gradient, by_laplacian, by_z, by_slopes, by_curve, by_bias, w
):
    """What `loops.backward` takes but h, dh, lh and W; then room for the derivatives by the products and the bias."""
    networks, n, width = sine.shape
    shape, rows = (networks, 1, n, width), _together(n)
    sines, cosines, by_values, by_zs = (
        sine.reshape(shape), cosine.reshape(shape), by_value.reshape(shape), by_z.reshape(shape)
    )  # fmt: skip
    s, c, g, out = _room(sines, rows), _room(sines, rows), _room(sines, rows), _room(sines, rows)
    z, y, dg, lg = _room(slopes, rows), _room(curve, rows), _room(by_gradient, rows), _room(by_laplacian, rows)
    by_slope, by_y = np.zeros_like(z), np.zeros_like(y)
    for m in range(networks):
        for i in range(0, n, rows):
            widen(sines[m], i, s)
            widen(cosines[m], i, c)
            widen(slopes[m], i, z)
            widen(curve[m], i, y)
            widen(by_values[m], i, g)
            widen(by_gradient[m], i, dg)
            widen(by_laplacian[m], i, lg)
            if i == 0 or slopes.shape[2] > 1:  # a row that is alike at all points gathers those of all
                by_slope[:] = 0
            if i == 0 or curve.shape[2] > 1:
                by_y[:] = 0
            loops.backward_elements(s[0], c[0], z, y, g[0], dg, lg, out[0], by_slope, by_y, by_bias[m], w)
            narrow(out, i, by_zs[m])
            narrow(by_slope, i, by_slopes[m])
            narrow(by_y, i, by_curve[m])


@compiled
def down(by_z, slope, extra, by_bias, has_extra):  # type: ignore[no-untyped-def]
    """What came through W, in `by_z`, times the slope, and `extra`; its sums over the points onto `by_bias`."""
    networks, n, width = by_z.shape
    shape, rows = (networks, 1, n, width), _together(n)
    by_zs, slopes, extras = by_z.reshape(shape), slope.reshape(shape), extra.reshape(shape)
    b, c, e = _room(by_zs, rows), _room(slopes, rows), _room(extras, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            widen(by_zs[m], i, b)
            widen(slopes[m], i, c)
            if has_extra:
                widen(extras[m], i, e)
            loops.down_elements(b[0], c[0], e[0], by_bias[m], has_extra)
            narrow(b, i, by_zs[m])


@compiled
def sweep(g, slope, u):  # type: ignore[no-untyped-def]
    """The slope times g into `u`."""
    networks, _, n, width = u.shape
    slopes, rows = slope.reshape((networks, 1, n, width)), _together(n)
    row, c, out = _room(g, rows), _room(slopes, rows), _room(u, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            widen(g[m], i, row)
            widen(slopes[m], i, c)
            loops.sweep_elements(row, c[0], out)
            narrow(out, i, u[m])


@compiled
def up(by_g, g, slope, bend, along):  # type: ignore[no-untyped-def]
    """The slope times `by_g` in its place, and what goes back along the slope into `along`."""
    networks, _, n, width = by_g.shape
    shape, rows = (networks, 1, n, width), _together(n)
    slopes, bends, alongs = slope.reshape(shape), bend.reshape(shape), along.reshape(shape)
    b, row, c, y, out = _room(by_g, rows), _room(g, rows), _room(slopes, rows), _room(bends, rows), _room(alongs, rows)
    for m in range(networks):
        for i in range(0, n, rows):
            widen(by_g[m], i, b)
            widen(g[m], i, row)
            widen(slopes[m], i, c)
            widen(bends[m], i, y)
            loops.up_elements(b, row, c[0], y[0], out[0])
            narrow(b, i, by_g[m])
            narrow(out, i, alongs[m])
