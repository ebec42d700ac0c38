"""Random seccomp profiles, and system calls worth trying on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocispec.seccomp import ArgumentRule, Seccomp, SyscallRule
from pyrunc.security.syscalls import ABSENT, NATIVE, SOCKETCALL, Architecture, columns
from seccomp_oracle import knows

if TYPE_CHECKING:
    from random import Random

OTHERS = {
    "x86_64": ("SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_ARM",),
}
FAR = (
    *("SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64"),
    *("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X86"),
)
ACTIONS = (
    *("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO"),
    *("SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"),
)
OPERATORS = ("EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ")
# Calls that many profiles restrict, some of them multiplexed: picked often so that rules meet.
OFTEN = ("socket", "clone", "personality", "ioctl", "read", "semop", "shmat", "socketcall", "ipc", "accept4", "mmap2")
_SMALL = (0, 1, 2, 3, 5, 8, 16, 40)
_LARGE = (0xFF, 0x1000, 0x7E020000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (5 << 32) + 3)
_HUGE = (0xFFFFFFFF00000000, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
VALUES = (*_SMALL, *_LARGE, *_HUGE)
_WORD64 = (1 << 64) - 1

NAMES = tuple(name for name in columns() if knows(name))


def _code(random: Random, action: str) -> int | None:
    """An errnoRet, where the action takes one."""
    return random.choice((None, 1, 13, 22, 38)) if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else None


def _value(random: Random) -> int:
    return random.choice(_SMALL if random.random() < 0.6 else VALUES)


def _argument(random: Random) -> ArgumentRule:
    op = random.choice(OPERATORS)
    value = _value(random)
    return ArgumentRule(index=random.randrange(3), value=value, op=f"SCMP_CMP_{op}", value_two=_value(random))


def _names(random: Random) -> tuple[str, ...]:
    few = tuple(random.choice(OFTEN) for _ in range(random.randint(1, 3)))
    kind = random.random()
    if kind < 0.5:
        return few
    if kind < 0.95:
        return (*few, *random.sample(NAMES, random.randint(1, 12)))
    return tuple(random.sample(NAMES, 60))  # libseccomp's time grows with the square of the rules


def random_profile(random: Random, machine: str, *, mixed: bool) -> Seccomp:
    """`mixed`: rules may have different actions; else all have one, besides the default."""
    default, single = random.sample(ACTIONS[:-1], 2)
    architectures = [name for name in OTHERS[machine] if random.random() < 0.6]
    if random.random() < 0.2:
        architectures.append(random.choice(FAR))
    single_code = _code(random, single)
    rules: list[SyscallRule] = []
    for _ in range(random.randint(1, 12)):
        action = random.choice((*ACTIONS, default)) if mixed else single
        code = _code(random, action) if mixed else single_code
        args = tuple(_argument(random) for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))))
        names = tuple(name for name in _names(random) if action != "SCMP_ACT_NOTIFY" or name != "write")
        rules.append(SyscallRule(names=names, action=action, errno_ret=code, args=args))
    return Seccomp(
        default_action=default,
        default_errno_ret=_code(random, default),
        architectures=tuple(architectures),
        syscalls=tuple(rules),
    )


def _numbers(random: Random, profile: Seccomp, architecture: Architecture) -> list[int]:
    known = columns()
    named = [known[name] for rule in profile.syscalls for name in rule.names]
    picked = random.sample(named, min(len(named), 6)) + [known[name] for name in OFTEN]
    numbers = {architecture.numbers[column] for column in picked} - {ABSENT}
    chosen = random.sample(sorted(numbers), min(len(numbers), 8))
    chosen += [random.choice(chosen) + 1, random.randrange(600)] if chosen else [random.randrange(600)]
    return [number + architecture.base for number in chosen]


def random_calls(random: Random, profile: Seccomp, architecture: Architecture) -> list[tuple[int, tuple[int, ...]]]:
    """(number, arguments) near what the profile decides on."""
    values = [value for rule in profile.syscalls for a in rule.args for value in (a.value, a.value_two)] or [0]
    calls = []
    for number in _numbers(random, profile, architecture):
        for _ in range(3):
            arguments = []
            for _ in range(3):
                value = random.choice(values) if random.random() < 0.8 else random.randrange(len(SOCKETCALL))
                value = (value + random.choice((0, 0, 0, 1, -1, 1 << 32, 7 << 40))) & _WORD64
                arguments.append(value if architecture.bits == 64 else value & 0xFFFFFFFF)
            calls.append((number, tuple(arguments)))
    special = (0xFFFFFFFF, 0x3FFFFFFF, 0x40000000, 0x40000000 + 600, 0x80000000)
    return [*calls, (random.choice(special), (0, 0, 0))]


# What Docker's default profile keeps from a container without capabilities.
_DENIED = frozenset(
    "_sysctl acct add_key bpf clock_settime clock_settime64 create_module delete_module finit_module fsconfig fsmount "
    "fsopen fspick get_kernel_syms get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl "
    "lookup_dcookie mbind mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at "
    "open_tree perf_event_open pivot_root process_vm_readv process_vm_writev ptrace query_module quotactl "
    "quotactl_fd reboot request_key set_mempolicy setns settimeofday stime swapoff swapon sysfs syslog umount umount2 "
    "unshare uselib userfaultfd ustat vm86 vm86old vhangup clone clone3 personality socket".split()
)
_NEWEST = "futex_waitv"  # 449: profiles are older than kernels
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_NEW_NAMESPACES = 0x7E020000


def docker_like(machine: str) -> Seccomp:
    """A profile of the kind and size of Docker's default one."""
    numbers = Architecture("SCMP_ARCH_RISCV64").numbers  # a table without history: its order is that of birth
    known = columns()
    too_new = {name for name in NAMES if ABSENT > numbers[known[name]] > numbers[known[_NEWEST]]}
    allowed = tuple(name for name in NAMES if name not in _DENIED | too_new)

    def allow(name: str, index: int, op: str, value: int, value_two: int = 0) -> SyscallRule:
        argument = ArgumentRule(index=index, value=value, op=f"SCMP_CMP_{op}", value_two=value_two)
        return SyscallRule(names=(name,), action="SCMP_ACT_ALLOW", args=(argument,))

    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=1,
        architectures=(NATIVE[machine], *OTHERS[machine]),
        syscalls=(
            SyscallRule(names=allowed, action="SCMP_ACT_ALLOW"),
            allow("socket", 0, "NE", 40),
            *(allow("personality", 0, "EQ", value) for value in _PERSONALITIES),
            allow("clone", 0, "MASKED_EQ", _NEW_NAMESPACES),
            SyscallRule(names=("clone3",), action="SCMP_ACT_ERRNO", errno_ret=38),
        ),
    )
