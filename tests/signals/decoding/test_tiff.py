"""Every layout of a TIFF: read as tifffile's arrays say, or refused in one line; written by tifffile and by hand."""

import io
import itertools
import logging
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sinefield.errors import UserError
from sinefield.signals.decoding.pixels import decode
from sinefield.signals.image import Image as FromFile
from sinefield.signals.images import Images
from sinefield.signals.merge import Merge
from sinefield.signals.stencil import Stencil

HEIGHT, WIDTH = 20, 35
TYPES = ("bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8")
COLOURS = (("minisblack", 1), ("miniswhite", 1), ("minisblack", 2), ("rgb", 3), ("rgb", 4), ("rgb", 5))


def lzw(data: bytes) -> bytes:
    """LZW as TIFF 6.0 has it, of codes for single bytes alone: 9 bits each, the table cleared before it needs more."""
    codes = [code for at in range(0, len(data), 200) for code in (256, *data[at : at + 200])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data: bytes) -> bytes:
    """PackBits of literal runs alone."""
    runs = [data[at : at + 128] for at in range(0, len(data), 128)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


ENCODERS = {"lzw": lzw, "packbits": packbits}


def written(a, *, compression=None, tile=None, byteorder="<", **options) -> bytes:
    """A TIFF of the array (H, W), (H, W, C) or, with planarconfig="separate", (C, H, W)."""
    if compression not in ENCODERS:
        buffer = io.BytesIO()
        rows = None if tile else 7
        options |= {"compression": compression, "tile": tile, "byteorder": byteorder, "rowsperstrip": rows}
        tifffile.imwrite(buffer, a, metadata=None, **options)
        return buffer.getvalue()
    plain = written(a, tile=tile, byteorder=byteorder, **options)
    with tifffile.TiffFile(io.BytesIO(plain)) as tiff:  # the same, but for each part's bytes
        page = tiff.pages.first
        parts = [plain[at : at + n] for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        tags = {tag.code: tag.valueoffset for tag in page.tags}
        count = len(parts)
        large = {tag.code: tag.dtype == 4 for tag in page.tags}
    data = bytearray(plain)
    offsets, counts = (324, 325) if tile else (273, 279)
    for number, part in enumerate(parts):
        packed = ENCODERS[compression](part)
        data += bytes(len(data) % 2)
        for tag, value in ((offsets, len(data)), (counts, len(packed))):
            form = "I" if large[tag] else "H"
            place = tags[tag] + number * struct.calcsize(form)
            struct.pack_into(byteorder + form, data, place, value)
        data += packed
    assert count > 1
    struct.pack_into(f"{byteorder}H", data, tags[259], {"lzw": 5, "packbits": 32773}[compression])
    return bytes(data)


def picture(dtype: str, samples: int) -> np.ndarray:
    """(C, H, W) ramps over all the range of a type; the last of two or of more than three is transparency."""
    ramp = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    planes = np.stack([ramp, 1 - ramp, ramp**2, 0.25 + ramp / 2, ramp][:samples])
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return planes > 0.4
    return (planes * (min(np.iinfo(kind).max, 65535) if kind.kind in "iu" else 1)).astype(kind)


def truth(a: np.ndarray, photometric: str, extra: list[str]) -> np.ndarray:
    """(H, W, C) as it is to be read, from (C, H, W) stored."""
    peak = min(np.iinfo(a.dtype).max, 65535) if a.dtype.kind in "iu" else 1
    values = np.moveaxis(a, 0, -1).astype(float) / peak
    colours = values[..., : 3 if photometric == "rgb" else 1]
    colours = 1 - colours if photometric == "miniswhite" else colours
    if "unassalpha" not in extra:
        return colours
    alpha = values[..., [colours.shape[2] + extra.index("unassalpha")]]
    return 1 - alpha * (1 - colours)


def layouts() -> Iterator[tuple]:
    for dtype, (photometric, samples), compression in itertools.product(
        TYPES, COLOURS, (None, "zlib", "packbits", "lzw")
    ):
        if dtype == "bool" and (samples > 1 or compression == "zlib"):
            continue
        yield dtype, photometric, samples, compression


def attempted(path: Path) -> tuple[np.ndarray | None, str]:
    try:
        return decode(path), ""
    except UserError as error:
        return None, str(error)


@pytest.mark.parametrize(("dtype", "photometric", "samples", "compression"), list(layouts()))
def test_every_layout_is_read_right_or_refused(tmp_path, dtype, photometric, samples, compression):
    a = picture(dtype, samples)
    extra = {2: ["unassalpha"], 4: ["unassalpha"], 5: ["unspecified", "unassalpha"]}.get(samples, [])
    expected, path = truth(a, photometric, extra), tmp_path / "t.tif"
    by_tifffile = compression != "lzw"
    for planes, order, tile in itertools.product(("contig", "separate"), "<>", (None, (16, 16))):
        stored = a[0] if samples == 1 else a if planes == "separate" else np.moveaxis(a, 0, -1)
        options = {"extrasamples": extra} if extra else {}
        planar = {"planarconfig": planes} if samples > 1 else {}
        data = written(
            stored, compression=compression, tile=tile, byteorder=order, photometric=photometric, **options, **planar
        )
        path.write_bytes(data)
        found, refusal = attempted(path)
        if found is None:
            assert not by_tifffile, refusal
            assert "\n" not in refusal
            assert "t.tif' is " in refusal
        else:
            assert found.shape == expected.shape
            close = 1e-12 if by_tifffile or (samples == 1 and dtype != "f8") else 2.01 / 255  # 8 bits of both
            np.testing.assert_allclose(found, expected, atol=close, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "photometric", "samples", "planes"),
    [("u1", "rgb", 3, "separate"), ("u1", "rgb", 4, "contig"), ("u2", "rgb", 3, "contig"), ("u2", "minisblack", 1, "")],
)
def test_what_was_read_with_lzw_is_read(tmp_path, dtype, photometric, samples, planes):
    a, path = picture(dtype, samples), tmp_path / "t.tif"
    stored = a[0] if samples == 1 else a if planes == "separate" else np.moveaxis(a, 0, -1)
    more = {"planarconfig": planes} if samples > 1 else {}
    more |= {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    path.write_bytes(written(stored, compression="lzw", photometric=photometric, **more))
    expected = truth(a, photometric, ["unassalpha"] if samples == 4 else [])
    np.testing.assert_allclose(decode(path), expected, atol=1.01 / 255)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_predictors_and_bigtiff(tmp_path, dtype, bigtiff, predictor):
    a, path = picture(dtype, 3), tmp_path / "t.tif"
    options = {"predictor": 2 if predictor and dtype != "f4" else None, "compression": "zlib", "photometric": "rgb"}
    tifffile.imwrite(path, np.moveaxis(a, 0, -1), bigtiff=bigtiff, rowsperstrip=6, metadata=None, **options)
    np.testing.assert_allclose(decode(path), truth(a, "rgb", []), atol=1e-12)


@pytest.mark.parametrize(("samples", "colours"), [(2, 1), (4, 3)])
def test_premultiplied_and_unspecified_samples(tmp_path, samples, colours):
    photometric, path = "rgb" if colours == 3 else "minisblack", tmp_path / "t.tif"
    a = np.full((8, 8, samples), 13107, np.uint16)  # a fifth of white
    tifffile.imwrite(path, a, photometric=photometric, extrasamples=["assocalpha"])
    np.testing.assert_allclose(decode(path), 1.0, atol=1e-12)  # white under a fifth of cover
    tifffile.imwrite(path, a, photometric=photometric, extrasamples=["unspecified"])
    np.testing.assert_allclose(decode(path), 0.2, atol=1e-12)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits(tmp_path, bits):
    """Two or four samples in a byte, packed here by hand."""
    a = np.arange(8 * 16).reshape(8, 16) % 2**bits
    packed = np.packbits((a[..., None] >> np.arange(bits)[::-1]) & 1).tobytes()
    tags = [(256, 16), (257, 8), (258, bits), (259, 1), (262, 1), (273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, 8)]
    tags += [(279, len(packed))]
    table = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    path = tmp_path / "t.tif"
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + table + bytes(4) + packed)
    np.testing.assert_allclose(decode(path)[..., 0], a / (2**bits - 1), atol=1 / 255)


# How the upright picture is stored under each orientation: EXIF 2.32, 4.6.4.A.
STORED = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.swapaxes(0, 1),
    6: np.rot90,
    7: lambda u: u[::-1, ::-1].swapaxes(0, 1),
    8: lambda u: np.rot90(u, -1),
}


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation(tmp_path, orientation, dtype, compression):
    a = np.moveaxis(picture(dtype, 3), 0, -1)
    stored, path = np.ascontiguousarray(STORED[orientation](a)), tmp_path / "t.tif"
    turned = [(274, 3, 1, orientation, True)]
    path.write_bytes(written(stored, compression=compression, photometric="rgb", extratags=turned))
    np.testing.assert_allclose(decode(path), a / np.iinfo(dtype).max, atol=1.01 / 255)


def test_planes_apart_train_as_planes_together(tmp_path):
    a = np.zeros((3, 48, 64), np.uint16)
    a[0] = np.arange(64) * 1000
    tifffile.imwrite(tmp_path / "p.tif", a, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode(tmp_path / "p.tif"), np.moveaxis(a, 0, -1) / 65535)


# What no reader takes


@pytest.mark.parametrize(
    ("a", "options"),
    [
        (np.zeros((8, 8), np.complex64), {"photometric": "minisblack"}),
        (np.zeros((8, 8, 7), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}),
        (np.zeros((4, 8, 8), np.uint16), {"photometric": "separated", "planarconfig": "separate"}),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "logluv"}),
        (np.zeros((3, 8, 8), np.uint8), {"photometric": "cielab", "planarconfig": "separate"}),
        (np.zeros((8, 16, 16), np.uint8), {"photometric": "minisblack", "volumetric": True, "tile": (8, 16, 16)}),
    ],
)
def test_other_kinds_are_refused_in_one_line(tmp_path, a, options):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, a, metadata=None, **options)
    with pytest.raises(UserError, match=r"t.tif' is a TIFF of a kind that is not read \(.*save it as PNG"):
        decode(path)


@pytest.mark.parametrize("code", [258, 259, 262, 277, 339])  # bits, compression, colours, samples, their format
def test_a_tag_of_hundreds_of_numbers_is_refused_in_a_short_line(tmp_path, code):
    tags = {256: [9], 257: [7], 258: [3], 259: [1], 262: [0], 277: [1], 339: [1], 273: [8], 279: [63], 278: [7]}
    tags[code] = list(range(40_000, 40_600))
    directory, values = struct.pack("<H", len(tags)), b""
    for number, its in sorted(tags.items()):
        place = its[0] if len(its) == 1 else 8 + 2 + 12 * len(tags) + 4
        values += b"" if len(its) == 1 else struct.pack(f"<{len(its)}H", *its)
        directory += struct.pack("<HHII", number, 3, len(its), place)
    (tmp_path / "t.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values)
    with pytest.raises(UserError) as refused:
        decode(tmp_path / "t.tif")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_cut_short(tmp_path, compression, tile):
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    data = written(noise, compression=compression, tile=tile, photometric="rgb")
    for kept in (len(data) // 2, len(data) - 1):
        (tmp_path / "t.tif").write_bytes(data[:kept])
        with pytest.raises(UserError, match=r"t.tif' is damaged or cut short"):
            decode(tmp_path / "t.tif")


def test_a_part_larger_than_it_says(tmp_path):
    """A megabyte in a strip that says it holds a kilobyte: no more than that may be unpacked."""
    path, whole = tmp_path / "t.tif", np.zeros((1024, 1024), np.uint8)
    tifffile.imwrite(path, whole, compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in ("ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[tag].overwrite(8)
    with pytest.raises(UserError, match="larger inside than it says"):
        decode(path)


def test_a_huge_one_is_refused_by_its_header(tmp_path):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.float64), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            tiff.pages.first.tags[tag].overwrite(60000)
    with pytest.raises(UserError, match=r"3600000000 pixels.*allow_huge"):
        decode(path)
    with pytest.raises(UserError, match="cut short"):
        decode(path, allow_huge=True)


# The white level


@pytest.mark.parametrize(
    ("dtype", "most", "white"),
    [
        *(("u2", 4000, 4095), ("u2", 1000, 1023), ("u2", 16383, 16383), ("u4", 4000, 4095), ("i4", 900, 1023)),
        *(("i2", 4000, 4095), ("f4", 0.125, 0.125)),
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_a_nearly_black_picture_says_so_and_white_mends_it(tmp_path, caplog, dtype, most, white, samples):
    ramp = (np.linspace(0, 1, 64).reshape(8, 8) * most).astype(dtype)
    a = ramp if samples == 1 else np.stack([ramp] * 3, axis=-1)
    path = tmp_path / "dim.tif"
    tifffile.imwrite(path, a, photometric="minisblack" if samples == 1 else "rgb")
    with caplog.at_level(logging.WARNING):
        assert decode(path).max() <= 0.25
    assert f"from 0 to {most:g}" in caplog.text
    assert f"signal.white={white:g}" in caplog.text
    caplog.clear()
    bright = decode(path, white=white)
    np.testing.assert_allclose(bright[..., 0], ramp / white, atol=1e-12)
    assert caplog.text == ""


def test_white_of_a_png_and_what_it_does_not_change(tmp_path, caplog):
    deep = (np.arange(64).reshape(8, 8) * 65).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert decode(tmp_path / "deep.png", white=4095).max() == 1
    with pytest.raises(UserError, match=r"from 0 to 4095; rescale .* or give signal.white=4095"):
        decode(tmp_path / "deep.png", white=4000)
    assert caplog.text == ""
    Image.fromarray(deep.astype(np.uint8)).save(tmp_path / "flat.png")
    np.testing.assert_array_equal(decode(tmp_path / "flat.png", white=4095), decode(tmp_path / "flat.png"))
    assert "signal.white has no effect on" in caplog.text


@pytest.mark.parametrize("white", [0, -1, float("nan"), "4095", True])
def test_a_wrong_white(tmp_path, white):
    Image.new("L", (8, 8)).save(tmp_path / "p.png")
    with pytest.raises(UserError, match=r"signal.white must be a finite number above 0"):
        decode(tmp_path / "p.png", white=white)


def test_white_reaches_every_signal(tmp_path):
    deep, bright = tmp_path / "deep.tif", tmp_path / "bright.tif"
    dim = np.random.default_rng(0).integers(0, 4096, (40, 36)).astype(np.uint16)
    tifffile.imwrite(deep, dim)
    tifffile.imwrite(bright, dim / np.float32(4095))
    pairs = [
        (FromFile(deep, size=16, white=4095), FromFile(bright, size=16)),
        (Stencil(deep, size=16, white=4095), Stencil(bright, size=16)),
        (Images([deep, deep], size=16, white=4095), Images([bright, bright], size=16)),
        (Merge([deep, deep], size=16, white=4095), Merge([bright, bright], size=16)),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(one.samples().value, other.samples().value, atol=1e-5)
