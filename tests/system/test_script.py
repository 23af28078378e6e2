"""All scripts have one command line: key=value, --help, and mistakes in one line."""

from __future__ import annotations

import runpy
import sys

import pytest
from conftest import ROOT

from sinefield.errors import UserError
from sinefield.system.script import parse
from sinefield.system.script import run as script_run

SCRIPTS = sorted((ROOT / "scripts").glob("[!_]*.py"))
TABLE = "size: 1\nscale: 1.0\nflag: false\nsizes: [1, 2]\nword: a\nany: null\nout: null\n"


@pytest.fixture
def command(monkeypatch, capsys):
    """A script as the program that this process is: its status, and what it printed, on stdout and on stderr."""

    def called(script, *arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(script), *arguments])
            patch.setattr(sys, "stderr", sys.stderr)  # which it puts another in the place of
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(script), run_name="__main__")
        code, said = ended.value.code, capsys.readouterr()
        if isinstance(code, str):  # which the interpreter prints, and ends with 1
            return 1, said.out, said.err + code
        return code or 0, said.out, said.err

    return called


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_explains_itself_and_lists_its_options(script, command) -> None:
    begin = ["steps"] if script.stem == "benchmark" else []
    status, helped, _ = command(script, *begin, "--help")
    assert status == 0
    assert f"python scripts/{script.name}" in helped
    status, said, complaint = command(script)
    assert (status, said, complaint.strip()) == (1, "", helped.strip())
    status, said, complaint = command(script, *begin, "nosuch=1")
    assert (status, said, len(complaint.splitlines())) == (1, "", 1)
    assert complaint.startswith("error: there is no nosuch; ")
    if "no options" not in complaint:
        for option in complaint.strip().partition("choose from: ")[2].split(", "):
            assert f"\n{option}: " in helped


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
