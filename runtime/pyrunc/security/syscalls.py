"""System call numbers by architecture, as a seccomp filter needs them.

A profile names a few hundred calls and up to three architectures.  A name is looked up once, which gives its column;
the number on an architecture is then one index into that architecture's row.  Only the rows a profile asks for are
unpacked: 6 us each (measured).
"""

from __future__ import annotations

from _struct import Struct

from pyrunc.security import syscall_tables

ABSENT = 0xFFFF
X32_BIT = 0x40000000  # __X32_SYSCALL_BIT, asm/unistd.h
_ARM_PRIVATE = range(0xF000, 0xF010)  # stands for 0x0f0000 and on (__ARM_NR_BASE): rows are 16 bits wide

# Tokens of the 64-bit calling conventions have this bit (linux/audit.h)...
_AUDIT_64BIT = 0x80000000
_AUDIT_LITTLE = 0x40000000
# ... but n32 programs have 32-bit arguments, as x32 ones have, and their filters compare 32 bits.
_N32 = ("SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL64N32")

# machine (uname) -> architecture
NATIVE = {
    "x86_64": "SCMP_ARCH_X86_64",
    "aarch64": "SCMP_ARCH_AARCH64",
}

# Calls that 32-bit and other old ABIs reach through socketcall(2) and ipc(2) (linux/net.h, linux/ipc.h), with the
# code in their first argument.
SOCKETCALL = (
    *("", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv"),
    *("sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg"),
    "sendmmsg",
)
_IPC = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}


class Architecture:
    """One architecture of libseccomp.

    audit     what the kernel puts into seccomp_data.arch
    bits      how much of an argument counts: 32 or 64
    base      what is added to the numbers: x32's bit
    numbers   by column; ABSENT: no such call
    """

    __slots__ = ("audit", "base", "bits", "little", "multiplexed", "name", "numbers")

    def __init__(self, name: str) -> None:
        token = syscall_tables.TOKENS[name]
        x32 = name == "SCMP_ARCH_X32"
        self.name = name
        self.audit = syscall_tables.TOKENS["SCMP_ARCH_X86_64"] if x32 else token
        self.bits = 64 if token & _AUDIT_64BIT and name not in _N32 else 32
        self.base = X32_BIT if x32 else 0
        self.little = token & _AUDIT_LITTLE != 0
        self.multiplexed = name in syscall_tables.MULTIPLEXED
        self.numbers = _row(name)


def _row(name: str) -> tuple[int, ...]:
    content = bytes.fromhex(syscall_tables.ROWS[name])
    numbers: tuple[int, ...] = Struct(f">{len(content) // 2}H").unpack(content)
    if name == "SCMP_ARCH_ARM":
        return tuple(number - 0xF000 + 0xF0000 if number in _ARM_PRIVATE else number for number in numbers)
    return numbers


def is_architecture(name: str) -> bool:
    return name in syscall_tables.TOKENS


def columns() -> dict[str, int]:
    """Every known system call's column."""
    return {name: column for column, name in enumerate(syscall_tables.NAMES.split())}


def multiplexed_calls() -> dict[str, tuple[str, int]]:
    """Call -> (socketcall or ipc, the code it has there)."""
    calls = {name: ("ipc", code) for name, code in _IPC.items()}
    calls.update((name, ("socketcall", code)) for code, name in enumerate(SOCKETCALL) if code)
    return calls
