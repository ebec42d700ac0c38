"""What is installed works without the checkout, and starts Python with the flags that keep it safe."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rules.source import TOP

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = ("isolated", "no_site", "ignore_environment", "no_user_site", "dont_write_bytecode", "utf8_mode", "safe_path")
# A hook into the interpreter that every start runs, were the environment not ignored.
HOSTILE = "import sys, posix; posix.write(2, b'hostile module was run'); posix._exit(66)"


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={"PATH": os.defpath, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make install` into an empty prefix."""
    prefix = tmp_path_factory.mktemp("prefix")
    result = run("make", "install", f"PREFIX={prefix}", cwd=TOP, HOME=os.environ.get("HOME", "/root"))
    assert result.returncode == 0, result.stderr
    return prefix


@pytest.fixture(scope="module")
def installed_by_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip install` of a copy of the sources, which is removed, into an empty environment."""
    top = tmp_path_factory.mktemp("pip")
    copy = top / "copy"
    copy.mkdir()
    for name in ("csrc", "runtime", "spec", "setup.py", "pyproject.toml", "README.md"):
        assert run("cp", "-a", TOP / name, copy, cwd=TOP).returncode == 0
    assert run("/usr/bin/python3", "-m", "venv", top / "venv", cwd=top).returncode == 0
    settings = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME"))}
    result = run(top / "venv/bin/pip", "install", "-q", copy, cwd=top, **settings)
    assert result.returncode == 0, result.stderr
    assert run("rm", "-r", copy, cwd=top).returncode == 0
    return top / "venv"


def check_launcher(launcher: Path, tmp_path: Path) -> None:
    """Version from a directory full of traps, the interpreter's flags, nothing read from the checkout."""
    traps = tmp_path / "traps"
    traps.mkdir()
    for name in ("posix", "json", "encodings", "sitecustomize", "usercustomize", "pyrunc", "errno", "io"):
        (traps / f"{name}.py").write_text(HOSTILE)
    environment = {"PYTHONPATH": str(traps), "PYTHONHOME": str(traps), "PYTHONSTARTUP": str(traps / "json.py")}
    result = run(launcher, "--version", cwd=traps, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("pyrunc version ")
    link = tmp_path / "pyrunc"
    link.symlink_to(launcher)
    assert run(link, "--version", cwd=traps).stdout == result.stdout
    inside = "import sys; print([int(getattr(sys.flags, name)) for name in sys.argv[1:]])"
    interpreter = launcher.read_text().splitlines()[0].removeprefix("#!").split()
    assert run(*interpreter, "-c", inside, *FLAGS, cwd=traps).stdout == f"{[1] * len(FLAGS)}\n"
    trace = run("strace", "-f", "-e", "trace=openat,open,execve", launcher, "--version", cwd=traps)
    assert "pyrunc/cli/__pycache__/main" in trace.stderr
    assert str(TOP) not in trace.stderr
    assert str(traps) not in trace.stderr.replace(f'execve("{launcher}', "")


def test_installed_launcher(installed: Path, tmp_path: Path) -> None:
    check_launcher(installed / "bin/pyrunc", tmp_path)


def test_launcher_installed_by_pip(installed_by_pip: Path, tmp_path: Path) -> None:
    check_launcher(installed_by_pip / "bin/pyrunc", tmp_path)


def test_installed_files_belong_to_root_and_are_compiled(installed: Path) -> None:
    files = [path for path in installed.rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_uid != os.geteuid() or path.stat().st_mode & 0o022] == []
    library = installed / "lib/pyrunc"
    sources = [path for package in ("pyrunc", "ocispec") for path in (library / package).rglob("*.py")]
    tag = f"cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc"
    assert len(sources) > 20
    assert [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}").exists()] == []
    assert (library / "_pyrunc_stage").stat().st_mode & 0o111
