"""The smallest limits: a container starts in them, or the error names the one that stopped it (issue 6, part 6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.bundle import in_user_namespace
from cli.runtime import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.bundle import Bundle
    from cli.runtime import Runtime

KIB = 1024


def plain(_bundle: Bundle) -> None:
    pass


def limit(bundle: Bundle, **limits: object) -> None:
    bundle.linux["resources"] |= limits


@pytest.mark.parametrize("kind", [plain, in_user_namespace], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("kib", [512, 1024, 4096])
def test_little_memory_is_enough(runtime: Runtime, bundle: Bundle, kib: int, kind: object) -> None:
    """runc 1.1.5 needs 2 MiB for its own init."""
    limit(bundle, memory={"limit": kib * KIB})
    assert callable(kind)
    kind(bundle)
    bundle.args("echo", "up")
    assert runtime.run(bundle).ok().out == "up\n"


def test_too_little_memory_is_said(runtime: Runtime, bundle: Bundle) -> None:
    limit(bundle, memory={"limit": 4 * KIB})
    result = runtime.run(bundle).failed("OOM in init")
    assert "container init was OOM-killed (memory limit too low?)" in result.err
    assert "is 4096" in result.err


def test_a_process_killed_by_somebody_is_no_oom(runtime: Runtime, bundle: Bundle) -> None:
    """A hook in the container ends its own init: signal 9, and memory has nothing to do with it."""
    script = 'read state; pid=${state#*\\"pid\\":}; kill -9 ${pid%%,*}'
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    limit(bundle, memory={"limit": 64 << 20})
    result = runtime.run(bundle)
    assert result.status == 1
    assert "OOM" not in result.err


def with_time(bundle: Bundle) -> None:
    bundle.namespace("time")


@pytest.mark.parametrize("kind", [plain, in_user_namespace, with_time], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_few_processes(runtime: Runtime, bundle: Bundle, kind: Callable[[Bundle], None], most: int) -> None:
    """A birth may take two processes; the container has what config.json says from its first moment on."""
    limit(bundle, pids={"limit": most})
    kind(bundle)
    bundle.shell("for n in 1 2 3 4; do sleep 1000 & done; echo not reached")
    container_id = runtime.create(bundle)
    pids = Path("/sys/fs/cgroup/pids", container_id)
    assert (pids / "pids.max").read_text() == f"{most}\n"
    assert (pids / "pids.current").read_text() == "1\n"
    runtime("start", container_id).ok()
    wait_until(lambda: int((pids / "pids.events").read_text().split()[1]) > 0)


def test_one_process_too_few_is_said(runtime: Runtime, bundle: Bundle) -> None:
    limit(bundle, pids={"limit": 1})
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    runtime.run(bundle).failed("pids.max, is 1")


def test_no_room_for_an_exec_is_said(runtime: Runtime, bundle: Bundle) -> None:
    limit(bundle, pids={"limit": 2})
    bundle.shell("sleep 100 & wait")
    container_id = runtime.run_detached(bundle)
    current = Path("/sys/fs/cgroup/pids", container_id, "pids.current")
    wait_until(lambda: current.read_text() == "2\n")
    runtime("exec", container_id, "true").failed("pids.max, is 2", status=255)
