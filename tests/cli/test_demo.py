"""tests/demo.sh for an ordinary user, and what it says where only root may make user namespaces."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, ROOT_OF_PROJECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pyrunc_only("it shows pyrunc")
USER = 12345
DEMO = ROOT_OF_PROJECT / "tests/demo.sh"


def demo(tmp_path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """As the user, with whatever stands before it as root."""
    work = tmp_path / "work"
    work.mkdir()
    os.chown(work, USER, USER)
    for directory in tmp_path.parents:
        directory.chmod(directory.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    command = [*before, *become, "bash", str(DEMO), PATH]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(work)}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_as_an_ordinary_user(tmp_path: Path) -> None:
    result = demo(tmp_path)
    assert result.returncode == 0, result
    assert "create, state, start, kill, delete and run all did what they should" in result.stdout
    assert "Hello from in-the-container: uid=0 gid=0" in result.stdout
    assert list((tmp_path / "work").iterdir()) == []


def test_where_user_namespaces_are_not_allowed(tmp_path: Path) -> None:
    """One line that names the setting."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    maps = [f"--map-{kind}=0,0,65536" for kind in ("users", "groups")]
    result = demo(tmp_path, "unshare", "--user", *maps, "sh", "-c", forbid, "sh")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("demo: this machine lets only root make user namespaces (unshare: unshare failed: ")
    assert "user/max_user_namespaces is 0" in line
    assert line.endswith(": sudo make demo")
