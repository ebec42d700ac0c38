"""Limits and scheduling as values; tests/kernel/test_credentials.py has the kernel."""

from __future__ import annotations

import resource
from _struct import Struct
from errno import ELOOP, EXDEV
from typing import Any

import pytest

from ocispec.config import Config, IOPriority, Process, Rlimit, Root, Scheduler, User
from ocispec.linux import Linux, MemoryPolicy, Personality
from ocispec.words import RLIMITS
from pretended_procfs import PROCFS
from pyrunc.errors import ConfigError, Unsupported
from pyrunc.process.limits import emit_limits, emit_oom_score_adj, emit_scheduling, limits_of, node_mask
from pyrunc.program.builder import Program
from pyrunc.program.simulator import Run, simulate


def process(**fields: object) -> Process:
    return Process(args=("x",), cwd="/", user=User(uid=0, gid=0), **fields)


def scheduled(wanted: Process, **linux: object) -> Run:
    p = Program()
    emit_scheduling(p, Config(oci_version="1.2.0", root=Root(path="r"), linux=Linux(**linux)), wanted)
    return simulate(p)


def test_every_limit_of_the_spec_has_its_number() -> None:
    limits = tuple(Rlimit(type=name, soft=1, hard=2**64 - 1) for name in RLIMITS)
    found = limits_of(process(rlimits=limits))
    known = {name: number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}
    assert len(found) == len(RLIMITS)
    for place, number, soft, hard in found:
        name = place.split()[1]
        assert known.get(name, number) == number
        assert (soft, hard) == (1, 2**64 - 1)
    assert found[0][0] == f"process.rlimits[0] {RLIMITS[0]}"


def test_limits_are_64_bit_pairs() -> None:
    p = Program()
    emit_limits(p, process(rlimits=(Rlimit(type="RLIMIT_NOFILE", soft=5, hard=2**64 - 1),)))
    ((pid, number, content, old),) = simulate(p).calls("prlimit64")
    assert (pid, number, old) == (0, resource.RLIMIT_NOFILE, 0)
    assert content == Struct("<QQ").pack(5, 2**64 - 1)


@pytest.mark.parametrize("value", [-1000, 0, 1000])
def test_oom_score_adj(value: int) -> None:
    run = scored(value, PROCFS)
    assert run.calls("write")[0][1] == str(value)
    assert len(run.calls("close")) == 2


@pytest.mark.parametrize("kernel", [{}, PROCFS | {"openat2": -EXDEV}, PROCFS | {"openat2": -ELOOP}])
def test_oom_score_adj_is_not_written_to_what_only_looks_like_procfs(kernel: dict[str, Any]) -> None:
    """CVE-2025-52881: no procfs there, a mount on the file, a magic link."""
    run = scored(100, kernel)
    assert run.ended == "failed"
    assert run.calls("write") == []


def scored(value: int, kernel: dict[str, Any]) -> Any:
    p = Program()
    emit_oom_score_adj(p, process(oom_score_adj=value))
    return simulate(p, kernel)


def test_nothing_asked_nothing_done() -> None:
    p = Program()
    emit_oom_score_adj(p, process())
    emit_limits(p, process())
    assert p.operations == []
    assert scheduled(process()).trace == []


def test_scheduler() -> None:
    wanted = Scheduler(
        policy="SCHED_DEADLINE", flags=("SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"), runtime=1, deadline=2, period=3
    )
    ((_, content, _),) = scheduled(process(scheduler=wanted)).calls("sched_setattr")
    assert Struct("<IIQiIQQQ").unpack(content) == (48, 6, 6, 0, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("policy", "number"),
    [("SCHED_OTHER", 0), ("SCHED_FIFO", 1), ("SCHED_RR", 2), ("SCHED_BATCH", 3), ("SCHED_IDLE", 5)],
)
def test_policies(policy: str, number: int) -> None:
    ((_, content, _),) = scheduled(process(scheduler=Scheduler(policy=policy, nice=-5))).calls("sched_setattr")
    assert Struct("<IIQi").unpack(content[:20]) == (48, number, 0, -5)


def test_sched_iso_is_said_to_be_missing() -> None:
    with pytest.raises(Unsupported, match="SCHED_ISO"):
        scheduled(process(scheduler=Scheduler(policy="SCHED_ISO")))


@pytest.mark.parametrize(("name", "value"), [("RT", 1 << 13 | 4), ("BE", 2 << 13 | 4), ("IDLE", 3 << 13 | 4)])
def test_io_priority(name: str, value: int) -> None:
    wanted = IOPriority(class_=f"IOPRIO_CLASS_{name}", priority=4)
    assert scheduled(process(io_priority=wanted)).calls("ioprio_set") == [(1, 0, value)]


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain: str, number: int) -> None:
    assert scheduled(process(), personality=Personality(domain=domain)).calls("personality") == [(number,)]


def test_memory_policy() -> None:
    policy = MemoryPolicy(mode="MPOL_BIND", nodes="0-2,9", flags=("MPOL_F_STATIC_NODES",))
    ((mode, nodes, maxnode),) = scheduled(process(), memory_policy=policy).calls("set_mempolicy")
    assert (mode, maxnode) == (2 | 1 << 15, 1025)
    assert int.from_bytes(nodes, "little") == 0b1000000111
    assert scheduled(process(), memory_policy=MemoryPolicy(mode="MPOL_DEFAULT")).calls("set_mempolicy") == [(0, 0, 0)]


@pytest.mark.parametrize(("text", "mask"), [("", 0), ("0", 1), ("0-3,7", 0b10001111), ("1023", 1 << 1023)])
def test_node_masks(text: str, mask: int) -> None:
    assert node_mask(text) == mask


def test_a_node_that_no_kernel_has() -> None:
    with pytest.raises(ConfigError, match="invalid memory policy node 1024"):
        node_mask("0-1024")
