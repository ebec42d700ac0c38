"""Compiled filters in the kernel: it loads them, and calls end as the simulator says."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bpf_simulator
from ocispec.seccomp import ArgumentRule, Seccomp, SyscallRule
from pyrunc.kernel.constants import MACHINE, PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER
from pyrunc.program.numbers import NUMBERS
from pyrunc.security.seccomp import Filter, compile_filter
from pyrunc.security.syscalls import NATIVE, Architecture
from seccomp_profiles import docker_like

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBER = NUMBERS[MACHINE]
AUDIT = Architecture(NATIVE[MACHINE]).audit
ALLOW, ERRNO, ACTION = 0x7FFF0000, 0x50000, 0xFFFF0000
# From tests of the machine's own: nothing here may reach outside the child that makes the call.
CALLS: list[tuple[str, tuple[int, ...]]] = [
    ("getpid", ()),
    ("getppid", ()),
    ("mount", (0, 0, 0, 0, 0)),
    ("umount2", (0, 0)),
    ("unshare", (0,)),
    ("setns", (-1, 0)),
    ("keyctl", (99, 0)),
    ("bpf", (-1, 0, 0)),
    ("clone3", (0, 0)),
    ("personality", (0xFFFFFFFF,)),
    ("personality", (0x20008,)),
    ("personality", (0x0040000,)),
    ("personality", (1 << 32,)),
    ("socket", (40, 1, 0)),
    ("socket", (1, 99, 0)),
    ("clone", (0x10000000, 0, 0, 0, 0)),
    ("ptrace", (99, 0, 0, 0)),
    ("futex_waitv", (0, 0, 99, 0, 0)),
]


class SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def system_call(number: int, *arguments: int) -> tuple[int, int]:
    """(result, errno)."""
    ctypes.set_errno(0)
    LIBC.syscall.restype = ctypes.c_long
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments))
    return result, ctypes.get_errno() if result == -1 else 0


def load(compiled: Filter) -> int:
    """seccomp(2) as emit_filter has it; its result."""
    assert LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    program = SockFprog(len(compiled.instructions) // 8, compiled.instructions)
    result, code = system_call(NUMBER["seccomp"], SECCOMP_SET_MODE_FILTER, compiled.flags, ctypes.addressof(program))
    if result < 0:
        raise OSError(code, os.strerror(code))
    return result


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, or -N when signal N ended it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, pickle.dumps(work()))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended < 0:
        return ended
    assert ended == 0, "the child raised: see its traceback above"
    return pickle.loads(answer)


def profile(action: str, *names: str, default: str = "SCMP_ACT_ALLOW", **more: Any) -> Seccomp:
    return Seccomp(default_action=default, syscalls=(SyscallRule(names=names, action=action),), **more)


def after_loading(seccomp: Seccomp, number: int, *arguments: int) -> Any:
    compiled = compile_filter(seccomp, MACHINE)

    def work() -> tuple[int, int]:
        load(compiled)
        return system_call(number, *arguments)

    return in_child(work)


def test_docker_like_profile_decides_as_simulated() -> None:
    compiled = compile_filter(docker_like(MACHINE), MACHINE)
    program = bpf_simulator.decode(compiled.instructions)
    calls = [(NUMBER[name], arguments) for name, arguments in CALLS if name in NUMBER]
    calls += [(number, (0, 0)) for number in (460, 468, 500, 999, 100000)]

    def work() -> list[tuple[int, int]]:
        load(compiled)
        return [system_call(number, *arguments) for number, arguments in calls]

    results = in_child(work)
    refused = 0
    for (number, arguments), (result, code) in zip(calls, results, strict=True):
        words = tuple(argument & 0xFFFFFFFFFFFFFFFF for argument in arguments)
        decided, _ = bpf_simulator.run(program, number, AUDIT, words)
        where = f"{number} {arguments}: {result}, {errno.errorcode.get(code, code)}; simulated {decided:#x}"
        if decided & ACTION == ERRNO:
            assert (result, code) == (-1, decided & 0xFFFF), where
            refused += 1
        else:
            assert decided == ALLOW, where
            assert code not in (errno.EPERM, errno.ENOSYS), where
    assert refused >= 15


def test_filter_is_still_there_after_execve() -> None:
    """S34: in the program, on each of its threads, there is exactly one filter more than here."""
    compiled = compile_filter(docker_like(MACHINE), MACHINE)
    script = (
        "import threading\n"
        "def show(): print(*[l.split()[1] for l in open('/proc/thread-self/status') if 'Seccomp_filters' in l])\n"
        "t = threading.Thread(target=show); show(); t.start(); t.join()"
    )

    def work() -> bytes:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.dup2(writer, 1)
            load(compiled)
            os.execv("/usr/bin/python3", ["python3", "-I", "-S", "-c", script])
        os.close(writer)
        return os.read(reader, 100) + os.read(reader, 100)

    status = Path("/proc/self/status").read_text().splitlines()
    (own,) = (int(line.split()[1]) for line in status if line.startswith("Seccomp_filters"))
    assert in_child(work).split() == [str(own + 1).encode()] * 2


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_actions_that_end_the_process(action: str) -> None:
    assert after_loading(profile(action, "getppid"), NUMBER["getppid"]) == -signal.SIGSYS


@pytest.mark.parametrize(
    ("action", "code"), [("SCMP_ACT_ERRNO", errno.EPERM), ("SCMP_ACT_TRACE", errno.ENOSYS), ("SCMP_ACT_LOG", 0)]
)
def test_actions_that_answer(action: str, code: int) -> None:
    """TRACE without a tracer is ENOSYS (seccomp(2))."""
    result, found = after_loading(profile(action, "getppid"), NUMBER["getppid"])
    assert found == code
    assert (result == -1) == (code != 0)


def test_every_operator_in_the_kernel() -> None:
    """lseek's second argument, 64 bits wide, on a closed descriptor: EBADF when allowed, 42 when not."""
    limit = (1 << 32) + 5
    holding = {
        "EQ": (0,),
        "NE": (-1, 1, 1 << 33),
        "LT": (-1,),
        "LE": (-1, 0),
        "GE": (0, 1, 1 << 33),
        "GT": (1, 1 << 33),
    }
    for op, offsets in holding.items():
        argument = ArgumentRule(index=1, value=limit, op=f"SCMP_CMP_{op}")
        rule = SyscallRule(names=("lseek",), action="SCMP_ACT_ERRNO", errno_ret=42, args=(argument,))
        compiled = compile_filter(Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,)), MACHINE)

        def work(loaded: Filter = compiled) -> list[int]:
            load(loaded)
            return [system_call(NUMBER["lseek"], 9999, limit + n, 0)[1] for n in (-1, 0, 1, 1 << 33)]

        expected = [42 if n in offsets else errno.EBADF for n in (-1, 0, 1, 1 << 33)]
        assert in_child(work) == expected, op


@pytest.mark.parametrize(
    "flags",
    [
        None,
        (),
        ("SECCOMP_FILTER_FLAG_TSYNC",),
        ("SECCOMP_FILTER_FLAG_LOG",),
        ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",),
        ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",),
        ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
    ],
)
def test_flags_are_taken(flags: tuple[str, ...] | None) -> None:
    compiled = compile_filter(profile("SCMP_ACT_ERRNO", "getppid", flags=flags), MACHINE)
    assert in_child(lambda: load(compiled)) == 0


@pytest.mark.parametrize("flags", [(), ("SECCOMP_FILTER_FLAG_TSYNC",), ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",)])
def test_notify_gives_a_listener(flags: tuple[str, ...]) -> None:
    compiled = compile_filter(profile("SCMP_ACT_NOTIFY", "getppid", flags=flags), MACHINE)

    def work() -> str:
        return os.readlink(f"/proc/self/fd/{load(compiled)}")

    assert in_child(work) == "anon_inode:seccomp notify"


def test_largest_filter_is_taken() -> None:
    """Near the limit of 4096 instructions, with long jumps."""
    rules = tuple(
        SyscallRule(
            names=("getppid",),
            action="SCMP_ACT_ERRNO",
            errno_ret=99,
            args=(ArgumentRule(index=0, value=7 * value + 1, op="SCMP_CMP_EQ"),),
        )
        for value in range(1010)
    )
    compiled = compile_filter(Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=rules), MACHINE)
    assert 4000 < len(compiled.instructions) // 8 <= 4096

    def work() -> list[int]:
        load(compiled)
        return [system_call(NUMBER["getppid"], value)[1] for value in (1, 7 * 1009 + 1, 2, 7 * 1009 + 2)]

    assert in_child(work) == [99, 99, 0, 0]


def test_other_architectures_are_killed() -> None:
    """x86_64: a number of x32, which the profile does not name.  aarch64 has no such way in: the simulator's word."""
    seccomp = profile("SCMP_ACT_LOG", "getppid")
    if MACHINE == "x86_64":
        assert after_loading(seccomp, 0x40000000 + NUMBER["getpid"]) == -signal.SIGSYS
    program = bpf_simulator.decode(compile_filter(seccomp, MACHINE).instructions)
    assert bpf_simulator.run(program, 20, 0x40000003, ())[0] == 0
