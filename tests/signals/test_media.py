"""Media by name and by file."""

import numpy as np
import pytest
import torch
from PIL import Image

from sinefield.errors import UserError
from sinefield.signals.media import medium


def test_named_media():
    """c = 2 inside, so m = 1/4; time, where there is one, changes nothing."""
    x = torch.tensor([[0.0, 0.0, 5.0], [0.29, -0.29, 1.0], [0.31, 0.0, 0.0], [0.07, 0.08, 0.0], [0.0, 0.09, 0.0]])
    assert medium("uniform")(x).tolist() == [1, 1, 1, 1, 1]
    assert medium("square")(x).tolist() == [0.25, 0.25, 1, 0.25, 0.25]
    assert medium("disc")(x).tolist() == [0.25, 1, 1, 1, 0.25]
    assert medium("disc")(x.double()).dtype == torch.float64


def test_an_array_is_linear_between_its_samples(tmp_path):
    """The longest side spans [-1, 1]; x along the columns; beyond the border as at it."""
    np.save(tmp_path / "m.npy", 1 + np.arange(5.0) + 10 * np.arange(3.0)[:, None])
    found = medium(tmp_path / "m.npy")
    x = torch.tensor([[-1.0, -0.5], [1.0, 0.5], [0.25, 0.0], [0.0, 0.25], [2.0, 9.0]], dtype=torch.float64)
    assert found(x).tolist() == pytest.approx([1, 25, 13.5, 18, 25])
    assert found.files == (str(tmp_path / "m.npy"),)


def test_a_picture_goes_from_speed_2_to_1(tmp_path):
    Image.fromarray(np.array([[0, 255]] * 4, np.uint8).repeat(4, axis=1)).save(tmp_path / "m.png")
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    assert medium(tmp_path / "m.png")(x).tolist() == pytest.approx([0.25, 1])


def test_bad_input_is_one_line(tmp_path):
    with pytest.raises(UserError, match="did you mean square"):
        medium("sqare")
    with pytest.raises(UserError, match="choose from uniform, square, disc"):
        medium("nothing.npy")
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="cannot be read"):
        medium(tmp_path / "a.npy")
    for name, values, reason in (("b", np.zeros((3, 3)), "not above 0"), ("c", np.ones(5), "must hold real numbers")):
        np.save(tmp_path / f"{name}.npy", values)
        with pytest.raises(UserError, match=reason):
            medium(tmp_path / f"{name}.npy")
