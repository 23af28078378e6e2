"""The built wheel in an environment of its own, from another folder: the program, own choices, scripts, `fit`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONF, ROOT
from skimage.data import camera

SMALL = ["signal.size=16", "field.width=16", "field.depth=1", "trainer.max_steps=2", "trainer.accelerator=cpu"]
EXTENDING = (ROOT / "docs" / "extending.md").read_text()  # its example of an activation is the one that is added here
MODULE, CHOICE = (re.search(rf"```{kind}\n(.*?)```", EXTENDING, re.DOTALL)[1] for kind in ("python", "yaml"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment with the wheel; all else is where this one finds it, but for sinefield."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", "outputs", "build", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored, symlinks=True)
    build = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "-q", "-w", str(place)]
    if subprocess.run([sys.executable, "-c", "import setuptools"], capture_output=True, check=False).returncode == 0:
        build.append("--no-build-isolation")
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "env")], check=True)
    packages = next((place / "env" / "lib").glob("python*")) / "site-packages"
    unpack = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(packages)]
    subprocess.run([*unpack, str(next(place.glob("*.whl")))], check=True)
    (packages / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return place / "env" / "bin" / "python"


@pytest.fixture
def call(python, tmp_path):
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str, status: int = 0) -> str:
        done = subprocess.run([python, *arguments], cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


def test_it_is_the_wheel_that_runs_and_it_holds_all_of_conf(python, call) -> None:
    home = Path(call("-c", "import sinefield; print(sinefield.__file__)").strip()).parent
    assert home.is_relative_to(python.parents[1])
    files = [{path.relative_to(conf) for path in conf.rglob("*.yaml")} for conf in (CONF, home / "conf")]
    assert files[0] == files[1]


def test_the_program_from_another_folder(call, tmp_path) -> None:
    from PIL import Image

    Image.fromarray(camera()[::8, ::8]).save(tmp_path / "cat.jpg")
    program = ["-m", "sinefield"]
    assert "there is no loss/lapl; choose from: arrivals" in call(*program, "loss=lapl", status=1)
    assert "resume=FOLDER" in call(*program, "--help")
    call(*program, "loss=laplacian", "signal.path=cat.jpg", "hydra.run.dir=run", *SMALL)
    assert "identical" in call(*program, "repeat=run", "hydra.run.dir=again")
    call(*program, "resume=run", "trainer.max_steps=4")
    call(*program, "-m", "seed=1,2", *SMALL)
    assert len(list((tmp_path / "outputs" / "fit").glob("sweep*/seed=*/metrics.json"))) == 2
    call("-m", "sinefield.scripts.render", "run=run", "scale=2")
    assert (tmp_path / "run" / "render.png").is_file()
    call("-m", "sinefield.scripts.dashboard", "outputs/fit")
    assert (tmp_path / "outputs" / "fit" / "dashboard.html").is_file()


@pytest.mark.parametrize("where", ["conf", "elsewhere"])
def test_an_activation_of_ones_own_without_a_clone(where, call, tmp_path) -> None:
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "silu.py").write_text(MODULE)
    (tmp_path / where / "activation").mkdir(parents=True)
    own = CHOICE.replace("sinefield.activations.silu", "mypackage.silu")
    (tmp_path / where / "activation" / "silu.yaml").write_text(own)
    (tmp_path / where / "activation" / "sine.yaml").write_text("# not read: sinefield has a sine\nactivation: null\n")
    given = [] if where == "conf" else ["--config-dir", where]
    call("-m", "sinefield", *given, "activation=silu", "encoding=positional", "hydra.run.dir=run", *SMALL)
    assert "mypackage.silu.SiLU" in (tmp_path / "run" / "config.yaml").read_text()
    call("-m", "sinefield", *given, "hydra.run.dir=sine", *SMALL)
    assert "activations.sine.Sine" in (tmp_path / "sine" / "config.yaml").read_text()
    many = ["-m", "activation=silu,sine", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    call("-m", "sinefield", *given, *many, *SMALL)
    assert len(list((tmp_path / "outputs" / "fit").glob("sweep*/activation=*/metrics.json"))) == 2
    if where == "conf":
        script = (
            f"fitted = fit(None, *{SMALL}, activation='silu')\nprint(fitted.field.activation, fitted.picture.shape)"
        )
        assert "SiLU() (16, 16)" in call("-c", f"from sinefield import fit\n{script}")
