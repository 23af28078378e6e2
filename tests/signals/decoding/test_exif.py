"""EXIF as cameras and phones really write it: whatever is wrong in it, the picture stands upright."""

import io
import itertools
import random
import struct

import numpy as np
import pytest
from PIL import Image

from sinefield.signals.decoding.exif import orientation
from sinefield.signals.decoding.pixels import decode

UPRIGHT = np.kron(np.array([[0, 80], [160, 240]], dtype=np.uint8), np.ones((8, 12), dtype=np.uint8))
STORED = {  # EXIF 2.32, 4.6.4.A
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.T,
    6: np.rot90,
    7: lambda u: u[::-1, ::-1].T,
    8: lambda u: np.rot90(u, -1),
}
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
# Tags below and above the orientation, 0x112: texts, fractions, the offsets of further tables, private ones.
TAGS = (0x010E, 0x010F, 0x0110, 0x011A, 0x0128, 0x0132, 0x0213, 0x8298, 0x8769, 0x8825, 0xA005, 0xC4A5, 0xFFFF)
# A type and a count and a value, or its place: of no type there is, of many values, beyond the end, onto itself.
ODD = (
    *((0, 1, 0), (13, 1, 8), (99, 3, 7), (2, 0, 0), (2, 2**32 - 1, 8), (2, 9, 2**32 - 1), (2, 20, 100000), (5, 1, 0)),
    *(
        (5, 1, 99999),
        (7, 5, 99999),
        (3, 5, 2),
        (4, 1, 2**31),
        (4, 2, 99999),
        (10, 1, 1),
        (11, 1, 7),
        (12, 1, 8),
        (1, 3, 0),
    ),
)


def block(entries, order="<") -> bytes:
    """EXIF of one table of (tag, type, count, value) as they come."""
    rows = [
        struct.pack(f"{order}HHI", *row[:3])
        + (struct.pack(f"{order}Hxx", row[3]) if row[1] == 3 and row[2] == 1 else struct.pack(f"{order}I", row[3]))
        for row in entries
    ]
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return b"Exif\0\0" + head + struct.pack(f"{order}H", len(entries)) + b"".join(rows) + bytes(4)


def photograph(kind: str, turn: int, exif: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {"quality": 95} if kind == "jpg" else {}
    Image.fromarray(np.ascontiguousarray(STORED[turn](UPRIGHT))).save(buffer, KINDS[kind], exif=exif, **options)
    return buffer


def stands(path, tolerance: float = 4 / 255) -> None:
    pixels = decode(path).mean(axis=2)
    assert pixels.shape == UPRIGHT.shape
    np.testing.assert_allclose(pixels[[0, 0, -1, -1], [0, -1, 0, -1]] * 255, [0, 80, 160, 240], atol=255 * tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", STORED)
def test_each_odd_entry_beside_each_orientation(tmp_path, kind, turn):
    """Every tag with every odd value in turn, a different part of them for every kind and orientation."""
    path = tmp_path / f"p.{kind}"
    pairs = list(itertools.product(TAGS, ODD))
    part = pairs[(turn * 3 + list(KINDS).index(kind)) % 5 :: 5]
    for number, (tag, odd) in enumerate(part):
        entries = sorted([(tag, *odd), (0x112, 3, 1, turn)])
        path.write_bytes(photograph(kind, turn, block(entries, "<>"[number % 2])).getvalue())
        stands(path)


@pytest.mark.parametrize("turn", STORED)
def test_many_odd_entries_at_once_and_orientations_of_other_types(tmp_path, turn):
    chance, path = random.Random(turn), tmp_path / "p.jpg"
    for kind, order in itertools.product((1, 3, 4), "<>"):
        odd = [(tag, *chance.choice(ODD)) for tag in TAGS]
        own = turn << 24 if (kind, order) == (1, ">") else turn  # one byte, the first of four
        path.write_bytes(photograph("jpg", turn, block(sorted([*odd, (0x112, kind, 1, own)]), order)).getvalue())
        stands(path)


@pytest.mark.parametrize(
    "exif",
    [
        *(block([(0x112, 3, 1, value)]) for value in (0, 9, 65535)),  # no orientation
        *(block([(0x112, kind, count, 6)]) for kind, count in ((2, 1), (5, 1), (3, 0), (3, 2), (99, 1))),
        b"Exif\0\0",
        b"Exif\0\0II",
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        block([(0x112, 3, 1, 6)])[:-10],
        bytes(40),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_where_none_can_be_read_the_picture_stays_as_it_is(tmp_path, kind, exif):
    path = tmp_path / f"p.{kind}"
    path.write_bytes(photograph(kind, 1, exif).getvalue())
    stands(path)


def test_random_damage(tmp_path):
    """Bytes of the block put at random: every picture is read, turned in whatever way is left to be seen."""
    chance, path = random.Random(0), tmp_path / "p.jpg"
    whole = block(sorted([*((tag, *ODD[0]) for tag in TAGS), (0x112, 3, 1, 6)]))
    for _ in range(200):
        exif = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            exif[chance.randrange(6, len(exif))] = chance.randrange(256)
        path.write_bytes(photograph("jpg", 6, bytes(exif)).getvalue())
        assert sorted(decode(path).shape[:2]) == sorted(UPRIGHT.shape)


@pytest.mark.parametrize("turn", STORED)
def test_an_orientation_in_xmp_or_in_a_profile(turn):
    packet = f'<rdf:Description tiff:Orientation="{turn}"/>'
    assert orientation({"xmp": packet.encode()}) == turn
    assert orientation({"XML:com.adobe.xmp": packet.replace('="', ">").replace('"/', "</tiff:Orientation")}) == turn
    digits = block([(0x112, 3, 1, turn)]).hex()
    assert orientation({"Raw profile type exif": f"\nexif\n  34\n{digits[:40]}\n{digits[40:]}\n"}) == turn
    assert orientation({"Raw profile type exif": "\nexif\n  34\nnot digits\n"}) == 1
