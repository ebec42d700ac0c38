"""SIGKILL of an engine's shim, and of pyrunc in the foreground below it, while a container runs or is being made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, wait_until
from faults.scenes import ID
from faults.world import bury, children

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from faults.injector import Injector
    from faults.world import World


class Shim:
    """A process that starts `pyrunc run` and does nothing more, and the pid of that.

    `is_held`: it has stopped just before execve, so that the moment to kill it at can be told to 0.1 ms.
    """

    def __init__(self, injector: Injector, bundle: Bundle, *, is_held: bool = False) -> None:
        words = [PATH, "--root", str(injector.state_root), "run", "--bundle", str(bundle.path), ID]
        if is_held:
            words = ["sh", "-c", 'kill -STOP $$; exec "$@"', "held", *words]
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(["sh", "-c", '"$@" & wait', "shim", *words], stdin=null, stdout=null)
        self.injector = injector
        self.runtime = int(wait_until(self._child))
        if is_held:
            wait_until(self._has_stopped)

    def _has_stopped(self) -> bool:
        return ") T " in Path(f"/proc/{self.runtime}/stat").read_text()

    def _child(self) -> str:
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()

    def wait_for_the_container(self) -> None:
        wait_until(lambda: self.status() == "running")

    def status(self) -> str:
        result = self.injector.plain("state", ID)
        document: dict[str, str] = json.loads(result.out) if result.status == 0 else {}
        return document.get("status", "none")

    def kill_shim(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_runtime(self) -> None:
        os.kill(self.runtime, signal.SIGKILL)
        os.waitpid(self.runtime, 0)


def test_the_shim_is_killed(stage: tuple[Injector, Bundle, World]) -> None:
    """pyrunc is not told; the container and what waits for it go on, and end as ever."""
    injector, bundle, world = stage
    shim = Shim(injector, bundle)
    shim.wait_for_the_container()
    shim.kill_shim()
    assert shim.status() == "running"
    injector.plain("kill", ID, "KILL").ok()
    assert os.waitstatus_to_exitcode(os.waitpid(shim.runtime, 0)[1]) == 128 + signal.SIGKILL
    assert shim.status() == "none"
    assert world.left() == {}


@pytest.mark.parametrize("is_shim_killed", [False, True])
def test_pyrunc_is_killed_in_the_foreground(stage: tuple[Injector, Bundle, World], is_shim_killed: bool) -> None:
    """The container goes on without it, as runc's does; delete --force leaves nothing."""
    injector, bundle, world = stage
    shim = Shim(injector, bundle)
    shim.wait_for_the_container()
    if is_shim_killed:
        shim.kill_shim()
        shim.kill_runtime()
    else:
        os.kill(shim.runtime, signal.SIGKILL)
        shim.process.wait()
    assert shim.status() == "running"
    injector.plain("delete", ID).failed("is not stopped")
    injector.plain("delete", "--force", ID).ok()
    assert world.left() == {}


@pytest.mark.parametrize("who", ["shim", "runtime", "both"])
def test_killed_at_any_moment(stage: tuple[Injector, Bundle, World], who: str) -> None:
    """From the first system call to a container that runs: 0 to 10 ms."""
    injector, bundle, world = stage
    seen = set()
    for step in range(25):
        shim = Shim(injector, bundle, is_held=True)
        os.kill(shim.runtime, signal.SIGCONT)
        time.sleep(step * 0.0004)
        if who != "runtime":
            shim.process.kill()
        if who != "shim":
            os.kill(shim.runtime, signal.SIGKILL)
        shim.process.wait()
        seen.add(shim.status())
        injector.plain("delete", "--force", ID).ok()
        if who == "shim":  # it goes on, and may not have made anything yet
            wait_until(
                lambda shim=shim: shim.runtime not in children() or shim.status() == "running" or bury(world.known)
            )
            injector.plain("delete", "--force", ID).ok()
        assert world.left() == {}
    assert len(seen) > 1, f"only {seen}: the moments do not differ"
