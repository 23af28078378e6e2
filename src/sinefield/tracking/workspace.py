"""The W&B workspace as code: the dashboard's questions, asked of runs on a server."""

import json
from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from sinefield.errors import UserError

STEP = "trainer/global_step"  # what the logger counts by
SCORES = ("psnr_off_grid", "psnr")  # of a picture
CHOICES = ("loss._target_", "activation._target_", "encoding._target_")
KNOBS = (*CHOICES, "field.width", "field.depth", "optimizer.lr", "seed")
LOGARITHMIC = {"optimizer.lr"}
PICTURES = ("ground_truth", "reconstruction", "error", "gradient_field", "laplacian_field")


def workspace(entity: str, project: str, scores: Sequence[str] = SCORES) -> ws.Workspace:
    """The saved view "sinefield": curves, what matters, pictures, and a comparison of the runs; touches no network.

    Args:
        entity: W&B user or team.
        project: W&B project.
        scores: keys in metrics.json; runs are sorted by the first, of which more is better.
    """
    knobs = [panels.ParallelCoordinatesPlotColumn(panels.Config(knob), log=knob in LOGARITHMIC) for knob in KNOBS]
    found = [panels.ParallelCoordinatesPlotColumn(panels.SummaryMetric(name)) for name in ("fit_seconds", *scores)]
    curves = [
        *(panels.LinePlot(title=score, x=STEP, y=[score]) for score in scores),
        panels.LinePlot(title="loss", x=STEP, y=["loss"], log_y=True),
        panels.LinePlot(title=f"{scores[0]} against time", x="RelativeTime(Process)", y=[scores[0]]),
    ]
    matters = [
        panels.ParallelCoordinatesPlot(title="choices and what came of them", columns=[*knobs, *found]),
        *(panels.ParameterImportancePlot(with_respect_to=score) for score in scores),
    ]
    keys = [f"pictures/{name}" for name in PICTURES]
    media = panels.MediaBrowser(title="pictures", media_keys=keys, mode="grid", grid_x_axis="run", grid_y_axis="index")
    sections = {
        "Learning curves": curves,
        "Which knob matters": matters,
        "Pictures": [media],
        "Runs compared": [panels.RunComparer(diff_only="split")],
    }
    return ws.Workspace(
        entity=entity,
        project=project,
        name="sinefield",
        sections=[ws.Section(name=name, panels=shown, is_open=True) for name, shown in sections.items()],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=50),
        runset_settings=ws.RunsetSettings(
            order=[expr.Ordering(expr.Summary(scores[0]), ascending=False)],
            pinned_columns=[f"summary:{score}" for score in scores],
        ),
    )


def serialised(view: ws.Workspace) -> dict[str, Any]:
    """A workspace as the JSON that W&B stores."""
    return json.loads(view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def save(view: ws.Workspace) -> str:
    """Create the view on the server; its address. `UserError` where the server does not answer or refuses."""
    import wandb  # noqa: PLC0415  only what talks to the server

    try:
        return str(view.save().url)
    except (wandb.errors.Error, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"W&B did not save the workspace ({reason}); `wandb login` first, or use out=FILE") from error
