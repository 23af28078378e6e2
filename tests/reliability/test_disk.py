"""A disk that is full, a folder that is not ours, names that are odd: one line says so, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from folders import assert_whole
from lives import Ended, Refused, Starved, live
from processes import assert_same, known
from test_killed import RUN, finish, original, undisturbed  # noqa: F401  fixtures

from sinefield.system.status import read

FULL = Refused(errno.ENOSPC)
ONCE = [".hydra/config.yaml", ".lock", "status.json", "run/config.yaml", "csv/hparams.yaml"]  # written at the start
OFTEN = ["csv/metrics.csv", "history.csv", "best.ckpt", "last.ckpt", "contact_sheet.png", "metrics.json"]


def said(ended: Ended) -> str:
    """What a life had to say beside its progress."""
    lines = ended.said.splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() and not line.startswith("fit "))


def test_a_run_that_finds_the_disk_full_again_and_again(undisturbed, tmp_path) -> None:  # noqa: F811
    """Each time it says which file, and goes on from its latest checkpoint once there is room."""
    expected, _ = undisturbed
    folder = tmp_path / "run"
    command = [*RUN, f"hydra.run.dir={folder}"]
    for file in (".hydra/config.yaml", "last.ckpt", "contact_sheet.png", "metrics.json"):
        ended = live(*command, place=tmp_path, at=file, fault=FULL)
        assert ended.status == 1
        assert said(ended).startswith("error: "), ended.said
        assert "No space left on device" in said(ended)
        assert said(ended).count("\n") == 1, ended.said
        assert_whole(folder)
        assert not (folder / "metrics.json").exists()
        if file != ".hydra/config.yaml":
            assert f"{file} cannot be written" in said(ended)
            assert f"resume={folder} goes on" in said(ended)
            command = [f"resume={folder}"]
    finish(tmp_path, expected)


@pytest.mark.nightly
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO], ids=os.strerror)
@pytest.mark.parametrize("file", ONCE + OFTEN)
def test_a_write_of_each_kind_that_is_refused_for_each_reason(file, number, undisturbed, tmp_path) -> None:  # noqa: F811
    folder = tmp_path / "run"
    ended = live(*RUN, f"hydra.run.dir={folder}", place=tmp_path, at=file, fault=Refused(number))
    assert ended.status == 1
    assert said(ended).startswith("error: "), ended.said
    assert os.strerror(number) in said(ended)
    assert said(ended).count("\n") == 1, ended.said
    assert read(folder)["state"] in ("new", "killed")
    assert_whole(folder)
    finish(tmp_path, undisturbed[0])


@pytest.mark.nightly
@pytest.mark.parametrize("file", OFTEN)
def test_a_run_that_is_out_of_memory_goes_on_when_there_is_some(file, undisturbed, tmp_path) -> None:  # noqa: F811
    folder = tmp_path / "run"
    ended = live(*RUN, f"hydra.run.dir={folder}", place=tmp_path, at=file, fault=Starved(0))
    print(file, ended.status, said(ended).splitlines()[-1:])
    assert_whole(folder)
    assert ended.status == 0 or read(folder)["state"] in ("failed", "killed", "interrupted")
    finish(tmp_path, undisturbed[0])


SMALL_DISK = """
mount -t tmpfs -o size=64k none {disk} || exit 77
{train} {run} hydra.run.dir={disk}/run
echo "status $?" >&2
mount -o remount,size=8m {disk} || exit 77
{train} resume={disk}/run && cp -r {disk}/run {out}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
def test_a_real_disk_that_is_full_and_then_larger(undisturbed, tmp_path) -> None:  # noqa: F811
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    train = f"{sys.executable} {ROOT / 'train.py'}"
    script = SMALL_DISK.format(disk=disk, train=train, run=" ".join(RUN), out=out)
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode in (1, 77) and not out.exists() and "status" not in done.stderr:
        pytest.skip(f"this system lets us mount nothing: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^error: .* cannot be written \(No space left on device\)", done.stderr, re.MULTILINE)
    assert "status 1\n" in done.stderr
    assert_whole(out)
    assert_same(undisturbed[0], known(out))


@pytest.mark.slow
def test_a_folder_that_is_not_ours_is_named_in_a_line(tmp_path) -> None:
    tmp_path.chmod(0o555)
    command = [sys.executable, str(ROOT / "train.py"), *RUN]
    if os.geteuid() == 0:  # who may write anywhere, but for this
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere, and there is no setpriv to change that")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all", *command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: [Errno 13] Permission denied: 'outputs"), done.stderr
    assert done.stderr.endswith("choose another hydra.run.dir\n")
    assert done.stderr.count("\n") == 1


def test_odd_names_are_names(tmp_path) -> None:
    place = tmp_path / "Käse & 'Brot' = 日本, 1"
    place.mkdir()
    for arguments in ([*RUN, "hydra.run.dir=run"], ["repeat=run", "hydra.run.dir=run/ütf 8, {again}"]):
        ended = live(*arguments, place=place)
        assert ended.status == 0, ended.said
    assert "identical" in ended.said
    assert_whole(place / "run")


def test_a_name_that_is_too_long_and_one_that_cannot_be_read_are_explained(tmp_path) -> None:
    ended = live(*RUN, f"name={'x' * 300}", place=tmp_path)
    assert ended.status == 1
    assert said(ended).startswith("error: [Errno 36] File name too long")
    assert said(ended).endswith("choose another hydra.run.dir\n")
    ended = live(*RUN, "hydra.run.dir=Käse", place=tmp_path)
    assert ended.status == 1
    assert said(ended).startswith("error: hydra.run.dir=Käse cannot be read; put ")
