"""What needs dockerd itself to be started anew: containers that outlive it, and user namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engines.island import USER

if TYPE_CHECKING:
    from engines.daemons import Docker

pytestmark = pytest.mark.slow


def test_live_restore(docker: Docker, name: str) -> None:
    docker.restart("--live-restore")
    docker("run", "--detach", "--name", name, "box", "sleep", "1000").ok()
    before = docker.inspect(name, "{{.State.Pid}}")
    docker.restart("--live-restore")
    assert docker.inspect(name, "{{.State.Status}} {{.State.Pid}}") == f"running {before}"
    docker("exec", name, "echo", "still here").ok("still here")
    docker("rm", "--force", name).ok()


def test_user_namespaces(docker: Docker, name: str) -> None:
    docker.restart("--userns-remap", USER)
    assert docker.run("box", "cat", "/proc/self/uid_map").ok().out.split()[:2] == ["0", "100000000"]
    docker.in_terminal("run", "--rm", "-it", "box", "tty").ok("/dev/pts/0")
    docker("run", "--detach", "--name", name, "--volume", "kept:/v", "box", "sleep", "1000").ok()
    docker("exec", name, "sh", "-c", "id; touch /v/file; ls -ln /v").ok("uid=0(root)")
    docker("exec", "--user", "app", name, "id").ok("uid=1000(app)")
    docker.in_terminal("exec", "-it", name, "tty").ok("/dev/pts/0")
    docker("restart", "--time", "0", name).ok()
    docker("rm", "--force", name).ok()
