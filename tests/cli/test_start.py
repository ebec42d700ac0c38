"""start: once, and only what was created."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime


def test_runs_the_process(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo $$ > /pid")
    container_id = runtime.create(bundle)
    runtime("start", container_id).ok()
    state = runtime.wait_for(container_id, "stopped")
    assert state["pid"] == 0
    assert (bundle.rootfs / "pid").read_text() == "1\n"


def test_prints_nothing(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    result = runtime("start", container_id).ok()
    assert (result.out, result.err) == ("", "")


def test_running(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    assert runtime.state(container_id)["status"] == "running"
    runtime("start", container_id).failed("cannot start an already running container")


def test_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    runtime("start", container_id).failed("cannot start a container that has stopped")


def test_killed_before(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    runtime("kill", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")
    runtime("start", container_id).failed("cannot start a container that has stopped")


def test_absent(runtime: Runtime) -> None:
    runtime("start", "nobody").failed("container does not exist")
    runtime("start", "a/b").failed("invalid container ID format")
