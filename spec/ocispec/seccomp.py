"""`linux.seccomp` (runtime-spec 1.3, config-linux.md#seccomp).  Words stay as they are: SCMP_ACT_ERRNO, SCMP_CMP_EQ."""

from __future__ import annotations

from ocispec.reader import UINT16_MAX, UINT64_MAX
from ocispec.record import Record
from ocispec.words import SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, SECCOMP_OPERATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.reader import Reader

# SECCOMP_RET_DATA is 16 bits wide (seccomp(2)).
RETURN_DATA_MAX = UINT16_MAX


class ArgumentRule(Record):
    """Compare argument `index` (0-5) with `value`; SCMP_CMP_MASKED_EQ: argument & `value` == `value_two`."""

    index: int
    value: int
    op: str
    value_two: int = 0


class SyscallRule(Record):
    """`errno_ret` None: the action's default (EPERM for ERRNO, 0 for TRACE)."""

    names: tuple[str, ...]
    action: str
    errno_ret: int | None = None
    args: tuple[ArgumentRule, ...] = ()


class Seccomp(Record):
    """`flags` None is not `()`: runtimes put SECCOMP_FILTER_FLAG_SPEC_ALLOW in the place of an absent list."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[SyscallRule, ...] = ()


def parse_seccomp(r: Reader) -> Seccomp:
    return Seccomp(
        default_action=r.string("defaultAction", required=True, words=SECCOMP_ACTIONS),
        default_errno_ret=r.optional_integer("defaultErrnoRet", 0, RETURN_DATA_MAX),
        architectures=r.strings("architectures", words=SECCOMP_ARCHITECTURES),
        flags=r.optional_strings("flags", words=SECCOMP_FLAGS),
        listener_path=r.string("listenerPath"),
        listener_metadata=r.string("listenerMetadata"),
        syscalls=r.records("syscalls", parse_syscall_rule),
    )


def parse_syscall_rule(r: Reader) -> SyscallRule:
    return SyscallRule(
        names=r.strings("names", required=True),
        action=r.string("action", required=True, words=SECCOMP_ACTIONS),
        errno_ret=r.optional_integer("errnoRet", 0, RETURN_DATA_MAX),
        args=r.records("args", parse_argument_rule),
    )


def parse_argument_rule(r: Reader) -> ArgumentRule:
    return ArgumentRule(
        index=r.required_integer("index", 0, 5),
        value=r.required_integer("value", 0, UINT64_MAX),
        op=r.string("op", required=True, words=SECCOMP_OPERATORS),
        value_two=r.integer("valueTwo", 0, UINT64_MAX),
    )
