"""compile_filter: what a profile means, case by case; the random cases are in tests/properties."""

from __future__ import annotations

import time
from typing import Any

import pytest

import bpf_simulator
from ocispec.seccomp import ArgumentRule, Seccomp, SyscallRule
from pyrunc.errors import ConfigError, Unsupported
from pyrunc.program.builder import Program
from pyrunc.security.seccomp import Filter, compile_filter, emit_filter
from pyrunc.security.seccomp_profile import ACTIONS
from seccomp_profiles import docker_like

X86_64, X86, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
X32 = 0x40000000
ALLOW, KILL, KILL_PROCESS, TRACE, NOTIFY = 0x7FFF0000, 0, 0x80000000, 0x7FF00000, 0x7FC00000
ERRNO = 0x50000
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38


def rule(
    *names: str, action: str = "SCMP_ACT_ALLOW", args: tuple[tuple[Any, ...], ...] = (), **more: Any
) -> SyscallRule:
    arguments = tuple(
        ArgumentRule(index=index, op=f"SCMP_CMP_{op}", value=value, value_two=two[0] if two else 0)
        for index, op, value, *two in args
    )
    return SyscallRule(names=names, action=action, args=arguments, **more)


def profile(*rules: SyscallRule, default: str = "SCMP_ACT_ERRNO", **more: Any) -> Seccomp:
    return Seccomp(default_action=default, syscalls=rules, **more)


def decide(seccomp: Seccomp, number: int, *arguments: int, audit: int = X86_64, machine: str = "x86_64") -> int:
    program = bpf_simulator.decode(compile_filter(seccomp, machine).instructions)
    return bpf_simulator.run(program, number, audit, arguments)[0]


def refusal(seccomp: Seccomp, machine: str = "x86_64") -> str:
    with pytest.raises(ConfigError) as caught:
        compile_filter(seccomp, machine)
    return str(caught.value)


# -- actions ---


@pytest.mark.parametrize("word", sorted(set(ACTIONS) - {"SCMP_ACT_ALLOW"}))
def test_actions(word: str) -> None:
    expected = ACTIONS[word] | (1 if word in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else 0)
    assert decide(profile(rule("read", action=word), default="SCMP_ACT_ALLOW"), 0) == expected


@pytest.mark.parametrize(("action", "base"), [("SCMP_ACT_ERRNO", ERRNO), ("SCMP_ACT_TRACE", TRACE)])
@pytest.mark.parametrize("errno", [0, 1, 38, 4095])
def test_errno_ret(action: str, base: int, errno: int) -> None:
    assert decide(profile(rule("read", action=action, errno_ret=errno), default="SCMP_ACT_ALLOW"), 0) == base | errno
    assert decide(profile(rule("getpid"), default=action, default_errno_ret=errno), 0) == base | errno


def test_errno_ret_needs_an_action_that_takes_one() -> None:
    text = "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes no errno"
    assert refusal(profile(rule("read", errno_ret=3))) == text
    text = "linux.seccomp.defaultErrnoRet: SCMP_ACT_KILL takes no errno"
    assert refusal(profile(default="SCMP_ACT_KILL", default_errno_ret=1)) == text


def test_errno_ret_above_the_kernels_limit() -> None:
    text = "linux.seccomp.syscalls[0].errnoRet: must be between 0 and 4095, not 4096"
    assert refusal(profile(rule("read", action="SCMP_ACT_ERRNO", errno_ret=4096))) == text


def test_unknown_words() -> None:
    assert "unknown action SCMP_ACT_MAYBE" in refusal(profile(rule("read", action="SCMP_ACT_MAYBE")))
    assert "architectures[0]: unknown architecture SCMP_ARCH_VAX" in refusal(profile(architectures=("SCMP_ARCH_VAX",)))
    assert "unknown flag SECCOMP_FILTER_FLAG_X" in refusal(profile(flags=("SECCOMP_FILTER_FLAG_X",)))


def test_other_byte_order_is_refused() -> None:
    assert "SCMP_ARCH_S390X has another byte order" in refusal(profile(architectures=("SCMP_ARCH_S390X",)))


def test_unknown_machine_is_refused() -> None:
    with pytest.raises(Unsupported, match="no filters for vax"):
        compile_filter(profile(), "vax")


# -- rules ---


def test_unknown_calls_are_left_out_with_a_warning() -> None:
    compiled = compile_filter(profile(rule("read", "frobnicate")), "x86_64")
    assert compiled.warnings == ('unknown seccomp syscall "frobnicate" ignored',)
    assert decide(profile(rule("read", "frobnicate")), 0) == ALLOW


def test_rule_that_says_what_the_default_says_is_left_out() -> None:
    """So a later rule about the call counts, even one without conditions."""
    seccomp = profile(rule("read", action="SCMP_ACT_ERRNO", errno_ret=1), rule("read"))
    assert decide(seccomp, 0) == ALLOW
    assert compile_filter(seccomp, "x86_64").warnings == (
        "linux.seccomp.syscalls[0] does what the default action does",
    )
    assert decide(profile(rule("read", action="SCMP_ACT_ERRNO", errno_ret=2), rule("read")), 0) == ERRNO | 2


def test_first_rule_without_conditions_beats_all_with() -> None:
    seccomp = profile(
        rule("read", action="SCMP_ACT_TRAP", args=((0, "EQ", 1),)), rule("read"), rule("read", action="SCMP_ACT_LOG")
    )
    assert decide(seccomp, 0, 1) == ALLOW


def test_conditions_of_one_rule_hold_together_rules_alternatively() -> None:
    both = profile(rule("read", args=((0, "EQ", 1), (1, "EQ", 2))))
    assert [decide(both, 0, *a) for a in ((1, 2), (1, 3), (0, 2))] == [ALLOW, EPERM, EPERM]
    either = profile(rule("read", args=((0, "EQ", 1),)), rule("read", args=((1, "EQ", 2),)))
    assert [decide(either, 0, *a) for a in ((1, 2), (1, 3), (0, 2), (0, 0))] == [ALLOW, ALLOW, ALLOW, EPERM]


def test_two_conditions_on_one_argument_are_alternatives() -> None:
    seccomp = profile(rule("read", args=((0, "EQ", 1), (0, "EQ", 3))))
    assert [decide(seccomp, 0, a) for a in (1, 2, 3)] == [ALLOW, EPERM, ALLOW]


def test_mask_looks_at_its_bits_only() -> None:
    seccomp = profile(rule("read", args=((0, "MASKED_EQ", 0xF, 0xF3),)))
    assert [decide(seccomp, 0, a) for a in (0x03, 0x13, 0xF3, 0x04)] == [ALLOW, ALLOW, ALLOW, EPERM]


@pytest.mark.parametrize("order", [1, -1])
def test_most_specific_of_overlapping_rules(order: int) -> None:
    """libseccomp's order, not the profile's."""
    rules = (
        rule("read", action="SCMP_ACT_TRAP", args=((0, "GE", 3),)),
        rule("read", action="SCMP_ACT_LOG", args=((0, "EQ", 5),)),
        rule("read", action="SCMP_ACT_ALLOW", args=((1, "EQ", 1),)),
    )
    seccomp = profile(*rules[::order])
    assert decide(seccomp, 0, 4, 0) == 0x30000
    assert decide(seccomp, 0, 5, 0) == 0x7FFC0000
    assert decide(seccomp, 0, 5, 1) == ALLOW


def test_upper_half_counts_with_64_bits_only() -> None:
    seccomp = profile(rule("read", args=((0, "EQ", 5),)), architectures=("SCMP_ARCH_X86", "SCMP_ARCH_X32"))
    high = (1 << 32) + 5
    assert decide(seccomp, 0, high) == EPERM
    assert decide(seccomp, X32, high) == ALLOW


def test_socketcall_stands_for_its_calls() -> None:
    seccomp = profile(rule("socket", args=((0, "NE", 40),)), rule("shmat"), architectures=("SCMP_ARCH_X86",))
    assert [decide(seccomp, 102, a, audit=X86) for a in (1, 2)] == [ALLOW, EPERM]  # SYS_SOCKET; the rest is unseen
    assert [decide(seccomp, 359, a, audit=X86) for a in (16, 40)] == [ALLOW, EPERM]  # socket(2) itself
    assert [decide(seccomp, 117, a, audit=X86) for a in (21, 22)] == [ALLOW, EPERM]  # ipc(SHMAT)
    assert (
        decide(profile(rule("socket"), rule("socketcall"), architectures=("SCMP_ARCH_X86",)), 102, 9, audit=X86)
        == ALLOW
    )


# -- architectures ---


def test_architectures_not_named_are_killed() -> None:
    for default in ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"):
        seccomp = profile(rule("read", action="SCMP_ACT_LOG"), default=default)
        assert decide(seccomp, 3, audit=X86) == KILL
        assert decide(seccomp, 63, audit=ARM64) == KILL
        assert decide(seccomp, X32, audit=X86_64) == KILL


def test_own_architecture_need_not_be_named() -> None:
    seccomp = profile(rule("read"), architectures=("SCMP_ARCH_ARM",))
    assert decide(seccomp, 63, audit=ARM64, machine="aarch64") == ALLOW
    assert decide(seccomp, 3, audit=0x40000028, machine="aarch64") == ALLOW


def test_architectures_named_twice() -> None:
    once, twice = (profile(rule("read"), architectures=("SCMP_ARCH_X86",) * times) for times in (1, 2))
    assert compile_filter(once, "x86_64") == compile_filter(twice, "x86_64")


def test_cancelled_call_of_a_tracer_is_none_of_x32() -> None:
    assert decide(profile(rule("read"), default="SCMP_ACT_TRAP"), 0xFFFFFFFF) == 0x30000


# -- ENOSYS ---


@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_calls_newer_than_the_profile_are_enosys(default: str) -> None:
    seccomp = profile(rule("read", "openat2"), default=default)  # openat2 is 437
    known = ACTIONS[default] | (1 if default == "SCMP_ACT_ERRNO" else 0)
    assert [decide(seccomp, n) for n in (436, 437, 438, 451, 9999, 0x3FFFFFFF)] == [known, ALLOW, *[ENOSYS] * 4]


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_permissive_defaults_stay(default: str) -> None:
    seccomp = profile(rule("read", action="SCMP_ACT_TRAP"), default=default)
    assert decide(seccomp, 9999) == ACTIONS[default] | (1 if default == "SCMP_ACT_TRACE" else 0)


def test_enosys_is_per_architecture() -> None:
    seccomp = profile(rule("read", "openat2", "mmap2"), architectures=("SCMP_ARCH_X86", "SCMP_ARCH_X32"))
    for audit, base in ((X86_64, 0), (X86, 0), (X86_64, X32)):
        assert decide(seccomp, base + 437, audit=audit) == ALLOW
        assert decide(seccomp, base + 438, audit=audit) == ENOSYS
    only_32 = profile(rule("mmap2"), architectures=("SCMP_ARCH_X86",))
    assert decide(only_32, 193, audit=X86) == ENOSYS
    assert decide(only_32, 9999) == EPERM  # the profile names no call of x86_64: it cannot be old there


def test_rules_that_are_left_out_count_as_known() -> None:
    assert decide(profile(rule("openat2", action="SCMP_ACT_ERRNO", errno_ret=1), rule("read")), 437) == EPERM
    conditional = profile(rule("openat2", args=((0, "EQ", 1),)))
    assert [decide(conditional, 437, 2), decide(conditional, 438)] == [EPERM, ENOSYS]


def test_unknown_names_do_not_count_as_newest() -> None:
    assert decide(profile(rule("read", "frobnicate")), 1) == ENOSYS


# -- flags, notify ---


def test_flags() -> None:
    flags = {
        None: 4,  # absent: SPEC_ALLOW
        (): 0,
        ("SECCOMP_FILTER_FLAG_TSYNC",): 1,
        ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"): 6,
        ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",): 0,  # the kernel refuses it without a listener
    }
    assert {given: compile_filter(profile(flags=given), "x86_64").flags for given in flags} == flags


def test_notify() -> None:
    seccomp = profile(rule("mkdir", action="SCMP_ACT_NOTIFY"), flags=("SECCOMP_FILTER_FLAG_TSYNC",))
    compiled = compile_filter(seccomp, "x86_64")
    assert compiled.notifies
    assert compiled.flags == 1 | 8 | 16  # TSYNC, NEW_LISTENER, TSYNC_ESRCH
    assert decide(seccomp, 83) == NOTIFY
    waiting = profile(rule("mkdir", action="SCMP_ACT_NOTIFY"), flags=("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",))
    assert compile_filter(waiting, "x86_64").flags == 8 | 32


def test_notify_where_it_cannot_be() -> None:
    assert refusal(profile(default="SCMP_ACT_NOTIFY")) == "SCMP_ACT_NOTIFY cannot be used as default action"
    writing = profile(rule("mkdir", "write", action="SCMP_ACT_NOTIFY"))
    assert refusal(writing) == "SCMP_ACT_NOTIFY cannot be used for the write syscall"


# -- size, speed, emission ---


def test_too_many_instructions() -> None:
    seccomp = profile(*(rule("read", args=((0, "EQ", value),)) for value in range(1100)))
    assert refusal(seccomp).startswith("linux.seccomp: the filter needs 4")
    assert refusal(seccomp).endswith("instructions, the kernel takes 4096")


def test_many_conditions_take_long_jumps() -> None:
    seccomp = profile(*(rule("read", args=((0, "EQ", 3 * value),)) for value in range(900)), rule("write", "openat2"))
    assert [decide(seccomp, 0, a) for a in (0, 3, 2697, 4, 2700)] == [ALLOW, ALLOW, ALLOW, EPERM, EPERM]
    assert [decide(seccomp, n) for n in (1, 2, 437, 500)] == [ALLOW, EPERM, ALLOW, ENOSYS]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_docker_like_profile_is_small_and_shallow(machine: str) -> None:
    program = bpf_simulator.decode(compile_filter(docker_like(machine), machine).instructions)
    assert len(program) < 400
    audit = {"x86_64": X86_64, "aarch64": ARM64}[machine]
    assert max(bpf_simulator.run(program, number, audit, (0,) * 6)[1] for number in range(500)) <= 16


def test_docker_like_profile_compiles_fast() -> None:
    """1 to 2 ms is the aim (0.6 ms measured); the bound is wide because test machines are busy."""
    seccomp = docker_like("x86_64")

    def once() -> float:
        began = time.perf_counter()
        compile_filter(seccomp, "x86_64")
        return time.perf_counter() - began

    assert min(once() for _ in range(50)) < 0.004


def test_emitted_call() -> None:
    compiled = Filter(instructions=bytes(range(16)), flags=4, notifies=False)
    program = Program()
    emit_filter(program, compiled)
    (operation,) = program.operations
    mode, flags, head = operation.arguments
    assert (operation.name, mode, flags) == ("seccomp", 1, 4)
    assert operation.label.failure(22).startswith("linux.seccomp: load the filter of 2 instructions: EINVAL")
    raw = bytes(program.data[head.offset : head.offset + head.size])  # type: ignore[union-attr]
    assert int.from_bytes(raw[:2], "little") == 2
    assert program.relocations == [head.offset + 8]  # type: ignore[union-attr]
    where = int.from_bytes(raw[8:], "little")
    assert bytes(program.data[where : where + 16]) == compiled.instructions
