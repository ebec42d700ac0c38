"""linux.resources.devices -> the eBPF program that decides for a cgroup of version 2 (BPF_PROG_TYPE_CGROUP_DEVICE).

The kernel calls it with struct bpf_cgroup_dev_ctx (linux/bpf.h) and takes 1 for yes.  Of each of r, w and m that an
access asks for, the last rule of the list that speaks of the device and of this letter decides, and without one the
answer is no: so the program asks the rules from the last to the first and crosses off what they allow.  Version 1,
which knows a default and its exceptions alone, cannot express every list (devices.work_out); a program can.
"""

from __future__ import annotations

from pyrunc.cgroups.devices import ANY, DEFAULT_ALLOWED, EVERYTHING, check_rules
from pyrunc.kernel.constants import (
    BPF_ALU,
    BPF_AND,
    BPF_DEVCG_ACC_MKNOD,
    BPF_DEVCG_ACC_READ,
    BPF_DEVCG_ACC_WRITE,
    BPF_DEVCG_DEV_BLOCK,
    BPF_DEVCG_DEV_CHAR,
    BPF_EXIT,
    BPF_JA,
    BPF_JMP,
    BPF_JMP32,
    BPF_JNE,
    BPF_JSET,
    BPF_K,
    BPF_LDX,
    BPF_MEM,
    BPF_MOV,
    BPF_RSH,
    BPF_W,
    BPF_X,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.resources import DeviceRule
    from pyrunc.cgroups.devices import Key

    Verdict = tuple[bool, Key, int]  # allow, which devices, bits of ACCESS

KINDS = {"b": BPF_DEVCG_DEV_BLOCK, "c": BPF_DEVCG_DEV_CHAR}
ACCESS = {"r": BPF_DEVCG_ACC_READ, "w": BPF_DEVCG_ACC_WRITE, "m": BPF_DEVCG_ACC_MKNOD}
ALL = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD

# struct bpf_cgroup_dev_ctx: access_type is access << 16 | kind.
ACCESS_TYPE, MAJOR, MINOR = 0, 4, 8
# Registers: bpf(2) hands over the context in 1, and 0 is the answer.
ANSWER, CONTEXT, KIND, ASKED, MAJOR_NUMBER, MINOR_NUMBER = range(6)


def compile_program(rules: Sequence[DeviceRule]) -> bytes:
    """struct bpf_insn[] for the rules and then the default list; b"" when everything is allowed anyway.

    Raises ConfigError for a rule that means nothing.
    """
    check_rules(rules)
    verdicts, otherwise = live(rules)
    if otherwise and not verdicts:
        return b""
    program = [
        _load(KIND, ACCESS_TYPE),
        _instruction(BPF_ALU | BPF_MOV | BPF_X, ASKED, source=KIND),
        _instruction(BPF_ALU | BPF_RSH | BPF_K, ASKED, value=16),
        _instruction(BPF_ALU | BPF_AND | BPF_K, KIND, value=0xFFFF),
        _load(MAJOR_NUMBER, MAJOR),
        _load(MINOR_NUMBER, MINOR),
    ]
    for verdict in verdicts:
        program.extend(_ask(*verdict))
    program.extend(_answer(otherwise))
    return b"".join([instruction.to_bytes(8, "little") for instruction in program])


def live(rules: Sequence[DeviceRule]) -> tuple[list[Verdict], bool]:
    """The rules that decide something, the last first, and the answer where none does.

    Engines list the default devices too, and begin with "deny everything": neither need be asked.
    """
    verdicts: list[Verdict] = []
    decided: dict[Key, int] = {}
    otherwise = False
    for allow, key, bits in _backwards(rules):
        kind, major, minor = key
        if not kind:
            otherwise = allow
            break
        wider = ((kind, ANY, ANY), (kind, major, ANY), (kind, ANY, minor), key)
        for one in wider:
            bits &= ~decided.get(one, 0)
        if bits:
            verdicts.append((allow, key, bits))
            decided[key] = decided.get(key, 0) | bits
    while verdicts and verdicts[-1][0] == otherwise:
        verdicts.pop()
    return verdicts, otherwise


def _backwards(rules: Sequence[DeviceRule]) -> Iterator[Verdict]:
    """Kind "" is everything, rwm."""
    for key, letters in reversed(DEFAULT_ALLOWED):
        yield True, key, _bits(letters)
    for rule in reversed(rules):
        major = ANY if rule.major is None else rule.major
        minor = ANY if rule.minor is None else rule.minor
        bits = _bits(rule.access)
        if rule.type in KINDS:
            yield rule.allow, (rule.type, major, minor), bits
        elif (major, minor, bits) == (ANY, ANY, ALL):
            yield rule.allow, ("", ANY, ANY), ALL
        else:
            for kind in KINDS:
                yield rule.allow, (kind, major, minor), bits


def _bits(letters: str) -> int:
    return ALL if letters == EVERYTHING else sum([ACCESS[letter] for letter in set(letters)])


def _ask(allow: bool, key: Key, bits: int) -> list[int]:
    """The instructions of one rule: on to the next one where it has no answer."""
    kind, major, minor = key
    if allow:
        # Crossed off; the answer is yes when nothing is left.
        crossed_off = _instruction(BPF_ALU | BPF_AND | BPF_K, ASKED, value=~bits)
        body = _answer(True) if bits == ALL else [crossed_off, _unless(ASKED, 0, 2), *_answer(True)]
    else:
        has_any = _instruction(BPF_JMP32 | BPF_JSET | BPF_K, ASKED, value=bits, jump=1)
        body = _answer(False) if bits == ALL else [has_any, _instruction(BPF_JMP | BPF_JA, jump=2), *_answer(False)]
    wanted = ((MINOR_NUMBER, minor), (MAJOR_NUMBER, major), (KIND, KINDS[kind]))
    for register, value in wanted:
        if value != ANY:
            body.insert(0, _unless(register, value, len(body)))
    return body


def _answer(allow: bool) -> list[int]:
    return [_instruction(BPF_ALU | BPF_MOV | BPF_K, ANSWER, value=int(allow)), _instruction(BPF_JMP | BPF_EXIT)]


def _unless(register: int, value: int, jump: int) -> int:
    """Past `jump` instructions when the register holds something else; 32 bits, Linux 5.1."""
    return _instruction(BPF_JMP32 | BPF_JNE | BPF_K, register, value=value, jump=jump)


def _load(register: int, offset: int) -> int:
    return _instruction(BPF_LDX | BPF_MEM | BPF_W, register, source=CONTEXT, jump=offset)


def _instruction(code: int, target: int = 0, *, source: int = 0, jump: int = 0, value: int = 0) -> int:
    """struct bpf_insn as a little-endian number: code, two registers in a byte, offset, immediate."""
    return code | target << 8 | source << 12 | jump << 16 | (value & 0xFFFFFFFF) << 32
