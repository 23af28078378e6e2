"""metrics.json names this project's commit, never another repository's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sinefield.training import environment

SOURCE = environment.PACKAGE / "__init__.py"
PLACE = Path("src", "sinefield", "__init__.py")


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(root: Path, *files: Path, name: str = "sinefield") -> str:
    """A repository with a pyproject.toml of this name, and the project's source in some places; its commit."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f"[project]\nname = '{name}'\n")
    git(root, "init", "-q")
    for file in files:
        copied(root / file)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    return git(root, "rev-parse", "HEAD")


def copied(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(SOURCE, file))


def test_a_checkout_has_its_commit_and_a_mark_where_it_differs(tmp_path) -> None:
    commit = repository(tmp_path, PLACE)
    assert environment._git_commit(tmp_path / PLACE) == commit
    (tmp_path / "notes.txt").touch()  # untracked
    assert environment._git_commit(tmp_path / PLACE) == commit
    (tmp_path / PLACE).write_text("")
    assert environment._git_commit(tmp_path / PLACE) == commit + "+"
    git(tmp_path, "worktree", "add", "-q", str(tmp_path / "second"))
    assert environment._git_commit(tmp_path / "second" / PLACE) == commit
    (tmp_path / "link").symlink_to(tmp_path / "second")
    assert environment._git_commit(tmp_path / "link" / PLACE) == commit


INSTALLED = Path(".venv", "lib", "python3.11", "site-packages", "sinefield", "environment.py")


@pytest.mark.parametrize(
    ("place", "name", "tracked"),
    [
        (INSTALLED, "theirs", False),
        (INSTALLED, "theirs", True),  # somebody keeps what they have installed
        (
            INSTALLED,
            "sinefield",
            False,
        ),  # an installed copy, perhaps of another version
        (PLACE, "theirs", False),
        (PLACE, "theirs", True),  # a copy among somebody's own packages
        (PLACE, "sinefield", False),  # copied into a repository that has no such file
        (Path("vendor", "sinefield", PLACE), "theirs", True),
    ],
)
def test_a_copy_in_a_repository_has_none(tmp_path, place, name, tracked) -> None:
    repository(tmp_path, *[place] * tracked, name=name)
    file = copied(tmp_path / place)
    if "vendor" in place.parts:
        shutil.copy(tmp_path / "pyproject.toml", tmp_path / "vendor" / "sinefield")
    assert environment._git_commit(file) is None


def test_no_repository_no_commit(tmp_path) -> None:
    assert environment._git_commit(copied(tmp_path / PLACE)) is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'sinefield'\n")
    assert environment._git_commit(tmp_path / PLACE) is None
    for text in ("", "[project", "project = 1", "[project]\nversion = '1'\n"):
        (tmp_path / "pyproject.toml").write_text(text)
        assert environment._git_commit(tmp_path / PLACE) is None


def test_the_repository_that_a_git_hook_runs_in_is_not_asked(tmp_path, monkeypatch) -> None:
    commit = repository(tmp_path / "own", PLACE)
    repository(tmp_path / "theirs", Path("a.py"), name="theirs")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "theirs"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "theirs" / ".git" / "index"))
    assert environment._git_commit(tmp_path / "own" / PLACE) == commit


def test_without_git_there_is_none(tmp_path, monkeypatch) -> None:
    repository(tmp_path, PLACE)
    monkeypatch.setenv("PATH", "")
    assert environment._git_commit(tmp_path / PLACE) is None
