"""A create that does not come to its end leaves nothing that delete could not remove."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle

pytestmark = pytest.mark.pyrunc_only("runc leaves the init, the cgroup and the directory of a killed create")


def heed_sigint() -> None:
    """A shell that puts the tests into the background has them, and so what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def creating(runtime: Runtime, bundle: Bundle) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A create that is in its createRuntime hook."""
    bundle.args("sleep", "100")
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "3"]}]}
    bundle.save()
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root), "create", "--bundle", str(bundle.path), container_id]
    null = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, preexec_fn=heed_sigint) as process:
        wait_until(lambda: pids_of(container_id))
        yield process, container_id
        process.kill()


def test_it_is_creating_meanwhile(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"a": "b"}
    with creating(runtime, bundle) as (process, container_id):
        assert runtime.state(container_id)["status"] == "creating"
        assert runtime.state(container_id)["pid"] == 0
        assert runtime.state(container_id)["annotations"] == {"a": "b"}
        runtime("kill", container_id, "KILL").failed("container not running")
        assert process.wait(30) == 0
    assert runtime.state(container_id)["status"] == "created"


def test_killed(runtime: Runtime, bundle: Bundle) -> None:
    with creating(runtime, bundle) as (process, container_id):
        process.kill()
        process.wait(30)
        wait_until(lambda: pids_of(container_id) == [])
        assert runtime.state(container_id)["status"] == "stopped"
        runtime("start", container_id).failed("cannot start a container that has stopped")
        runtime("delete", container_id).ok()
        assert cgroups_of(container_id) == []


def test_killed_and_forced(runtime: Runtime, bundle: Bundle) -> None:
    with creating(runtime, bundle) as (process, container_id):
        process.kill()
        process.wait(30)
        runtime("delete", "--force", container_id).ok()
        assert (pids_of(container_id), cgroups_of(container_id)) == ([], [])


def test_interrupted_from_the_keyboard(runtime: Runtime, bundle: Bundle) -> None:
    with creating(runtime, bundle) as (process, container_id):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
        wait_until(lambda: (pids_of(container_id), cgroups_of(container_id)) == ([], []))
        runtime("state", container_id).failed("container does not exist")


def test_killed_while_it_copies(runtime: Runtime, bundle: Bundle) -> None:
    """tmpcopyup is done by a second stage: it ends with the runtime, as the first one does."""
    (bundle.rootfs / "data").mkdir()
    for number in range(64):
        with (bundle.rootfs / f"data/{number}").open("wb") as file:
            file.truncate(1 << 30)
    options = ["tmpcopyup", "size=100g"]
    bundle.mounts.append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options})
    bundle.linux["resources"]["memory"] = {"limit": 2 << 30}
    bundle.args("true")
    bundle.save()
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root), "create", "--bundle", str(bundle.path), container_id]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: len(pids_of(container_id)) == 2)
        process.kill()
    wait_until(lambda: pids_of(container_id) == [])
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(container_id) == []


def test_killed_at_any_time(runtime: Runtime, bundle: Bundle) -> None:
    """Forty moments spread over a create: whatever there is, delete --force removes it, and the id is free again."""
    bundle.args("true")
    bundle.save()
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root), "create", "--bundle", str(bundle.path), container_id]
    null = subprocess.DEVNULL
    for moment in range(40):
        with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, preexec_fn=heed_sigint) as process:
            time.sleep(0.004 * moment)
            process.kill()
        runtime("delete", "--force", container_id).ok()
        assert (pids_of(container_id), cgroups_of(container_id)) == ([], [])
    runtime.create(bundle)


def test_a_start_that_was_killed_leaves_the_fifo(runtime: Runtime, bundle: Bundle) -> None:
    """Between the end of the stage and the unlink(2) of the fifo: the container runs, and is not one to be started."""
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    os.mkfifo(runtime.state_root / container_id / "exec.fifo")
    assert runtime.state(container_id)["status"] == "running"
    runtime("start", container_id).failed("cannot start an already running container")
    runtime("delete", container_id).failed("that is not stopped: running")
    runtime("kill", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")
    runtime("delete", container_id).ok()
