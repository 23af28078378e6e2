"""What every run loads late, loaded once by the server that forks the processes of `processes.py`.

Modules, Hydra's plugins and configuration files, and machine code: 1 s of the 1.4 s that a small run would take. What
is forked draws a small contact sheet, as runs in the tests' own processes do.
"""

import gc
import sys
from importlib import import_module
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from sinefield import Siren
from sinefield.kernels.dispatch import backend
from sinefield.report import sheet

for name in (
    "evaluation.picture", "losses.value", "report.dashboard", "report.pictures",
    "runs.command", "runs.loggers", "runs.resume_or_repeat", "signals.image", "sweep.jobs",
):  # fmt: skip
    import_module(f"sinefield.{name}")

if "pytest" not in sys.modules:  # which imports this file as well, to look for doctests
    sheet.contact_sheet = lambda panels, *arguments: panels["error"]
threads = torch.get_num_threads()
torch.set_num_threads(1)  # no thread may be there when a process is forked
with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
    compose("train")
with torch.no_grad(), torch.random.fork_rng(devices=[]):
    Siren(2, 1, 16, 1).jet(torch.zeros(4, 2), order=2)
z = torch.zeros(2, 4)
dz = z[None]
backend(z).jet_backward((z, z, dz, dz), (z, dz, dz), None, 30.0)
torch.set_num_threads(threads)
gc.freeze()  # the forked ones need not look through all this
