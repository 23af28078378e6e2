"""All scripts have one command line: key=value, --help, and mistakes in one line."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT
from processes import run

from sinefield.errors import UserError
from sinefield.system.script import parse
from sinefield.system.script import run as script_run

SCRIPTS = sorted((ROOT / "scripts").glob("[!_]*.py"))
TABLE = "size: 1\nscale: 1.0\nflag: false\nsizes: [1, 2]\nword: a\nany: null\nout: null\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_explains_itself_and_lists_its_options(script, tmp_path) -> None:
    begin = ["steps"] if script.stem == "benchmark" else []
    helped, bare, typo = (
        run(*arguments, script=script, cwd=tmp_path) for arguments in ([*begin, "--help"], [], [*begin, "nosuch=1"])
    )
    assert helped.returncode == 0
    assert f"python scripts/{script.name}" in helped.stdout
    assert (bare.returncode, bare.stdout, bare.stderr.strip()) == (1, "", helped.stdout.strip())
    assert (typo.returncode, typo.stdout, len(typo.stderr.splitlines())) == (1, "", 1)
    assert typo.stderr.startswith("error: there is no nosuch; ")
    if "no options" not in typo.stderr:
        for option in typo.stderr.strip().partition("choose from: ")[2].split(", "):
            assert f"\n{option}: " in helped.stdout


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("size=7", 7),
        ("scale=2", 2),
        ("scale=1e-3", 0.001),
        ("flag=true", True),
        ("sizes=[3,4]", [3, 4]),
        ("sizes=3,4", [3, 4]),
        ("sizes=3", [3]),
        ("sizes=[]", []),
        ("any=[[1,2.5],[3,4]]", [[1, 2.5], [3, 4]]),
        ("any=skimage:camera", "skimage:camera"),
        ("out=1e5", "1e5"),
        ("out=a: [b=c", "a: [b=c"),
        ("out=null", None),
    ],
)
def test_values_are_of_their_default_s_kind(argument, value) -> None:
    found, rest = parse([argument], TABLE, text=["out"])
    name = argument.partition("=")[0]
    assert found[name] == value
    assert type(found[name]) is type(value)
    assert rest == []


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("size=1.5", "size must be a whole number, not 1.5"),
        ("size=true", "size must be a whole number, not true"),
        ("size=", "size must be a whole number"),
        ("scale=big", "scale must be a number, not big"),
        ("flag=1", "flag must be true or false, not 1"),
        ("sizes=[1,a]", "sizes takes a whole number each"),
        ("sizes={a: 1}", "sizes takes a whole number each"),
        ("word=b", "word must be one of a, c, not 'b'"),
        ("any=[1", "cannot read the options: any=[1"),
        ("any=2020-13-45", "cannot read the options"),
        ("any=" + "[" * 10000, "cannot read the options"),
        ("nosuch=1", "there is no nosuch; choose from: size, scale, flag, sizes, word, any, out"),
        ("size", "'size' is no option; write key=value; choose from: size"),
    ],
    ids=lambda text: text[:20],
)
def test_a_mistake_is_one_line(argument, said) -> None:
    with pytest.raises(UserError) as caught:
        parse([argument], TABLE, text=["out"], choices={"word": ("a", "c")})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_interruption_is_one_line(monkeypatch, capsys) -> None:
    """Ctrl-C ends a script with the status that shells expect, and without a traceback."""

    def main(arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["render.py", "run=a"])
    with pytest.raises(SystemExit) as ended:
        script_run(main, "")
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "interrupted: nothing is written"
