"""linux.resources.devices -> the eBPF program that decides for a cgroup of version 2 (BPF_PROG_TYPE_CGROUP_DEVICE).

The kernel calls it with struct bpf_cgroup_dev_ctx (linux/bpf.h) and takes 1 for yes.  Of each of r, w and m that an
access asks for, the last rule of the list that speaks of the device and of this letter decides, and without one the
answer is no: so the program asks the rules from the last to the first and crosses off what they allow.  Version 1,
which knows a default and its exceptions alone, cannot express every list (devices.work_out); a program can.

One conditional jump a device: jumps are what the verifier spends its time on (docs/adr/0010).
"""

from __future__ import annotations

from pyrunc.cgroups.devices import ANY, DEFAULT_ALLOWED, EVERYTHING, PLACE, check_rules
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    BPF_ALU,
    BPF_AND,
    BPF_DEVCG_ACC_MKNOD,
    BPF_DEVCG_ACC_READ,
    BPF_DEVCG_ACC_WRITE,
    BPF_DEVCG_DEV_BLOCK,
    BPF_DEVCG_DEV_CHAR,
    BPF_EXIT,
    BPF_JEQ,
    BPF_JMP,
    BPF_JMP32,
    BPF_JNE,
    BPF_JSET,
    BPF_LDX,
    BPF_LSH,
    BPF_MEM,
    BPF_MOV,
    BPF_OR,
    BPF_RSH,
    BPF_W,
    BPF_X,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.resources import DeviceRule

    Devices = tuple[int, int]  # major, minor; ANY for a wildcard
    Verdict = tuple[bool, Devices, int]  # allow, which devices, bits of ACCESS

KINDS = {"c": BPF_DEVCG_DEV_CHAR, "b": BPF_DEVCG_DEV_BLOCK}
ACCESS = {"r": BPF_DEVCG_ACC_READ, "w": BPF_DEVCG_ACC_WRITE, "m": BPF_DEVCG_ACC_MKNOD}
ALL = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD
WHOLE_KIND = (ANY, ANY)

# struct bpf_cgroup_dev_ctx: access_type is access << 16 | kind.
ACCESS_TYPE, MAJOR, MINOR = 0, 4, 8
# Registers: the kernel hands over the context in 1, and takes the answer from 0.
ANSWER, CONTEXT, KIND, ASKED, MAJOR_NUMBER, MINOR_NUMBER, NUMBER = range(7)
# dev_t of the kernel's include/linux/kdev_t.h: no device has a number with more bits.
MAJOR_BITS, MINOR_BITS = 12, 20
# A rule takes three instructions at most, and a jump goes 32767 far.
MOST_RULES = 10_000


def compile_program(rules: Sequence[DeviceRule]) -> bytes:
    """struct bpf_insn[] for the rules and then the default list; b"" when everything is allowed anyway.

    Raises ConfigError for a rule that means nothing, and for more than MOST_RULES of them.
    """
    check_rules(rules)
    if len(rules) > MOST_RULES:
        raise ConfigError(f"{PLACE}: more than {MOST_RULES} rules")
    characters, blocks = (live(rules, kind) for kind in KINDS)
    if characters == blocks == ([], True):
        return b""
    section = _section(*characters)
    program = [
        _load(KIND, ACCESS_TYPE),
        _calculate(BPF_MOV | BPF_X, ASKED, source=KIND),
        _calculate(BPF_RSH, ASKED, value=16),
        _calculate(BPF_AND, KIND, value=0xFFFF),
        _load(MAJOR_NUMBER, MAJOR),
        _load(MINOR_NUMBER, MINOR),
        _calculate(BPF_MOV | BPF_X, NUMBER, source=MAJOR_NUMBER),
        _calculate(BPF_LSH, NUMBER, value=MINOR_BITS),
        _calculate(BPF_OR | BPF_X, NUMBER, source=MINOR_NUMBER),
        _jump(BPF_JNE, KIND, KINDS["c"], len(section)),
        *section,
        *_section(*blocks),
    ]
    return b"".join([instruction.to_bytes(8, "little") for instruction in program])


def live(rules: Sequence[DeviceRule], kind: str) -> tuple[list[Verdict], bool]:
    """The rules that decide something about this kind, the last first, and the answer where none does.

    Engines list the default devices too, and begin with "deny everything": neither need be asked.
    """
    verdicts: list[Verdict] = []
    decided: dict[Devices, int] = {}
    otherwise = False
    for allow, devices, bits in _backwards(rules, kind):
        major, minor = devices
        for wider in (WHOLE_KIND, (major, ANY), (ANY, minor), devices):
            bits &= ~decided.get(wider, 0)
        if not bits or major >> MAJOR_BITS > 0 or minor >> MINOR_BITS > 0:
            continue
        decided[devices] = decided.get(devices, 0) | bits
        if decided.get(WHOLE_KIND) == ALL:
            otherwise = allow
            break
        verdicts.append((allow, devices, bits))
    while verdicts and verdicts[-1][0] == otherwise:
        verdicts.pop()
    return verdicts, otherwise


def _backwards(rules: Sequence[DeviceRule], kind: str) -> Iterator[Verdict]:
    for (of_kind, major, minor), letters in reversed(DEFAULT_ALLOWED):
        if of_kind == kind:
            yield True, (major, minor), _bits(letters)
    for rule in reversed(rules):
        if rule.type in (kind, "a", ""):
            major = ANY if rule.major is None else rule.major
            minor = ANY if rule.minor is None else rule.minor
            yield rule.allow, (major, minor), _bits(rule.access)


def _bits(letters: str) -> int:
    return ALL if letters == EVERYTHING else sum([ACCESS[letter] for letter in set(letters)])


def _section(verdicts: Sequence[Verdict], otherwise: bool) -> list[int]:
    """What is done for one kind: the questions, the answer where none had one, and behind it the other answer.

    The verifier refuses instructions that nothing leads to, hence no answer that nobody gives.
    """
    if not verdicts:
        return _answer(otherwise)
    questions: list[list[int]] = []
    distance = 0  # from the end of a question to the first answer
    for allow, devices, bits in reversed(verdicts):
        question = _ask(allow, devices, bits, distance + (0 if allow == otherwise else len(_answer(otherwise))))
        questions.append(question)
        distance += len(question)
    section = [instruction for question in reversed(questions) for instruction in question]
    return [*section, *_answer(otherwise), *_answer(not otherwise)]


def _ask(allow: bool, devices: Devices, bits: int, jump: int) -> list[int]:
    """One rule; its last instruction jumps to the answer if the rule has one."""
    major, minor = devices
    if minor == ANY:
        register, number = MAJOR_NUMBER, major
    elif major == ANY:
        register, number = MINOR_NUMBER, minor
    else:
        register, number = NUMBER, major << MINOR_BITS | minor
    if bits == ALL:
        return [_jump(BPF_JEQ, register, number, jump)]
    if allow:
        # Crossed off; the answer is yes when nothing is left.
        body = [_calculate(BPF_AND, ASKED, value=~bits), _jump(BPF_JEQ, ASKED, 0, jump)]
    else:
        body = [_jump(BPF_JSET, ASKED, bits, jump)]
    return body if devices == WHOLE_KIND else [_jump(BPF_JNE, register, number, len(body)), *body]


def _answer(allow: bool) -> list[int]:
    return [_calculate(BPF_MOV, ANSWER, value=int(allow)), _instruction(BPF_JMP | BPF_EXIT)]


def _jump(condition: int, register: int, value: int, distance: int) -> int:
    """Past `distance` instructions if it holds, compared in 32 bits (Linux 5.1)."""
    return _instruction(BPF_JMP32 | condition, register, offset=distance, value=value)


def _calculate(operation: int, register: int, *, source: int = 0, value: int = 0) -> int:
    """In 32 bits; with BPF_X from a register."""
    return _instruction(BPF_ALU | operation, register, source=source, value=value)


def _load(register: int, offset: int) -> int:
    return _instruction(BPF_LDX | BPF_MEM | BPF_W, register, source=CONTEXT, offset=offset)


def _instruction(code: int, register: int = 0, *, source: int = 0, offset: int = 0, value: int = 0) -> int:
    """struct bpf_insn as a little-endian number: code, two registers in a byte, offset, immediate."""
    return code | register << 8 | source << 12 | offset << 16 | (value & 0xFFFFFFFF) << 32
