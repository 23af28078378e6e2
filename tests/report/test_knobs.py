"""What differs between runs, as it was meant and not as it was typed."""

import pytest

from sinefield.report.knobs import flat, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-7", -7),
        ("1_000", 1000.0),
        ("True", True),
        ("null", None),
        ("inf", "inf"),
        ("'a b'", "a b"),
        ("'a", "'a"),
        ("", ""),
        ("[1,2]", "[1,2]"),
        (float("nan"), "nan"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_typed(text, value) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_an_empty_configuration_is_an_empty_table() -> None:
    assert flat({}) == {}
    assert flat({"a": {}, "b": None, 3: "x"}) == {"a": "{}", "b": None, "3": "x"}
