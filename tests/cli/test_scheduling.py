"""process.scheduler, ioPriority, execCPUAffinity and memoryPolicy, as the kernel then has them (runc from 1.2 on)."""

from __future__ import annotations

import ctypes
import os
import subprocess
from _struct import Struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.limits import IS_V2
from pyrunc.program.numbers import NUMBERS

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only("runc 1.1 knows none of them")
PER_LINUX32 = 8  # <linux/personality.h>
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBER = NUMBERS["x86_64"]
ATTRIBUTES = Struct("<IIQiIQQQ")  # struct sched_attr: sched_setattr(2)


def system_call(name: str, *arguments: Any) -> int:
    result: int = LIBC.syscall(NUMBER[name], *arguments)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result


def attributes(pid: int) -> tuple[int, ...]:
    """(policy, flags, nice, priority, runtime, deadline, period)."""
    memory = ctypes.create_string_buffer(ATTRIBUTES.size)
    system_call("sched_getattr", pid, memory, ATTRIBUTES.size, 0)
    return ATTRIBUTES.unpack(memory.raw)[1:]


def started(runtime: Runtime, bundle: Bundle) -> int:
    bundle.args("sleep", "60")
    pid: int = runtime.state(runtime.run_detached(bundle))["pid"]
    return pid


def may_be_real_time() -> bool:
    """Whether the cgroup of these tests lets a process be."""
    return subprocess.run(["chrt", "--fifo", "1", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"policy": "SCHED_OTHER", "nice": 5}, (0, 0, 5, 0)),
        ({"policy": "SCHED_BATCH", "nice": 7}, (3, 0, 7, 0)),
        ({"policy": "SCHED_IDLE"}, (5, 0, os.nice(0), 0)),  # the caller's: sched(7)
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, (0, 1, 0, 0)),
    ],
)
def test_policies(runtime: Runtime, bundle: Bundle, asked: dict[str, Any], found: tuple[int, ...]) -> None:
    bundle.process["scheduler"] = asked
    assert attributes(started(runtime, bundle))[:4] == found


DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 10**6, "deadline": 10**8, "period": 10**9}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"policy": "SCHED_FIFO", "priority": 3}, (1, 0, 0, 3)),
        ({"policy": "SCHED_RR", "priority": 99}, (2, 0, 0, 99)),
        (DEADLINE, (6, 0, 0, 0, 10**6, 10**8, 10**9)),
        (DEADLINE | {"flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]}, (6, 6, 0, 0, 10**6, 10**8, 10**9)),
    ],
)
def test_real_time(runtime: Runtime, bundle: Bundle, asked: dict[str, Any], found: tuple[int, ...]) -> None:
    """With a share of the cpu cgroup's real-time budget: the first two need it (CONFIG_RT_GROUP_SCHED).

    Version 2 has none to give away: on such a kernel nobody below the root gets either.
    """
    bundle.process["scheduler"] = asked
    if not IS_V2:
        bundle.linux["resources"]["cpu"] = {"realtimePeriod": 1_000_000, "realtimeRuntime": 10_000}
    elif asked["policy"] != "SCHED_DEADLINE" and not may_be_real_time():
        runtime.run(bundle).failed(f"process.scheduler {asked['policy']}: set the scheduler: EPERM")
        return
    assert attributes(started(runtime, bundle))[: len(found)] == found


def test_real_time_without_a_budget(runtime: Runtime, bundle: Bundle) -> None:
    """The error says what may be missing."""
    bundle.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 1}
    error = runtime.run(bundle).failed("process.scheduler SCHED_FIFO: set the scheduler: EPERM").err
    assert "it takes CAP_SYS_NICE and, in the cpu cgroup, real-time time" in error


def test_a_deadline_on_some_of_the_processors(runtime: Runtime, bundle: Bundle) -> None:
    """runc's words; sched(7): the affinity must be that of the root domain."""
    bundle.process["scheduler"] = DEADLINE
    bundle.linux["resources"]["cpu"] = {"cpus": "0", "mems": "0"}
    runtime.run(bundle).failed("process scheduler can't be used together with AllowedCPUs")


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ({"class": "IOPRIO_CLASS_BE", "priority": 6}, 2 << 13 | 6),
        ({"class": "IOPRIO_CLASS_IDLE"}, 3 << 13),
        ({"class": "IOPRIO_CLASS_RT", "priority": 0}, 1 << 13),
    ],
)
def test_io_priority(runtime: Runtime, bundle: Bundle, asked: dict[str, Any], value: int) -> None:
    bundle.process["ioPriority"] = asked
    assert system_call("ioprio_get", 1, started(runtime, bundle)) == value


@pytest.mark.parametrize(
    ("affinity", "found"),
    [
        ({"initial": "0", "final": "1"}, {1}),
        ({"initial": "0"}, {0}),
        ({"final": "0-1,1500,4095-4096"}, {0, 1}),
        ({"initial": "8191,0"}, {0}),
    ],
)
def test_affinity_of_an_exec(runtime: Runtime, bundle: Bundle, affinity: dict[str, str], found: set[int]) -> None:
    """What comes last holds; processors that this machine has not, beyond 1024 too, are no error."""
    bundle.process["execCPUAffinity"] = affinity
    bundle.args("sleep", "60")
    container_id = runtime.run_detached(bundle)
    script = "grep Cpus_allowed_list /proc/self/status"
    out = runtime("exec", container_id, "sh", "-c", script).ok().out.split()[1]
    assert out == ",".join(map(str, sorted(found))).replace("0,1", "0-1")


@pytest.mark.parametrize("text", ["9000", "x", "3-1", "0-", "-1", "0,,1"])
def test_what_is_no_list_of_processors(runtime: Runtime, bundle: Bundle, text: str) -> None:
    bundle.process["execCPUAffinity"] = {"final": text}
    bundle.args("sleep", "60")
    bundle.save()
    container_id = runtime.new_id()
    result = runtime("create", "-b", bundle.path, container_id)
    if result.status == 0:  # a list, but of processors that no kernel has: that is for exec to say
        result = runtime("exec", container_id, "true")
        assert result.status == 255
    assert "execCPUAffinity" in result.err


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "bind=relative:0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "weighted interleave:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_memory_policy(runtime: Runtime, bundle: Bundle, policy: dict[str, Any], words: str) -> None:
    """numa_maps(5) shows the policy of each mapping; exec has the container's."""
    bundle.linux["memoryPolicy"] = policy
    pid = started(runtime, bundle)
    assert f" {words} " in Path(f"/proc/{pid}/numa_maps").read_text()
    assert f" {words} " in runtime("exec", runtime.ids[-1], "cat", "/proc/self/numa_maps").ok().out


def test_personality_in_exec(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["personality"] = {"domain": "LINUX32"}
    bundle.args("sleep", "60")
    container_id = runtime.run_detached(bundle)
    # Not `uname -m`: user-mode Linux has the one name for it.
    assert runtime("exec", container_id, "cat", "/proc/self/personality").ok().out == f"{PER_LINUX32:08x}\n"


def test_limits_that_nobody_knows(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}]
    runtime.run(bundle).failed("did you mean RLIMIT_NOFILE?")
