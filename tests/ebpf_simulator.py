"""Runs a device program in Python: eBPF over struct bpf_cgroup_dev_ctx (linux/bpf.h), little-endian.

Only the instructions that cgroups/device_program.py has a use for; what the kernel's verifier would refuse raises.
"""

from __future__ import annotations

from struct import iter_unpack
from typing import TYPE_CHECKING

from pyrunc.kernel import constants as c

if TYPE_CHECKING:
    from collections.abc import Callable

LOAD = c.BPF_LDX | c.BPF_MEM | c.BPF_W
COPY, SET = c.BPF_ALU | c.BPF_MOV | c.BPF_X, c.BPF_ALU | c.BPF_MOV
AND, OR = c.BPF_ALU | c.BPF_AND, c.BPF_ALU | c.BPF_OR | c.BPF_X
RIGHT, LEFT = c.BPF_ALU | c.BPF_RSH, c.BPF_ALU | c.BPF_LSH
EXIT = c.BPF_JMP | c.BPF_EXIT
EQUAL, NOT_EQUAL, ANY_BIT = (c.BPF_JMP32 | condition for condition in (c.BPF_JEQ, c.BPF_JNE, c.BPF_JSET))
JUMPS = (EQUAL, NOT_EQUAL, ANY_BIT)
CODES = (LOAD, COPY, SET, AND, OR, RIGHT, LEFT, EXIT, *JUMPS)
WORD = 0xFFFFFFFF
KINDS = {"b": c.BPF_DEVCG_DEV_BLOCK, "c": c.BPF_DEVCG_DEV_CHAR}
LETTERS = {"r": c.BPF_DEVCG_ACC_READ, "w": c.BPF_DEVCG_ACC_WRITE, "m": c.BPF_DEVCG_ACC_MKNOD}

# (target, source, immediate) -> target
CALCULATIONS: dict[int, Callable[[int, int, int], int]] = {
    COPY: lambda _target, source, _value: source,
    SET: lambda _target, _source, value: value,
    AND: lambda target, _source, value: target & value,
    OR: lambda target, source, _value: target | source,
    RIGHT: lambda target, _source, value: target >> value,
    LEFT: lambda target, _source, value: target << value,
}

Instruction = tuple[int, int, int, int, int]  # code, target, source, offset, immediate


class BadProgram(Exception):
    """The kernel would refuse this program."""


def decode(program: bytes) -> list[Instruction]:
    """struct bpf_insn[], checked: known codes, jumps forward and inside, an end."""
    found = [
        (code, registers & 15, registers >> 4, offset, value)
        for code, registers, offset, value in iter_unpack("<BBhi", program)
    ]
    for place, (code, target, source, offset, _value) in enumerate(found):
        if code not in CODES:
            raise BadProgram(f"instruction {place} has code {code:#x}")
        if code == LOAD and (source != 1 or offset not in (0, 4, 8)):
            raise BadProgram(f"instruction {place} loads from {offset} of register {source}")
        if code in JUMPS and not 0 <= offset < len(found) - place - 1:
            raise BadProgram(f"instruction {place} goes {offset} further, of {len(found)}")
        if target > 9 or source > 9:
            raise BadProgram(f"instruction {place} writes to or reads from no register")
    if not found or found[-1][0] != EXIT:
        raise BadProgram("the program has no end")
    reached = {0}
    for place, (code, _target, _source, offset, _value) in enumerate(found):
        if place not in reached:
            raise BadProgram(f"nothing leads to instruction {place}")
        if code in JUMPS:
            reached.add(place + 1 + offset)
        if code != EXIT:
            reached.add(place + 1)
    return found


def may(program: list[Instruction], kind: str, major: int, minor: int, access: str) -> bool:
    """The answer for an access such as "rw" to a device."""
    context = (sum(LETTERS[letter] for letter in access) << 16 | KINDS[kind], major, minor)
    registers: dict[int, int] = {1: 0}
    place = 0
    while True:
        code, target, source, offset, value = program[place]
        place += 1
        if code == EXIT:
            if registers[0] not in (0, 1):
                raise BadProgram(f"the answer is {registers[0]}")
            return registers[0] == 1
        if code in JUMPS:
            found, wanted = registers[target], value & WORD
            holds = found & wanted if code == ANY_BIT else (found == wanted) == (code == EQUAL)
            place += offset if holds else 0
        elif code == LOAD:
            registers[target] = context[offset // 4]
        else:
            registers[target] = CALCULATIONS[code](registers.get(target, 0), registers.get(source, 0), value) & WORD
