"""From run folders to one HTML file that compares them: no server, no network, nothing beside it needed.

What stands in the folders is text of anybody's making, so the page holds it as JSON without a single `<` and shows it
through `textContent` alone. A content security policy admits the page's own script and style, by their hashes, and
nothing else.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sinefield.errors import require
from sinefield.report import knobs
from sinefield.report.media import BUDGET, SHEET, Media, described, files, order
from sinefield.report.parsing import line
from sinefield.report.runs import RunFolder, find
from sinefield.report.scores import numbers, scores
from sinefield.system.files import write_atomically

MOST_POINTS = 200_000  # of all learning curves together; a curve keeps at least 20
SHARED = ("dom", "format", "runs", "scale", "plot")  # the scripts are put together in this order
PANELS = ("table", "curves", "parallel", "effects", "heatmap", "solids", "pictures", "details", "main")


def build(folders: str | Path | Sequence[str | Path], out: str | Path | None = None, budget: int = BUDGET) -> Path:
    """Write the comparison of all runs in some folders and below; the file.

    Args:
        folders: one or more; searched recursively.
        out: the HTML file; default: dashboard.html in the first folder. Pictures and sounds are linked relative to it.
        budget: bytes of pictures and sounds inside the file; those beyond are linked.

    Raises:
        UserError: a folder does not exist, or none holds a run.
    """
    paths = [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    require(bool(paths), "give a folder of runs")
    for folder in paths:
        require(folder.is_dir(), f"{folder} is no folder; give the folder of a run or of a sweep")
    out = paths[0] / "dashboard.html" if out is None else Path(out)
    runs = list(find(paths))
    require(bool(runs), f"{', '.join(map(str, paths))}: no run folder in it; give the folder of a run or of a sweep")
    base = os.path.commonpath([os.path.abspath(folder) for folder in paths])
    media, points = Media(budget), max(20, MOST_POINTS // len(runs))
    names, values = knobs.swept(runs)
    shown, monitors = scores(runs)
    entries = [_entry(run, media, base, out.parent, points) for run in runs]
    found = {Path(name) for entry in entries for name in entry["media"]}
    page = {
        "title": Path(base).name or base,
        "built": datetime.now().astimezone().isoformat(timespec="minutes"),
        "knobs": names,
        "scores": [score._asdict() for score in shown],
        "monitors": monitors,
        "media": [described(path) for path in sorted(found, key=order)],
        "runs": [entry | {"knobs": value} for entry, value in zip(entries, values, strict=True)],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, _page(page, media.data).encode())
    return out


def _entry(run: RunFolder, media: Media, base: str, home: Path, points: int) -> dict[str, Any]:
    """What the page knows of one run."""
    folder = os.path.abspath(run.folder)
    try:
        paths = files(run.folder)
    except OSError as error:
        paths = []
        if not run.problems:  # else they have said it
            run.damage(line(error))
    seen, config = {}, {}
    for path in paths:
        try:
            if (found := media.add(path)) is not None:
                seen[path.name] = found
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            run.damage(str(error))
    try:
        config = knobs.flat(run.config)
    except ValueError as error:
        run.damage(str(error))
    about = {k: v for k, v in run.metrics.items() if k in ("device", "versions", "git_commit", "seed")}
    return {
        "name": run.folder.name if folder == base else os.path.relpath(folder, base),
        "link": quote(os.fsencode(os.path.relpath(folder, os.path.abspath(home)))),
        "status": run.status,
        "problems": run.problems,
        "metrics": numbers(run.metrics),
        "history": _thinned(run.history, points),
        "config": config,
        "command": knobs.command(run),
        "environment": knobs.flat(about | run.where),
        "media": seen,
        "sheet": SHEET if (run.folder / SHEET).is_file() else None,
    }


def _thinned(history: dict[str, list[float | None]], points: int) -> dict[str, list[float | None]]:
    """At most `points` rows, evenly chosen with the first and the last, to six digits."""
    rows = len(next(iter(history.values()), []))
    keep = range(rows) if rows <= points else [round(i * (rows - 1) / (points - 1)) for i in range(points)]
    columns = {name: [column[i] for i in keep] for name, column in history.items()}
    return {name: [None if v is None else float(f"{v:.6g}") for v in column] for name, column in columns.items()}


def _page(page: dict[str, Any], pictures: dict[str, str]) -> str:
    """The HTML: the template with style, data and script in it."""
    assets = resources.files("sinefield.report") / "assets"
    style = (assets / "page.css").read_text("utf-8")
    parts = "\n".join((assets / f"{name}.js").read_text("utf-8") for name in SHARED + PANELS)
    script = f'"use strict";\n(() => {{\n{parts}\n}})();\n'
    texts = {
        "style-hash": _hash(style),
        "script-hash": _hash(script),
        "style": style,
        "script": script,
        "pictures": _json(pictures),
        "runs": _json(page),
    }
    return re.sub("%%([a-z-]+)%%", lambda mark: texts[mark[1]], (assets / "page.html").read_text("utf-8"))


def _json(value: Any) -> str:
    """JSON that cannot end the script element that it stands in; ASCII, whatever the names are made of."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
