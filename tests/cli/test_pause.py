"""pause and resume, and what other commands do with a paused container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.limits import is_frozen
from cli.runtime import pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

COUNTING = "i=0; while :; do i=$((i + 1)); echo $i > /count; done"


@pytest.fixture
def sleeping(runtime: Runtime, bundle: Bundle) -> str:
    bundle.args("sleep", "100")
    return runtime.run_detached(bundle)


def test_nothing_runs_while_it_is_paused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell(COUNTING)
    container_id = runtime.run_detached(bundle)
    count = bundle.rootfs / "count"
    wait_until(count.exists)
    assert runtime("pause", container_id).ok().out == ""
    assert runtime.state(container_id)["status"] == "paused"
    before = count.read_text()
    time.sleep(0.2)
    assert count.read_text() == before
    assert runtime("resume", container_id).ok().out == ""
    assert runtime.state(container_id)["status"] == "running"
    wait_until(lambda: count.read_text() not in ("", before))


def test_twice(runtime: Runtime, sleeping: str) -> None:
    runtime("resume", sleeping).failed("container not paused")
    runtime("pause", sleeping).ok()
    runtime("pause", sleeping).failed("container not running")
    assert runtime.state(sleeping)["status"] == "paused"
    runtime("resume", sleeping).ok()
    runtime("resume", sleeping).failed("container not paused")
    assert runtime.state(sleeping)["status"] == "running"


def test_many_processes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("for i in $(echo 1 2 3 4 5 6 7 8); do (while :; do true; done) & done; while :; do /bin/true; done")
    container_id = runtime.run_detached(bundle)
    wait_until(lambda: len(pids_of(container_id)) >= 9)
    for _ in range(3):
        runtime("pause", container_id).ok()
        assert is_frozen(container_id)
        runtime("resume", container_id).ok()
        assert not is_frozen(container_id)


def test_created_container(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    runtime("pause", container_id).ok()
    assert runtime.state(container_id)["status"] == "paused"
    runtime("start", container_id).failed("cannot start a container in the paused state")
    runtime("resume", container_id).ok()
    assert runtime.state(container_id)["status"] == "created"
    runtime("start", container_id).ok()


def test_stopped_and_absent(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    runtime("pause", container_id).failed("container not running")
    runtime("resume", container_id).failed("container not paused")
    for command in ("pause", "resume"):
        runtime(command, "nobody").failed("container does not exist")
        runtime(command).failed(f'"{command}" requires exactly 1 argument(s)')


def test_signals_wait_until_it_is_resumed(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("trap 'echo got > /got; exit' TERM; touch /ready; while :; do sleep 0.02; done")
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "ready").exists)
    runtime("pause", container_id).ok()
    runtime("kill", container_id, "TERM").ok()
    assert runtime.state(container_id)["status"] == "paused"
    assert not (bundle.rootfs / "got").exists()
    runtime("resume", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    assert (bundle.rootfs / "got").read_text() == "got\n"


def test_kill_ends_a_paused_container(runtime: Runtime, sleeping: str) -> None:
    runtime("pause", sleeping).ok()
    runtime("kill", sleeping, "KILL").ok()
    runtime.wait_for(sleeping, "stopped")
    runtime("delete", sleeping).ok()


def test_kill_all_ends_a_paused_container(runtime: Runtime, sleeping: str) -> None:
    runtime("pause", sleeping).ok()
    runtime("kill", "--all", sleeping, "9").ok()
    runtime.wait_for(sleeping, "stopped")


@pytest.mark.pyrunc_only  # runc 1.1 thaws it
def test_signals_to_all_leave_it_paused(runtime: Runtime, sleeping: str) -> None:
    runtime("pause", sleeping).ok()
    runtime("kill", "--all", sleeping, "WINCH").ok()
    assert runtime.state(sleeping)["status"] == "paused"


def test_delete(runtime: Runtime, sleeping: str) -> None:
    runtime("pause", sleeping).ok()
    runtime("delete", sleeping).failed(f"cannot delete container {sleeping} that is not stopped: paused")
    assert runtime.state(sleeping)["status"] == "paused"
    runtime("delete", "--force", sleeping).ok()
    assert pids_of(sleeping) == []


def test_what_is_known_of_a_paused_container(runtime: Runtime, sleeping: str) -> None:
    pid = runtime.state(sleeping)["pid"]
    runtime("pause", sleeping).ok()
    assert runtime.state(sleeping)["pid"] == pid
    assert runtime("ps", "--format", "json", sleeping).ok().out == f"[{pid}]\n"
    runtime("update", "--pids-limit", "20", sleeping).ok()
    runtime("events", "--stats", sleeping).ok()
    assert runtime.state(sleeping)["status"] == "paused"
