"""A user in a cgroup that was delegated to him (cgroups(7)), without systemd."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))
from systemd_user import box, configure, runtime
from units import CGROUPS, memberships, value_of

if TYPE_CHECKING:
    from cli.runtime import Runtime

__all__ = ["box", "runtime"]
OWN = f"/user.{os.getuid()}"


def create(runtime: Runtime, bundle: Path) -> tuple[str, int]:
    container = runtime.new_id()
    runtime("create", "--bundle", bundle, container).ok()
    return container, runtime.state(container)["pid"]


def test_limits_in_a_delegated_cgroup(runtime: Runtime, box: Path) -> None:
    assert (os.getuid() != 0, memberships(os.getpid())[""]) == (True, f"{OWN}/job")
    configure(box, f"{OWN}/box", "sleep", "1000", memory={"limit": 64 << 20}, pids={"limit": 44})
    container, pid = create(runtime, box)
    assert memberships(pid)[""] == f"{OWN}/box"
    assert value_of(f"{OWN}/box", "", "memory.max") == str(64 << 20)
    assert value_of(f"{OWN}/box", "", "pids.max") == "44"
    runtime("start", container).ok()
    runtime("exec", "--detach", container, "sleep", "1001").ok()
    assert len(value_of(f"{OWN}/box", "", "cgroup.procs").split()) == 2
    runtime("update", "--pids-limit", "33", container).ok()
    assert value_of(f"{OWN}/box", "", "pids.max") == "33"
    runtime("delete", "--force", container).ok()
    assert not (CGROUPS / OWN.lstrip("/") / "box").exists()


def test_a_relative_path_is_beside_ours(runtime: Runtime, box: Path) -> None:
    configure(box, "relative", "sleep", "1000")
    _container, pid = create(runtime, box)
    assert memberships(pid)[""] == f"{OWN}/relative"


def test_what_is_not_delegated_is_refused(runtime: Runtime, box: Path) -> None:
    configure(box, "/elsewhere", "true")
    result = runtime("create", "--bundle", box, runtime.new_id())
    assert result.status == 1
    assert "mkdir /sys/fs/cgroup/elsewhere: EACCES" in result.err
