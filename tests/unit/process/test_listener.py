"""A filter that notifies, as values: what is called between it and the agent's having its end."""

from __future__ import annotations

import pytest

from ocispec.seccomp import Seccomp, SyscallRule
from pyrunc.errors import Unsupported
from pyrunc.kernel.constants import PR_SET_DUMPABLE, SECCOMP_FILTER_FLAG_NEW_LISTENER
from pyrunc.kernel.host import Host
from pyrunc.process.listener import emit_filter_with_listener
from pyrunc.process.sync import LISTENER, MESSAGE
from pyrunc.program.builder import Program
from pyrunc.program.operations import SYNC
from pyrunc.program.simulator import Run, simulate
from pyrunc.security.seccomp import compile_filter

NUMBER = 17  # what the kernel pretends is the lowest free descriptor
FILTER = compile_filter(
    Seccomp(
        default_action="SCMP_ACT_ALLOW",
        listener_path="/agent",
        syscalls=(SyscallRule(names=("mkdir",), action="SCMP_ACT_NOTIFY"),),
    ),
    "x86_64",
)


def host(euid: int) -> Host:
    return Host(euid=euid, egid=euid, machine="x86_64", in_user_namespace=False, cgroups=())


def program(euid: int = 0, *, is_alone: bool = True) -> Program:
    p = Program()
    emit_filter_with_listener(p, FILTER, host(euid), is_alone=is_alone)
    return p


def run(p: Program) -> Run:
    return simulate(p, {"fcntl": NUMBER, "seccomp": NUMBER})


def test_between_the_filter_and_the_agent_is_one_write() -> None:
    names = run(program()).names()
    assert names == ["fcntl", "close", "the listener's number", "seccomp", "write", "read", "close"]


def test_the_parent_is_told_the_number_beforehand() -> None:
    p = program()
    (step,) = [step for step in run(p).trace if p.operations[step.index].kind == SYNC]
    assert (step.arguments, step.result) == ((LISTENER,), NUMBER)


def test_the_message_is_the_sync_point_again() -> None:
    p = program()
    ((socket, content, size),) = run(p).calls("write")
    assert (socket, size) == (3, 8)
    assert isinstance(content, bytes)
    index, value = MESSAGE.unpack(content)
    assert value == 0
    assert (p.operations[index].kind, p.operations[index].number) == (SYNC, LISTENER)


def test_the_kernel_is_asked_for_a_listener() -> None:
    ((_mode, flags, _program),) = run(program()).calls("seccomp")
    assert isinstance(flags, int)
    assert flags & SECCOMP_FILTER_FLAG_NEW_LISTENER


def test_the_listener_is_closed_in_the_stage() -> None:
    assert run(program()).calls("close") == [(NUMBER,), (NUMBER,)]


def test_without_privileges_the_process_is_dumpable_for_a_moment() -> None:
    found = run(program(1000)).calls("prctl")
    assert [call[:2] for call in found] == [(PR_SET_DUMPABLE, 1), (PR_SET_DUMPABLE, 0)]
    assert run(program()).calls("prctl") == []


def test_never_where_somebody_could_use_that() -> None:
    with pytest.raises(Unsupported, match="a new pid namespace"):
        program(1000, is_alone=False)
    assert program(is_alone=False).operations
