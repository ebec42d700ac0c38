"""`linux.seccomp` -> a filter for the kernel (runtime-spec config-linux.md#seccomp, seccomp(2)).

    the architecture decides which tree; one that the profile does not name: the thread is killed
    the call's number is searched for in a balanced tree of ranges
    a leaf is an action, or the rules about arguments one after the other

What a profile means is what libseccomp 2.5 makes of it, because that is what profiles were tried with; the tests run
both filters on thousands of random profiles.  In its words, where the spec has none:

* a rule whose action is the default action is left out, and so are system calls nobody knows;
* of the rules for a call the first without conditions decides; else those whose conditions hold, the most specific
  first (seccomp_tree), whatever their order in the profile;
* conditions of one rule must all hold; but when two of them are about the same argument each counts as a rule of
  its own (so does runc, and profiles from before libseccomp could combine conditions rely on it);
* where arguments have 32 bits (x32 too) the upper half of a value is not compared;
* where socketcall(2) and ipc(2) exist a rule for socket(2) also stands for socketcall(SYS_SOCKET).  A filter cannot
  follow pointers: what the rule says about the first argument is lost there, conditions on others see socketcall's.

And one rule is runc's: a profile cannot have meant to forbid system calls that did not exist when it was written, so
calls above the highest one it names, per architecture, are answered with ENOSYS, and the C library falls back.
"""

from __future__ import annotations

from _struct import Struct

from ocispec.record import Record
from pyrunc.errors import ConfigError, Unsupported
from pyrunc.kernel.constants import (
    SECCOMP_FILTER_FLAG_LOG,
    SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    SECCOMP_FILTER_FLAG_TSYNC,
    SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_SET_MODE_FILTER,
)
from pyrunc.security.bpf import MAX_INSTRUCTIONS
from pyrunc.security.seccomp_profile import Profile
from pyrunc.security.seccomp_tree import assemble
from pyrunc.security.syscalls import NATIVE, Architecture, is_architecture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.seccomp import Seccomp
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": SECCOMP_FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}

# crun's annotations: seccomp_annotations.py
BPF_DATA = "run.oci.seccomp_bpf_data"
FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"

_SOCK_FPROG = Struct("<H6xQ")
_FILTER_AT = 8  # of struct sock_fprog's pointer


class Filter(Record):
    """instructions: struct sock_filter[]; flags: for seccomp(2); notifies: some rule asks a listener.

    warnings: one sentence each, for --debug.
    """

    instructions: bytes
    flags: int
    notifies: bool
    warnings: tuple[str, ...] = ()


def compile_filter(seccomp: Seccomp, machine: str, *, newer_is_enosys: bool = True) -> Filter:
    """The filter for a kernel of this machine (uname -m).

    `newer_is_enosys` False leaves out the ENOSYS rule, which libseccomp does not have.  Raises ConfigError.
    """
    notifies = _notifies(seccomp)
    profile = Profile(seccomp, newer_is_enosys)
    flags = flags_of(seccomp.flags, notifies, profile.warnings)
    code = assemble(profile, _architectures(seccomp.architectures, machine))
    count = len(code.code)
    if count > MAX_INSTRUCTIONS:
        raise ConfigError(f"linux.seccomp: the filter needs {count} instructions, the kernel takes {MAX_INSTRUCTIONS}")
    return Filter(instructions=code.instructions(), flags=flags, notifies=notifies, warnings=tuple(profile.warnings))


def emit_filter(p: Program, loaded: Filter, into: Register | None = None) -> None:
    """seccomp(2).  The kernel wants no_new_privs or CAP_SYS_ADMIN: when that is, is the caller's to know.

    `into` gets the listener's descriptor (close-on-exec) of a filter that notifies.
    """
    count = len(loaded.instructions) // 8
    with p.at("linux.seccomp"):
        head = _SOCK_FPROG.pack(count, 0)
        program = p.structure(head, [(_FILTER_AT, p.constant(loaded.instructions))])
        doing = f"load the filter of {count} instructions"
        p.call("seccomp", SECCOMP_SET_MODE_FILTER, loaded.flags, program, doing=doing, into=into)


def _notifies(seccomp: Seccomp) -> bool:
    """Does a rule ask the listener?  It must not be asked about what hands the listener over: process/listener.py."""
    if seccomp.default_action == "SCMP_ACT_NOTIFY":
        raise ConfigError("SCMP_ACT_NOTIFY cannot be used as default action")
    notifying = [rule for rule in seccomp.syscalls if rule.action == "SCMP_ACT_NOTIFY"]
    if any("write" in rule.names for rule in notifying):
        raise ConfigError("SCMP_ACT_NOTIFY cannot be used for the write syscall")
    return bool(notifying)


def flags_of(names: Sequence[str] | None, notifies: bool, warnings: list[str]) -> int:
    """The flags of seccomp(2).  Absent is not empty: it means SPEC_ALLOW, as in runc."""
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER if notifies else 0
    for name in ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",) if names is None else names:
        if name not in FLAGS:
            raise ConfigError(f"linux.seccomp.flags: unknown flag {name}")
        flags |= FLAGS[name]
    if flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV and not notifies:
        # the kernel refuses it without a listener (kernel/seccomp.c, 5.19)
        flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        warnings.append("linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV says nothing without a listener")
    if notifies and flags & SECCOMP_FILTER_FLAG_TSYNC:
        flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH  # with a listener a failure cannot be told as a thread id (5.7)
    return flags


def _architectures(names: Sequence[str], machine: str) -> list[Architecture]:
    """The machine's own first, whether the profile names it or not, then the others."""
    if machine not in NATIVE:
        raise Unsupported(f"linux.seccomp: no filters for {machine}")
    native = NATIVE[machine]
    for index, name in enumerate(names):
        if not is_architecture(name):
            raise ConfigError(f"linux.seccomp.architectures[{index}]: unknown architecture {name}")
    found = [Architecture(name) for name in dict.fromkeys([native, *names])]
    for architecture in found:
        if not architecture.little:
            raise ConfigError(f"linux.seccomp.architectures: {architecture.name} has another byte order than {native}")
    return found
