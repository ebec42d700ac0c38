"""Many containers, one after the other and at once: nothing may be left, however small.

The full numbers (1,000 in a row, 200 by eight) are marked slow: `make test-long`.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

WORKERS = 8
PREFIX = f"clitest-{os.getpid()}-"  # what Runtime.new_id begins with


def traces() -> dict[str, list[str]]:
    """What our containers left on the host: all of it must be empty."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    hierarchies = [line.split()[4] for line in mounts if " - cgroup" in line]
    return {
        "processes": [pid for pid in os.listdir("/proc") if pid.isdigit() and belongs_to_us(pid)],
        "mounts": [line for line in mounts if PREFIX in line],
        "cgroups": [
            path for top in hierarchies for path, _children, _files in os.walk(top) if PREFIX in os.path.basename(path)
        ],
        "keyrings": [line for line in Path("/proc/keys").read_text().splitlines() if PREFIX in line],
    }


def belongs_to_us(pid: str) -> bool:
    try:
        return PREFIX in Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def cycle(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root)]
    for words in (["create", "-b", str(bundle.path), container_id], ["start", container_id]):
        subprocess.run([*argv, *words], check=True, timeout=60, stdin=subprocess.DEVNULL)
    runtime.wait_for(container_id, "stopped")
    subprocess.run([*argv, "delete", container_id], check=True, timeout=60, stdin=subprocess.DEVNULL)
    runtime.ids.remove(container_id)  # `traces` looks for all of them at once


def soak(runtime: Runtime, bundle: Bundle, count: int, workers: int) -> None:
    bundle.args("true")
    bundle.save()
    open_before = descriptors()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _number: cycle(runtime, bundle), range(count)))
    wait_until(lambda: not any(traces().values()))
    assert os.listdir(runtime.state_root) == []
    assert descriptors() == open_before
    assert sorted(entry.name for entry in bundle.path.iterdir()) == ["config.json", "rootfs"]


def test_in_a_row(runtime: Runtime, bundle: Bundle) -> None:
    soak(runtime, bundle, 20, 1)


def test_at_once(runtime: Runtime, bundle: Bundle) -> None:
    soak(runtime, bundle, 24, WORKERS)


@pytest.mark.slow
def test_a_thousand_in_a_row(runtime: Runtime, bundle: Bundle) -> None:
    soak(runtime, bundle, 1000, 1)


@pytest.mark.slow
def test_two_hundred_at_once(runtime: Runtime, bundle: Bundle) -> None:
    soak(runtime, bundle, 200, WORKERS)


def test_the_same_id_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """Of eight creates of one id exactly one wins, and deleting it eight times at once leaves nothing."""
    bundle.save()
    container_id = runtime.new_id()

    def create(_number: int) -> tuple[int, str]:
        result = runtime("create", "-b", bundle.path, container_id)
        return result.status, result.err

    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(create, range(WORKERS)))
    assert sorted(status for status, _err in results) == [0] + [1] * (WORKERS - 1), results
    assert all("container with given ID already exists" in err for status, err in results if status)
    assert runtime.state(container_id)["status"] == "created"
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _number: runtime("delete", "--force", container_id).ok(), range(WORKERS)))
    assert os.listdir(runtime.state_root) == []
