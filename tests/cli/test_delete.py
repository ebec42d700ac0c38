"""delete: what is stopped goes, what runs stays unless forced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.runtime import Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle


def is_gone(runtime: Runtime, container_id: str) -> bool:
    runtime("state", container_id).failed("container does not exist")
    assert not (runtime.state_root / container_id).exists()
    return not pids_of(container_id) and not cgroups_of(container_id)


def test_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    result = runtime("delete", container_id).ok()
    assert (result.out, result.err) == ("", "")
    assert is_gone(runtime, container_id)
    runtime("delete", container_id).failed("container does not exist")


def test_created(runtime: Runtime, bundle: Bundle) -> None:
    """Not what the spec says; engines rely on it (docs/compat.md)."""
    bundle.shell("touch /started")
    container_id = runtime.create(bundle)
    runtime("delete", container_id).ok()
    assert is_gone(runtime, container_id)
    assert not (bundle.rootfs / "started").exists()


def test_running(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    words = f"cannot delete container {container_id} that is not stopped: running"
    runtime("delete", container_id).failed(words)
    assert runtime.state(container_id)["status"] == "running"


@pytest.mark.parametrize("flags", [("--force",), ("-f",), ("-force",), ("--force=true",)])
def test_force(runtime: Runtime, bundle: Bundle, flags: tuple[str, ...]) -> None:
    bundle.shell("sleep 100 & sleep 100")
    container_id = runtime.run_detached(bundle)
    runtime("delete", *flags, container_id).ok()
    assert is_gone(runtime, container_id)


def test_force_behind_the_id(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime("delete", container_id, "--force").ok()
    assert is_gone(runtime, container_id)


def test_absent(runtime: Runtime) -> None:
    runtime("delete", "nobody").failed("container does not exist")
    result = runtime("delete", "--force", "nobody").ok()
    assert (result.out, result.err) == ("", "")


def test_process_killed_from_outside(runtime: Runtime, bundle: Bundle) -> None:
    import os
    import signal

    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    os.kill(runtime.state(container_id)["pid"], signal.SIGKILL)
    runtime.wait_for(container_id, "stopped")
    runtime("delete", container_id).ok()
    assert is_gone(runtime, container_id)


def test_processes_left_in_the_cgroup(runtime: Runtime, bundle: Bundle) -> None:
    """Without a pid namespace the children outlive the first process; delete must not leave them."""
    bundle.without_namespace("pid")
    bundle.mounts[0] = {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sleep 100 & touch /ready; sleep 100")
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "ready").exists)
    runtime("delete", "--force", container_id).ok()
    wait_until(lambda: is_gone(runtime, container_id))
