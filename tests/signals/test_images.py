"""Many pictures side by side: each is what it is alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from discover import distance
from PIL import Image as Picture

from sinefield.errors import UserError
from sinefield.signals.image import Image
from sinefield.signals.images import Images

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Colour pictures c, a and b of 40 x 34 pixels, and files that are none."""
    for name, values in zip("cab", np.random.default_rng(0).integers(0, 256, (3, 34, 40, 3)), strict=True):
        Picture.fromarray(values.astype(np.uint8)).save(tmp_path / f"{name}.png")
    for name in ("notes.txt", "._a.png"):
        (tmp_path / name).write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("square", [True, False])
def test_channels_are_those_of_each_picture_in_turn(folder, square):
    """Value, gradient, Laplacian and what lies between the samples, from a folder in the order of the names."""
    signal = Images(folder, size=12, square=square)
    x = signal.uniform(20, torch.Generator().manual_seed(0))
    apart = signal.components()
    assert list(apart) == ["a", "b", "c"]
    for k, (name, (picture, arguments)) in enumerate(apart.items()):
        alone = Image(folder / f"{name}.png", size=12, square=square)
        assert torch.equal(Image(**arguments).c, alone.c)
        own = slice(3 * k, 3 * k + 3)
        for part, of_it, other in zip(*(its.jet(x, 2).parts for its in (signal, picture, alone)), strict=True):
            assert torch.equal(of_it, other)
            assert distance(part[:, own], other) < 1e-14
        assert torch.equal(signal.held_out_grid()[..., own], alone.held_out_grid())


@pytest.mark.parametrize(("height", "width"), [(9, 20), (20, 9), (9, 9)])
def test_the_square_is_in_the_middle(height, width, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "whole.png")
    top, left = (height - 9) // 2, (width - 9) // 2
    Picture.fromarray(pixels[top : top + 9, left : left + 9]).save(tmp_path / "middle.png")
    found = Image(tmp_path / "whole.png", size=None, square=True)
    assert found.shape == (5, 5)
    assert torch.equal(found.c, Image(tmp_path / "middle.png", size=None).c)


def test_pictures_of_one_name_are_numbered(folder):
    """Also where the number is taken by another picture's name."""
    (folder / "more").mkdir()
    for file, copy in (("a.png", "more/a.png"), ("b.png", "a-2.png")):
        (folder / copy).write_bytes((folder / file).read_bytes())
    signal = Images([folder / "a.png", folder / "more" / "a.png", folder / "a-2.png"], size=12)
    assert list(signal.components()) == ["a", "a-2", "a-2-2"]


def test_pictures_that_do_not_go_together_are_refused(folder):
    Picture.new("L", (40, 34)).save(folder / "grey.png")
    Picture.new("RGB", (20, 20)).save(folder / "small.png")
    (folder / "empty").mkdir()

    def refused(paths, message: str, **more) -> None:
        with pytest.raises(UserError, match=message):
            Images(paths, **{"size": 16} | more)

    a, grey, small = (folder / f"{name}.png" for name in ("a", "grey", "small"))
    refused([a, grey], "16 x 16 samples in colour, with pixels held out between them, but .* in grey")
    refused([a, small], "but .*small.png 16 x 16 samples in colour, with no pixels held out")
    refused([a, small], "but .*small.png 20 x 20 samples", size=30)
    refused([a, small], "16 x 14 samples", square=False)
    refused(folder / "empty", "there are no pictures in the folder")
    refused([], "a folder or a list of at least one picture")
    refused(a, "must be a folder or a list")


STRAY = {
    "text.png": b"not a picture",
    "empty.jpg": b"",
    "data.h5": b"\x89HDF\r\n\x1a\n" + bytes(64),  # a kind that Pillow knows and cannot read
    "page.tif": b"<html></html>",
}


def test_a_stray_file_in_a_folder_is_left_out(folder, caplog):
    expected = Images(folder, size=12)
    for name, content in STRAY.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("by name no picture")
    (folder / ".hidden.png").write_text("nor this")
    (folder / "folder.png").mkdir()
    signal = Images(folder, size=12)
    assert list(signal.components()) == list(expected.components())
    assert torch.equal(signal.c, expected.c)
    for name in [*STRAY, "notes.txt"]:
        assert name in caplog.text
    assert "hidden" not in caplog.text
    with pytest.raises(UserError, match=r"text.png' is no picture"):  # asked for by name it is a mistake
        Images([folder / "a.png", folder / "text.png"], size=12)


def test_a_folder_of_stray_files_alone_and_one_with_a_damaged_picture(folder):
    (folder / "none").mkdir()
    for name, content in STRAY.items():
        (folder / "none" / name).write_bytes(content)
    with pytest.raises(UserError, match="there are no pictures in the folder"):
        Images(folder / "none", size=12)
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-40])
    with pytest.raises(UserError, match=r"a.png' is damaged"):  # it is a picture, and missing it would go unseen
        Images(folder, size=12)
