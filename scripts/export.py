"""Export a finished run's field: `python scripts/export.py run=outputs/… out=field.onnx`."""

from pathlib import Path

from sinefield.errors import require
from sinefield.system.script import parse, run

USAGE = """\
The field of a finished run as a program that needs no sinefield: ONNX (pip install -e '.[export]'), or torch.export's
.pt2, which torch.export.load reads. Input (N, D) float32 coordinates in [-1, 1], for any N; outputs value (N, C),
gradient (N, C, D) and Laplacian (N, C). What the file answers is compared with the field before it is written.

  python scripts/export.py run=outputs/fit/… out=field.onnx
  python scripts/export.py run=outputs/fit/… out=field.pt2 order=2 checkpoint=best
"""
OPTIONS = """\
run: ???         # the folder of a finished run
out: null        # the file to write, .onnx or .pt2; null: field.onnx in the run folder
order: 0         # 0: the value alone; 1: and the gradient; 2: and the Laplacian
checkpoint: last # last or best
trust: null      # packages, a,b, whose classes the folder may ask for beside this project's own
"""
CHOICES = {"order": (0, 1, 2), "checkpoint": ("last", "best")}


def main(arguments: list[str]) -> None:
    """Write the file, and say how far its answers are from the field's."""
    options, _ = parse(arguments, OPTIONS, ("run", "out", "trust"), CHOICES)
    require(options["run"] not in (None, "???"), "say which run: run=outputs/…")
    from sinefield.render.export import export  # noqa: PLC0415  a typo needs no torch
    from sinefield.runs.loading import load  # noqa: PLC0415
    from sinefield.runs.trusted_config import packages, part  # noqa: PLC0415

    folder, trust = Path(options["run"]), packages(options["trust"])
    field, out = load(folder, options["checkpoint"], trust), Path(options["out"] or folder / "field.onnx")
    differences = export(field, part(folder, "field", trust).get("in_features"), out, options["order"])
    said = ", ".join(f"{name} by {difference:.1e}" for name, difference in differences.items())
    print(f"{out}: differs from the field at most in {said}")


if __name__ == "__main__":
    run(main, f"{USAGE}\n{OPTIONS}")
