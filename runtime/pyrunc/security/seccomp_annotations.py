"""What crun's annotations make of linux.seccomp.

run.oci.seccomp_bpf_data                a filter of the user's own, base64, in the place of the compiled one
run.oci.seccomp_fail_unknown_syscall    a system call that nobody knows is an error
"""

from __future__ import annotations

from pyrunc.errors import ConfigError
from pyrunc.security.bpf import MAX_INSTRUCTIONS
from pyrunc.security.seccomp import BPF_DATA, FAIL_UNKNOWN, Filter, compile_filter, flags_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocispec.seccomp import Seccomp

_INSTRUCTION = 8  # struct sock_filter
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DIGITS = frozenset(_ALPHABET)


def compile_annotated(seccomp: Seccomp | None, annotations: Mapping[str, str], machine: str) -> Filter | None:
    """Raises ConfigError; what is no program at all the kernel refuses when it is loaded."""
    if BPF_DATA in annotations:
        warnings: list[str] = []
        flags = flags_of(seccomp.flags if seccomp is not None else None, False, warnings)  # noqa: FBT003
        program = _decode(annotations[BPF_DATA])
        return Filter(instructions=program, flags=flags, notifies=False, warnings=tuple(warnings))
    if seccomp is None:
        return None
    compiled = compile_filter(seccomp, machine)
    for warning in compiled.warnings:
        if warning.startswith("unknown seccomp syscall"):
            raise ConfigError(f"linux.seccomp: {warning.removesuffix(' ignored')} (annotation {FAIL_UNKNOWN})")
    return compiled


def _decode(text: str) -> bytes:
    place = f'annotations["{BPF_DATA}"]'
    digits = text.rstrip("=")
    if len(text) % 4 or len(text) - len(digits) > 2 or not _DIGITS.issuperset(digits):
        raise ConfigError(f"{place}: is no base64")
    program = _from_base64(digits)
    if not program or len(program) % _INSTRUCTION or len(program) > MAX_INSTRUCTIONS * _INSTRUCTION:
        words = f"must be 1 to {MAX_INSTRUCTIONS} instructions of {_INSTRUCTION} bytes, not {len(program)} bytes"
        raise ConfigError(f"{place}: {words}")
    return program


def _from_base64(digits: str) -> bytes:
    """RFC 4648.  binascii is a file of its own in some Pythons, and the launcher opens none."""
    number = 0
    for digit in digits:
        number = number << 6 | _ALPHABET.index(digit)
    size = len(digits) * 6 // 8
    return (number >> len(digits) * 6 - size * 8).to_bytes(size, "big")
