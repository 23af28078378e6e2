"""The prior of a finished run as one file: `python scripts/prior.py run=outputs/between/… out=mine.npz`."""

from pathlib import Path

from sinefield.errors import UserError, require
from sinefield.system.files import write_atomically
from sinefield.system.script import parse, run

USAGE = """\
What a run of experiment=prior/between has learnt, as a file of weights in half precision that signal.prior=FILE and
scripts/upscale.py prior=FILE take.

  python scripts/prior.py run=outputs/between/… out=mine.npz
"""
OPTIONS = """\
run: ???         # the folder of a finished run
out: prior.npz   # the file to write
checkpoint: last # last or best
"""


def main(arguments: list[str]) -> None:
    """Write the file, and say how large it is."""
    options, _ = parse(arguments, OPTIONS, ("run", "out"), {"checkpoint": ("last", "best")})
    require(options["run"] not in (None, "???"), "say which run: run=outputs/between/…")
    from sinefield.fields.local_prior import LocalPrior  # noqa: PLC0415  a typo needs no torch
    from sinefield.runs.loading import load  # noqa: PLC0415
    from sinefield.signals.prior import packed  # noqa: PLC0415

    field, out = load(options["run"], options["checkpoint"]), Path(options["out"])
    if not isinstance(field, LocalPrior):
        raise UserError(f"{options['run']} is no run of experiment=prior/between")
    require(out.suffix == ".npz", f"out={out} must end in .npz")
    content = packed(field)
    write_atomically(out, content)
    print(f"{out}: {sum(p.numel() for p in field.parameters()):,} weights, {len(content):,} bytes")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
