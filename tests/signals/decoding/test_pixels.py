"""Pictures of every kind, built byte by byte or by Pillow, against values known without `pixels`."""

import io
import logging
import os
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageFile

from sinefield.errors import UserError
from sinefield.signals.decoding.pixels import decode, resize

RAMP = np.arange(20, dtype=np.uint8).reshape(4, 5) * 13  # 4 rows, 5 columns, 0 to 247
COLOUR = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)
QUADRANTS = np.kron(np.array([[0, 80], [160, 240]], dtype=np.uint8), np.ones((16, 24), dtype=np.uint8))


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, bits, colour, rows, *, key=b""):
    """A PNG written from its specification; colour type 0 is grey, 2 is RGB; `key` is a tRNS chunk."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    transparency = chunk(b"tRNS", key) if key else b""
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + transparency + data + chunk(b"IEND", b"")


def tiff(data, *, bits, photometric=1, kind=1, samples=1, side=4):
    """A little-endian uncompressed TIFF; kind 1 is unsigned, 2 signed, 3 float; 4 samples: premultiplied."""
    entries = [(256, 1, side), (257, 1, side), (258, samples, bits), (259, 1, 1), (262, 1, photometric)]
    entries += [(273, 1, 0), (277, 1, samples), (278, 1, side), (279, 1, len(data))]
    entries += [(338, 1, 1)] * (samples == 4) + [(339, 1, kind)]
    end = 8 + 2 + 12 * len(entries) + 4  # of the table; then the bits of every sample, then the pixels
    patch = {273: end + 2 * samples} | ({258: end} if samples > 1 else {})
    rows = [struct.pack("<HHII", tag, 3, count, patch.get(tag, value)) for tag, count, value in entries]
    table = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(rows) + bytes(4)
    return table + struct.pack("<H", bits) * samples + data


def refused(path, *parts, **options):
    """The one-line message of the refusal, which names the file and every part."""
    with pytest.raises(UserError) as caught:
        decode(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


# Values


def test_eight_bit_grey_and_colour(tmp_path):
    grey = decode(saved(tmp_path / "g.png", Image.fromarray(RAMP)))
    assert (grey.shape, grey.dtype) == ((4, 5, 1), np.float64)
    np.testing.assert_array_equal(grey[..., 0], RAMP / 255)
    colour = decode(str(saved(tmp_path / "c.png", Image.fromarray(COLOUR))))
    np.testing.assert_array_equal(colour, COLOUR / 255)


def test_equal_channels_stay_three(tmp_path):
    image = Image.fromarray(np.stack([RAMP] * 3, axis=-1))
    assert decode(saved(tmp_path / "c.png", image)).shape == (4, 5, 3)


def test_one_bit(tmp_path):
    bits = np.indices((4, 5)).sum(0) % 2 == 0
    np.testing.assert_array_equal(decode(saved(tmp_path / "b.png", Image.fromarray(bits)))[..., 0], bits)


def test_sixteen_bit_png_keeps_every_level(tmp_path):
    levels = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    path = tmp_path / "deep.png"
    path.write_bytes(png(64, 64, 16, 0, [row.astype(">u2").tobytes() for row in levels]))
    np.testing.assert_allclose(decode(path)[..., 0], levels / 65535, rtol=0, atol=1e-15)


def test_sixteen_bit_steps_of_one(tmp_path):
    path = tmp_path / "deep.pgm"  # mode "I" in Pillow
    path.write_bytes(b"P5 4 4 65535\n" + np.arange(16, dtype=">u2").tobytes())
    np.testing.assert_allclose(decode(path).ravel(), np.arange(16) / 65535, rtol=0, atol=1e-18)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_tiff(tmp_path, order):
    levels = (np.arange(16) * 4369).astype(order).reshape(4, 4)
    path = saved(tmp_path / "deep.tif", Image.fromarray(levels))
    np.testing.assert_allclose(decode(path)[..., 0], np.arange(16).reshape(4, 4) / 15, atol=1e-15)


def test_white_is_zero_and_twelve_bit_tiffs(tmp_path):
    path = tmp_path / "odd.tif"
    path.write_bytes(tiff((np.arange(16) * 4369).astype("<u2").tobytes(), bits=16, photometric=0))
    np.testing.assert_allclose(decode(path).ravel(), 1 - np.arange(16) / 15, atol=1e-15)
    path.write_bytes(tiff(b"\xff\xff\xff\x00\x00\x00" * 4, bits=12))
    np.testing.assert_array_equal(decode(path).ravel(), [1, 1, 0, 0] * 4)


def test_sixteen_bit_colour_is_read_as_eight(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(png(4, 4, 16, 2, [struct.pack(">12H", *[0, 32896, 65535] * 4)] * 4))
    np.testing.assert_allclose(decode(path)[0, 0], [0, 128 / 255, 1], atol=1 / 255)


def test_float_tiff_is_kept(tmp_path):
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(decode(saved(tmp_path / "f.tif", Image.fromarray(values)))[..., 0], values)


@pytest.mark.parametrize(("bad", "said"), [(np.nan, "nan"), (np.inf, "inf"), (-0.5, "-0.5"), (1.25, "1.25")])
def test_float_tiff_out_of_range_is_refused(tmp_path, bad, said):
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    values[2, 1] = bad
    refused(saved(tmp_path / "f.tif", Image.fromarray(values)), "f.tif", said, "rescale")


@pytest.mark.parametrize(("dtype", "kind", "bits"), [("<i2", 2, 16), ("<i4", 2, 32), ("<u4", 1, 32)])
def test_integers_out_of_range_are_refused(tmp_path, dtype, kind, bits):
    path = tmp_path / "i.tif"
    wide = np.linspace(-9, 9, 16) if kind == 2 else np.linspace(0, 2**32 - 1, 16)
    path.write_bytes(tiff(wide.astype(dtype).tobytes(), bits=bits, kind=kind))
    refused(path, "i.tif", "32767" if dtype == "<i2" else "65535", "rescale")


@pytest.mark.parametrize("kind", ["jpg", "tif"])
@pytest.mark.parametrize(("mode", "ink"), [("CMYK", (0, 255, 255, 0)), ("YCbCr", (76, 85, 255))])
def test_pure_red_in_print_and_video_colours(tmp_path, kind, mode, ink):
    path = saved(tmp_path / f"red.{kind}", Image.new(mode, (8, 8), ink))
    np.testing.assert_allclose(decode(path), np.broadcast_to([1.0, 0, 0], (8, 8, 3)), atol=1.5 / 255)


# Red of sRGB is L* 53.24, a* 80.09, b* 67.20; L* is stored as 255/100 L*, a* and b* as signed bytes.
@pytest.mark.parametrize(("lab", "rgb"), [((136, 80, 67), (1, 0, 0)), ((128, 0, 0), (0.468, 0.468, 0.468))])
def test_lab(tmp_path, lab, rgb):
    path = tmp_path / "lab.tif"
    path.write_bytes(tiff(bytes(lab) * 16, bits=8, photometric=8, samples=3))
    np.testing.assert_allclose(decode(path)[2, 2], rgb, atol=0.05)


def test_palette(tmp_path):
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) % 3, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 0])
    plain = decode(saved(tmp_path / "p.png", image))
    np.testing.assert_array_equal(plain[0, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    faded = decode(saved(tmp_path / "t.png", image, transparency=bytes([0, 255, 51])))
    np.testing.assert_allclose(faded[0, :3], [[1, 1, 1], [0, 1, 0], [0.8, 0.8, 0.8]], atol=1e-15)
    keyed = decode(saved(tmp_path / "k.gif", image, transparency=1))
    np.testing.assert_array_equal(keyed[0, :3], [[1, 0, 0], [1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize(("mode", "ink", "seen"), [("LA", (0, 51), [0.8]), ("RGBA", (255, 0, 0, 51), [1, 0.8, 0.8])])
def test_alpha_over_white(tmp_path, mode, ink, seen):
    pixels = decode(saved(tmp_path / "a.png", Image.new(mode, (5, 4), ink)))
    np.testing.assert_allclose(pixels, np.broadcast_to(seen, (4, 5, len(seen))), atol=1e-15)


def test_premultiplied_alpha(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(bytes([51, 0, 0, 51]) * 16, bits=8, photometric=2, samples=4))
    np.testing.assert_allclose(decode(path)[0, 0], [1, 0.8, 0.8], atol=1e-15)


@pytest.mark.parametrize(("bits", "row"), [(8, bytes([9, 0, 255, 9])), (16, struct.pack(">4H", 300, 0, 65535, 300))])
def test_transparent_grey_key(tmp_path, bits, row):
    path = tmp_path / "k.png"
    path.write_bytes(png(4, 4, bits, 0, [row] * 4, key=struct.pack(">H", 9 if bits == 8 else 300)))
    np.testing.assert_array_equal(decode(path)[0, :, 0], [1, 0, 1, 1])


# How the upright picture u is stored under each EXIF orientation (EXIF 2.32, 4.6.4.A).
STORED = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.T,
    6: np.rot90,
    7: lambda u: u[::-1, ::-1].T,
    8: lambda u: np.rot90(u, -1),
}


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(tmp_path, kind, orientation):
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](QUADRANTS)))
    path = saved(tmp_path / f"turned.{kind}", stored, exif=b"Exif\0\0" + tag)
    pixels = decode(path)
    assert pixels.shape == (32, 48, 1)
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1], 0]
    np.testing.assert_allclose(corners, np.array([0, 80, 160, 240]) / 255, atol=3 / 255)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif"])
def test_first_frame_with_a_log_line(tmp_path, caplog, kind):
    frames = [Image.new("RGB", (6, 5), ink) for ink in [(255, 0, 0), (0, 0, 255)]]
    options = {"lossless": True} if kind == "webp" else {}
    path = saved(tmp_path / f"moving.{kind}", frames[0], save_all=True, append_images=frames[1:], **options)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(decode(path), np.broadcast_to([1, 0, 0], (5, 6, 3)))
    assert f"moving.{kind}' holds several frames" in caplog.text


# scikit-image's own pictures


@pytest.mark.parametrize("name", ["camera", "moon", "brick", "coins", "page", "text"])
def test_shipped_grey(name):
    pixels = decode(f"skimage:{name}")
    np.testing.assert_array_equal(pixels[..., 0], getattr(skimage.data, name)() / 255)


def test_every_shipped_choice_loads():
    choices = refused("skimage:?", "camera", "hubble_deep_field").partition("choose from ")[2].split(", ")
    assert len(choices) >= 15
    for name in choices:
        pixels = decode(f"skimage:{name}")
        assert pixels.shape[2] in (1, 3)
        assert 0 <= pixels.min() < pixels.max() <= 1


def test_unknown_shipped_name():
    refused("skimage:camra", "'camra'", "did you mean skimage:camera?", "astronaut, brick")
    refused("skimage:../camera", "choose from")


# Refusals of the path


def test_missing_file_suggests_neighbours(tmp_path):
    saved(tmp_path / "Cat.JPG", Image.fromarray(RAMP))
    refused(tmp_path / "cat.jpg", "cat.jpg' does not exist", "did you mean 'Cat.JPG'?")
    refused(tmp_path / "zebra.tif", "zebra.tif' does not exist", "check the path")
    refused(tmp_path / "nowhere" / "cat.jpg", "does not exist", "check the path")


@pytest.mark.parametrize("path", ["", "  ", None, 3, b"x.png"])
def test_no_path(path):
    refused(path, "must be a file or a name like skimage:camera")


def test_directory_pipe_and_empty_file(tmp_path):
    refused(tmp_path, "is a directory")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is a device or a pipe")
    (tmp_path / "void.png").touch()
    refused(tmp_path / "void.png", "void.png' is empty (0 bytes)")


@pytest.mark.parametrize("path", ["a\0b.png", "\ud800.png", "x" * 5000, __file__ + "/x.png"])
def test_impossible_paths(path):
    refused(path, "cannot be opened")


def test_line_break_in_the_path_stays_one_line(tmp_path):
    refused(tmp_path / "two\nlines.png", "two\\nlines.png")


def test_permission_denied(tmp_path, monkeypatch):
    path = saved(tmp_path / "secret.png", Image.fromarray(RAMP))

    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)  # chmod would not stop root
    refused(path, "secret.png' cannot be opened (Permission denied)")


# Refusals of the content


def test_not_a_picture(tmp_path):
    path = tmp_path / "note.png"
    path.write_text("not a picture at all")
    refused(path, "note.png' is no picture")


@pytest.mark.parametrize(("width", "height"), [(3, 9), (9, 3), (1, 1)])
def test_too_small(tmp_path, width, height):
    path = saved(tmp_path / "s.png", Image.new("L", (width, height)))
    refused(path, "s.png", f"{width} × {height} pixels", "at least 4")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP"])
def test_truncated(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.bin"
    path.write_bytes(data[: len(data) // 2])
    refused(path, "cut.bin' is ")


@pytest.mark.parametrize("size", [(9500, 9500), (14000, 14000), (2**31 - 1, 2**31 - 1)])
def test_bomb_is_refused_before_it_is_loaded(tmp_path, monkeypatch, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size, 8, 0, [b""]))
    assert path.stat().st_size < 100
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("the pixels were loaded"))
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    refused(path, "bomb.png", f"({size[0] * size[1]} pixels)", "allow_huge")
    assert before == (Image.MAX_IMAGE_PIXELS, warnings.filters)


@pytest.mark.parametrize("limit", [15, 9])  # 20 pixels: beyond the limit, and beyond twice the limit
def test_allow_huge(tmp_path, monkeypatch, limit):
    path = saved(tmp_path / "big.png", Image.fromarray(RAMP))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    refused(path, "20 pixels")
    np.testing.assert_array_equal(decode(path, allow_huge=True)[..., 0], RAMP / 255)
    path.write_bytes(path.read_bytes()[:50])
    refused(path, "damaged", allow_huge=True)
    assert limit == Image.MAX_IMAGE_PIXELS


# RuntimeError: damaged AVIF; NotImplementedError: DDS; SyntaxError: PNG; struct.error: several.
@pytest.mark.parametrize("kind", [RuntimeError, NotImplementedError, SyntaxError, struct.error, KeyError])
def test_what_readers_raise_on_damage(tmp_path, monkeypatch, kind):
    path = saved(tmp_path / "d.png", Image.fromarray(RAMP))

    def fail(_):
        raise kind("line one\nline two")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    refused(path, "d.png' is damaged", "line one")


def test_out_of_memory(tmp_path, monkeypatch):
    path = saved(tmp_path / "m.png", Image.fromarray(RAMP))

    def fail(_):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    refused(path, "m.png' does not fit into memory")


def test_pillow_warnings_are_logged(tmp_path, caplog):
    path = tmp_path / "w.png"
    data = encoded(Image.fromarray(RAMP), "PNG")
    control = struct.pack(">I4sII", 8, b"acTL", 0, 0) + struct.pack(">I", zlib.crc32(b"acTL" + bytes(8)))
    path.write_bytes(data[:33] + control + data[33:])  # an animation of zero frames
    np.testing.assert_array_equal(decode(path)[..., 0], RAMP / 255)
    assert "Invalid APNG" in caplog.text


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_damaged_bytes_are_refused_or_valid(tmp_path, kind):
    noise = np.random.default_rng(1).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    whole, chance, path = encoded(Image.fromarray(noise), kind), random.Random(kind), tmp_path / "fuzz.bin"
    valid = refusals = 0
    for trial in range(70):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data) if trial % 2 else 60)] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(1, len(data))] if trial % 3 == 0 else data)
        try:
            pixels = decode(path)
        except UserError as error:
            refusals += str(error).count("\n") == 0
        else:
            assert pixels.ndim == 3
            assert pixels.shape[2] in (1, 3)
            assert 0 <= pixels.min() <= pixels.max() <= 1
            valid += 1
    assert valid + refusals == 70
    assert refusals > 10


# Resize


def test_resize_to_the_same_shape_is_the_identity():
    pixels = np.random.default_rng(0).random((6, 7, 3))
    assert resize(pixels, 6, 7) is pixels


@pytest.mark.parametrize("shape", [(4, 9), (64, 50), (31, 4), (1, 1)])
def test_resize_keeps_a_constant_and_the_mean_of_a_ramp(shape):
    flat = np.broadcast_to([0.25, 0.5, 0.75], (31, 23, 3))
    np.testing.assert_array_equal(resize(flat, *shape), np.broadcast_to([0.25, 0.5, 0.75], (*shape, 3)))
    ramp = np.broadcast_to(np.linspace(0, 1, 23)[None, :, None], (31, 23, 1))
    resized = resize(ramp, *shape)
    assert (resized.shape, resized.dtype) == ((*shape, 1), np.float64)
    assert resized.mean() == pytest.approx(0.5, abs=1e-6)
    assert np.ptp(resized, axis=0).max() == 0


def test_resize_places_samples_at_cell_centres():
    ramp = np.broadcast_to((np.arange(240) + 0.5)[None, :, None] / 240, (8, 240, 1))
    centres = (np.arange(60) + 0.5) / 60
    np.testing.assert_allclose(resize(ramp, 8, 60)[0, 5:-5, 0], centres[5:-5], atol=1e-6)


def test_resize_is_anti_aliased():
    stripes = np.broadcast_to((np.arange(64) % 2.0)[None, :, None], (8, 64, 1))
    np.testing.assert_allclose(resize(stripes, 8, 16)[:, 2:-2], 0.5, atol=0.02)
