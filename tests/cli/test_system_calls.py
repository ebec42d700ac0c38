"""What pyrunc does not do, seen from outside by strace."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle

pytestmark = pytest.mark.pyrunc_only("it is about pyrunc's own system calls")


@pytest.fixture
def calls(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> str:
    """The opens, clones and execves of a whole `run`, of pyrunc and of what it starts."""
    bundle.args("true")
    bundle.save()
    log = tmp_path / "calls"
    argv = ["strace", "-f", "-s", "200", "-e", "trace=openat,openat2,clone3,execve,execveat", "-o", str(log)]
    argv += [PATH, "--root", str(runtime.state_root), "run", "--bundle", str(bundle.path), runtime.new_id()]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
    return log.read_text()


def test_nobody_writes_a_pid_into_cgroup_procs(runtime: Runtime, calls: str) -> None:
    """It would wait 10 ms for an RCU grace period: the stage writes "0" into each `tasks` instead (DESIGN.md)."""
    assert re.search(rf'/{runtime.ids[0]}/tasks", O_WRONLY', calls)
    assert "CLONE_INTO_CGROUP" in calls
    assert not [line for line in calls.splitlines() if "cgroup.procs" in line and "O_RDONLY" not in line]


def test_nothing_but_the_sealed_stage_is_executed(calls: str) -> None:
    """CVE-2019-5736: between pyrunc itself and the container's program there is only the memfd."""
    executed = re.findall(r"execve(?:at)?\((.*?),? \[", calls)
    assert len(executed) == 3
    assert PATH in executed[0]
    assert re.fullmatch(r'\d+, ""', executed[1])
    assert executed[2] in ('"/bin/true"', '"/usr/bin/true"')
