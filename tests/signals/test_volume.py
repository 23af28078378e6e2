"""Volumes read from files: order of axes, spacings, what is held out, and what is refused."""

import numpy as np
import pytest
import tifffile
import torch

from sinefield.errors import UserError
from sinefield.signals.volume import Volume

pytestmark = pytest.mark.usefixtures("float64")


def made(d=9, h=11, w=13):
    """(d, h, w) of 100 z + 10 y + x."""
    z, y, x = np.meshgrid(np.arange(d), np.arange(h), np.arange(w), indexing="ij")
    return (100 * z + 10 * y + x).astype(np.float32)


def in_file(signal):
    """All that is known, in the file's own numbers."""
    fine = signal.held_out_grid()
    values = signal.samples().value.reshape(signal.shape) if fine is None else fine[..., 0]
    return signal.low + (values.numpy() + 1) / 2 * (signal.high - signal.low)


def refused(path, *parts, **knobs):
    with pytest.raises(UserError) as caught:
        Volume(path, **knobs)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


class TestFiles:
    @pytest.mark.parametrize("ending", ["npy", "npz", "tif"])
    def test_arrays_are_z_y_x(self, tmp_path, ending):
        path, values = tmp_path / f"a.{ending}", made()
        {"npy": np.save, "npz": np.savez, "tif": tifffile.imwrite}[ending](path, values)
        signal = Volume(path, size=None)
        assert signal.shape == (5, 6, 7)
        assert np.abs(in_file(signal) - values).max() < 1e-3
        corner = signal.jet(torch.stack([-signal.extent, signal.extent]), 0).value
        assert corner.flatten().tolist() == pytest.approx([-1, 1], abs=1e-6)
        assert signal.spacing == pytest.approx(1 / 6 * 2)

    @pytest.mark.parametrize("kind", ["imagej", "ome"])
    def test_a_tiff_tells_its_spacings(self, tmp_path, kind):
        path, values = tmp_path / "a.tif", made().astype(np.uint16)
        if kind == "imagej":
            tifffile.imwrite(path, values, imagej=True, resolution=(1 / 0.5, 1 / 0.25), metadata={"spacing": 2.0})
        else:
            sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
            tifffile.imwrite(path, values, ome=True, metadata={"axes": "ZYX", **sizes})
        signal = Volume(path, size=None, holdout=False)
        assert [axis.length for axis in signal.axes] == pytest.approx([6, 2.5, 16])
        assert signal.extent.tolist() == pytest.approx([6 / 16, 2.5 / 16, 1])
        assert signal.unit == pytest.approx(8)

    @pytest.mark.parametrize("flip", [False, True])
    def test_a_nifti_is_upright(self, tmp_path, flip):
        """(x, y, z) in the file, with its own spacings; x to the right, whichever way it is stored."""
        nibabel = pytest.importorskip("nibabel")
        values = made()
        stored = values.transpose(2, 1, 0)[:: -1 if flip else 1]
        affine = np.diag([-0.5 if flip else 0.5, 0.25, 2.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "a.nii.gz")
        signal = Volume(tmp_path / "a.nii.gz", size=None, holdout=False)
        assert np.abs(in_file(signal) - values).max() < 1e-3
        assert [axis.length for axis in signal.axes] == pytest.approx([6, 2.5, 16])

    def test_a_nifti_of_several_volumes(self, tmp_path):
        nibabel = pytest.importorskip("nibabel")
        both = np.stack([made(), 7 - made()], axis=-1).transpose(2, 1, 0, 3)
        nibabel.save(nibabel.Nifti1Image(both, np.eye(4)), tmp_path / "a.nii")
        refused(tmp_path / "a.nii", "holds 2 volumes", "signal.frame=0 to 1")
        signal = Volume(tmp_path / "a.nii", size=None, holdout=False, frame=1)
        assert np.abs(in_file(signal) - (7 - made())).max() < 1e-3
        refused(tmp_path / "a.nii", "signal.frame", frame=2)

    def test_one_volume_with_a_fourth_axis_of_one(self, tmp_path):
        np.save(tmp_path / "a.npy", made()[None])
        assert Volume(tmp_path / "a.npy", size=None, holdout=False).shape == (9, 11, 13)

    def test_of_many_voxels_means_are_taken(self, tmp_path):
        """Of blocks, as few as leave `size` samples; an axis with few voxels keeps them, and spacings follow."""
        np.save(tmp_path / "a.npy", made(5, 20, 24))
        signal = Volume(tmp_path / "a.npy", size=12, holdout=False, spacing=[1, 1, 4])
        expected = made(5, 20, 24).reshape(5, 10, 2, 12, 2).mean(axis=(2, 4))
        assert signal.shape == (5, 10, 12)
        assert np.abs(in_file(signal) - expected).max() < 1e-3
        assert [axis.length for axis in signal.axes] == pytest.approx([22, 18, 16])


class TestDerivatives:
    def test_are_per_unit_of_space(self, tmp_path):
        """x^2 + 2 y^2 + 3 z^2, sampled at unequal distances: a spline of degree 3 has it exactly, Laplacian 12."""
        spacings = np.array([0.5, 1.0, 2.0])
        z, y, x = np.meshgrid(np.arange(8) * 2.0, np.arange(9) * 1.0, np.arange(10) * 0.5, indexing="ij")
        np.save(tmp_path / "a.npy", x**2 + 2 * y**2 + 3 * z**2)
        signal = Volume(tmp_path / "a.npy", size=None, holdout=False, spacing=spacings.tolist()).double()
        where = signal.uniform(50, torch.Generator().manual_seed(0))
        jet = signal.jet(where, 2)
        at, scale = torch.from_numpy(signal.to_file(where.numpy())), 2 / (signal.high - signal.low)
        weights = torch.tensor([1.0, 2.0, 3.0])
        assert (jet.value[:, 0] - (scale * (at.square() @ weights - signal.low) - 1)).abs().max() < 1e-5
        slope = 2 * scale * signal.unit * weights * at
        assert (jet.gradient[:, 0] - slope).abs().max() < 1e-4 * slope.abs().max()
        curvature = 12 * scale * signal.unit**2
        assert jet.laplacian[:, 0].numpy() == pytest.approx(np.full(50, curvature), rel=1e-3)

    def test_the_ball_is_exact(self):
        """What is held out is the closed form; its gradient vanishes far outside."""
        signal = Volume(size=8)
        assert signal.held_out_grid().shape == (15, 15, 15, 1)
        assert signal.jet(torch.ones(1, 3), 1).gradient.abs().max() < 1e-6
        assert signal.samples().value.max() > 0.5


class TestRefused:
    def test_files(self, tmp_path):
        refused(tmp_path / "none.npy", "there is no volume")
        for name in ("a.npy", "a.npz", "a.tif", "a.nii"):
            (tmp_path / name).write_bytes(b"nothing of the kind")
            refused(tmp_path / name, name)
        (tmp_path / "a.mp4").touch()
        refused(tmp_path / "a.mp4", "must end in .npy")
        np.savez(tmp_path / "b.npz", one=made(), other=made())
        refused(tmp_path / "b.npz", "holds one, other", "save one array")
        tifffile.imwrite(tmp_path / "b.tif", made()[0])
        refused(tmp_path / "b.tif", "one page")

    def test_what_is_no_volume(self, tmp_path):
        for values in (np.zeros((4, 5)), np.zeros((4, 5, 6), complex), np.array([{}] * 3, dtype=object)):
            np.save(tmp_path / "a.npy", values)
            refused(tmp_path / "a.npy", "a.npy")
        np.save(tmp_path / "a.npy", np.ones((9, 9, 9)))
        refused(tmp_path / "a.npy", "is 1 everywhere")
        np.save(tmp_path / "a.npy", made(4, 9, 9))
        refused(tmp_path / "a.npy", "5 x 5 x 2 samples", "signal.holdout=false", size=None)

    def test_voxels_that_are_no_numbers(self, tmp_path):
        values = made()
        values[3, 4, 5] = np.nan
        values[8, 10, 12] = np.inf
        np.save(tmp_path / "a.npy", values)
        refused(tmp_path / "a.npy", "holds 2 voxels that are not finite", "nan_to_num")

    def test_spacings(self, tmp_path):
        np.save(tmp_path / "a.npy", made())
        for wrong in ([1, 1], [1, 2, 0], [1, -1, 1], 2.0, ["a", 1, 1]):
            refused(tmp_path / "a.npy", "signal.spacing", spacing=wrong)

    def test_spacings_of_zero_in_a_file(self, tmp_path, caplog):
        """As programs write that know none: 1 is taken, with a warning."""
        sizes = {"PhysicalSizeX": 0.0, "PhysicalSizeY": 0.0, "PhysicalSizeZ": 0.0}
        tifffile.imwrite(tmp_path / "a.tif", made().astype(np.uint16), ome=True, metadata={"axes": "ZYX", **sizes})
        signal = Volume(tmp_path / "a.tif", size=None, holdout=False)
        assert "signal.spacing" in caplog.text
        assert signal.extent.tolist() == pytest.approx([1, 10 / 12, 8 / 12])
