"""tests/demo.sh for an ordinary user, and what it says where only root may make user namespaces."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, ROOT_OF_PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.pyrunc_only("it shows pyrunc")
USER = 12345
DEMO = ROOT_OF_PROJECT / "tests/demo.sh"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not below pytest's own directory: every session that starts closes that to others again."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-demo-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def prepare(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a demo that the user starts."""
    work = tmp_path / "work"
    work.mkdir()
    os.chown(work, USER, USER)
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    return [*become, "bash", str(DEMO), PATH], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(work)}


def test_as_an_ordinary_user(tmp_path: Path) -> None:
    command, environment = prepare(tmp_path)
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result
    assert "create, state, start, kill, delete and run all did what they should" in result.stdout
    assert "Hello from in-the-container: uid=0 gid=0" in result.stdout
    assert list((tmp_path / "work").iterdir()) == []


def test_where_user_namespaces_are_not_allowed(tmp_path: Path) -> None:
    """One line that names the setting.  Tried where our own user namespace sets it: it is the whole machine's else."""
    command, environment = prepare(tmp_path)
    script = 'set -e; echo; read -r _; echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    with subprocess.Popen(
        ["unshare", "--user", "--keep-caps", "sh", "-c", script, "sh", *command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536\n")
        _out, err = process.communicate("go\n", timeout=60)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1, err
    line = err.strip()
    assert line.startswith("demo: this machine lets only root make user namespaces (unshare: unshare failed: ")
    assert "user/max_user_namespaces is 0" in line
    assert line.endswith(": sudo make demo")
