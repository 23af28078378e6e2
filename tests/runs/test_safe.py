"""How a command ends (tests/runs/test_train.py has its mistakes), and what of the user's it never tells or opens."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from conftest import SMALL
from processes import run, start

from sinefield.report import dashboard

CANARY = "c4n4ry0123456789abcdef0123456789abcdef01"  # as long as a W&B key


def holding(folder: Path, text: str) -> list[Path]:
    """The files below a folder in which some text stands, whole or in base64's or UTF-16's disguise."""
    forms = [text.encode(), text.encode("utf-16-le")]
    return [p for p in folder.rglob("*") if p.is_file() and any(form in p.read_bytes() for form in forms)]


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_no_secret_of_the_environment_is_kept(logger, fit, tmp_path, monkeypatch) -> None:
    for name in ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "SOMETHING"):
        monkeypatch.setenv(name, CANARY)
    fit(*SMALL, f"logger={logger}")
    dashboard.build(tmp_path / "run")
    assert holding(tmp_path, "SOMETHING") == holding(tmp_path, CANARY) == []
    (tmp_path / "control").write_text(CANARY)
    assert holding(tmp_path, CANARY) == [tmp_path / "control"]


def sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process and its children hold."""
    found = set()
    for process in [pid, *(int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            try:
                found |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(descriptor)))
            except FileNotFoundError:  # closed meanwhile
                continue
    return found


def listening() -> dict[str, str]:
    """Inode and address of every socket of this machine that waits for a connection over a network."""
    rows = [row.split() for kind in ("tcp", "tcp6") for row in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    return {row[9]: row[1] for row in rows if row[3] == "0A"}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux tells of its sockets")
def test_nothing_listens_on_a_port_while_a_run_goes_on(tmp_path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)):
        assert sockets(os.getpid()) & listening().keys()  # it would be seen
    looks = 0
    with start(*SMALL, "trainer.max_steps=300", f"hydra.run.dir={tmp_path}/run", cwd=tmp_path) as process:
        while process.poll() is None:
            try:
                assert not sockets(process.pid) & listening().keys()
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended
                break
            looks += 1
            time.sleep(0.05)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert looks > 10


def test_a_command_ends_by_a_documented_status(tmp_path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "defect.py").write_text(
        "from sinefield.losses.value import Value\n\n\nclass Defect(Value):\n    'Mine.'\n\n"
        "    def __call__(self, field, known, x):\n        raise KeyError('gone')\n"
    )
    more = {"env": os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), "own"])}}
    traced = run("signal.size=0", "debug=true", cwd=tmp_path)
    assert traced.returncode == 1
    assert "Traceback" in traced.stderr
    broken = run(
        *SMALL, "loss.terms.value._target_=defect.Defect", f"hydra.run.dir={tmp_path}/run", cwd=tmp_path, **more
    )
    assert broken.returncode == 70
    assert "Traceback" not in broken.stderr
    assert (
        "error: KeyError: 'gone' (a defect of sinefield or of your own class; debug=true shows where)" in broken.stderr
    )
    assert "Traceback" in (tmp_path / "run" / "error.txt").read_text()
