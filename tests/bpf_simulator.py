"""Runs a seccomp filter in Python: classic BPF over struct seccomp_data, little-endian (linux/seccomp.h).

Only what the kernel's seccomp_check_filter accepts is implemented, and what libseccomp and pyrunc emit of that.
"""

from __future__ import annotations

from struct import Struct, iter_unpack

_DATA = Struct("<iIQ6Q")
_WORDS = Struct("<16I")
_WORD = 0xFFFFFFFF

LOAD, LOAD_IMMEDIATE, AND, JUMP, RETURN = 0x20, 0x00, 0x54, 0x05, 0x06
EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x15, 0x25, 0x35, 0x45

Instruction = tuple[int, int, int, int]


class BadFilter(Exception):
    """The kernel would refuse this filter."""


def decode(filter_bytes: bytes) -> list[Instruction]:
    """struct sock_filter[] -> (code, jump if true, jump if false, operand), checked as the kernel checks it."""
    program: list[Instruction] = list(iter_unpack("<HBBI", filter_bytes))
    if not 0 < len(program) <= 4096:
        raise BadFilter(f"{len(program)} instructions")
    for place, (code, yes, no, operand) in enumerate(program):
        if code == LOAD and (operand % 4 or operand >= _DATA.size):
            raise BadFilter(f"instruction {place} loads from {operand}")
        furthest = operand if code == JUMP else max(yes, no) if code & 7 == 5 else 0
        if code not in (LOAD, LOAD_IMMEDIATE, AND, JUMP, RETURN, EQUAL, GREATER, AT_LEAST, ANY_BIT):
            raise BadFilter(f"instruction {place} has code {code:#x}")
        if code != RETURN and place + furthest + 1 >= len(program):
            raise BadFilter(f"instruction {place} goes past the end")
    return program


def run(program: list[Instruction], number: int, architecture: int, arguments: tuple[int, ...]) -> tuple[int, int]:
    """What the filter returns for a call, and how many instructions that took."""
    signed = number - (1 << 32) if number >> 31 else number
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    words = _WORDS.unpack(_DATA.pack(signed, architecture, 0, *padded))
    accumulator = place = steps = 0
    while True:
        code, yes, no, operand = program[place]
        place += 1
        steps += 1
        if code == LOAD:
            accumulator = words[operand >> 2]
        elif code == EQUAL:
            place += yes if accumulator == operand else no
        elif code == AT_LEAST:
            place += yes if accumulator >= operand else no
        elif code == GREATER:
            place += yes if accumulator > operand else no
        elif code == RETURN:
            return operand, steps
        elif code == JUMP:
            place += operand
        elif code == AND:
            accumulator &= operand
        elif code == ANY_BIT:
            place += yes if accumulator & operand else no
        else:
            accumulator = operand
