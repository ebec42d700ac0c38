"""One broken number at a time: the stage refuses the program before it runs any of it."""

from __future__ import annotations

from errno import EPROTO
from typing import TYPE_CHECKING

import pytest

from pyrunc.program.builder import Program
from pyrunc.program.encode import HEADER_SIZE, OPERATION_SIZE
from stage_process import MALFORMED, StageProcess, encoded, run_stage

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = ([(MALFORMED, -EPROTO)], 1)
DATA_SIZE = 64
COUNT = 10
CALL, CHECK, SET, JUMP, SYNC, REPORT, TO_ROWS, IN_ROW, EACH, LAST = range(COUNT)
TABLE = 48  # two rows of one word


def sound() -> bytes:
    """One operation of each kind; LAST is a call that would be heard of if it were run."""
    p = Program()
    pointed = p.constant(b"12345678")
    p.structure(bytes(8), [(0, pointed)])
    room = p.scratch(16)
    register, end = p.register(), p.target()
    p.call("getpid", room, 1, register, into=register, tolerate=(1, 2))
    p.check(pointed.field(0, 4), pointed.field(0, 4), doing="check", errno=22)
    p.set(register, 5)
    p.jump_if(register, 6, end)
    p.sync(1, "sync", 0, room)
    p.report(3)
    p.here(end)
    start = len(p)
    p.call("getpid", "\x01path")
    pattern = p.pattern(start, ("\x01path",))
    p.stamp(pattern, ("/",))
    p.stamp(pattern, ("/",))
    p.call("close", 99)
    assert len(p.data) == DATA_SIZE
    return encoded(p)


def changed(content: bytes, offset: int, size: int, value: int) -> bytes:
    return content[:offset] + (value & (1 << 8 * size) - 1).to_bytes(size, "little") + content[offset + size :]


def test_the_sound_program_runs(stage: Path) -> None:
    assert run_stage([stage], sound()) == ([(SYNC, 0), (LAST, -9)], 1)


# offset in the header, size, value
HEADERS = {
    "magic": (0, 8, 0x31434E5552595051),
    "operations": (8, 4, 65535),
    "most operations": (8, 4, 0xFFFFFFFF),
    "relocations": (12, 4, DATA_SIZE // 8 + 1),
    "most relocations": (12, 4, 0xFFFFFFFF),
    "data": (16, 4, (16 << 20) + 1),
    "most data": (16, 4, 0xFFFFFFFF),
    "zeros": (20, 4, 1),
    "last zeros": (28, 4, 1 << 31),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS.keys())
def test_headers(stage: Path, change: tuple[int, int, int]) -> None:
    assert run_stage([stage], changed(sound(), *change)) == REFUSED


def pointer(offset: int, extent: int) -> int:
    return offset | extent << 32


# operation, offset in it, size, value
OPERATIONS = {
    "unknown kind": (CALL, 0, 1, 7),
    "last kind": (CALL, 0, 1, 255),
    "result register": (CALL, 1, 1, 64),
    "last result register": (CALL, 1, 1, 254),
    "tolerated count": (CALL, 2, 1, 5),
    "tolerated 0": (CALL, 16, 2, 0),
    "tolerated 4096": (CALL, 18, 2, 4096),
    "jump to itself": (JUMP, 6, 2, JUMP),
    "jump back": (JUMP, 6, 2, 0),
    "jump out": (JUMP, 6, 2, COUNT + 1),
    "jump far out": (JUMP, 6, 2, 0xFFFE),
    "call jumps back": (CHECK, 6, 2, 0),
    "unknown argument kind": (CALL, 8, 1, 3),
    "unused argument of unknown kind": (CALL, 13, 1, 255),
    "argument's register": (CALL, 24 + 16, 8, 64),
    "argument's huge register": (CALL, 24 + 16, 8, 1 << 63),
    "pointer out of the data": (CALL, 24, 8, pointer(DATA_SIZE, 1)),
    "pointer's extent": (CALL, 24, 8, pointer(0, DATA_SIZE + 1)),
    "pointer that wraps": (CALL, 24, 8, pointer(0xFFFFFFFF, 1)),
    "pointer's extent that wraps": (CALL, 24, 8, pointer(1, 0xFFFFFFFF)),
    "check of no memory": (CHECK, 8, 1, 0),
    "check of 3 bytes": (CHECK, 24, 8, pointer(0, 3)),
    "check of 16 bytes": (CHECK, 24, 8, pointer(0, 16)),
    "check of 0 bytes": (CHECK, 24, 8, pointer(0, 0)),
    "check with a mask that is none": (CHECK, 9, 1, 2),
    "check of different sizes": (CHECK, 24 + 16, 8, pointer(0, 8)),
    "check with errno 4096": (CHECK, 4, 2, 4096),
    "set without a register": (SET, 1, 1, 255),
    "set to a pointer": (SET, 8, 1, 1),
    "jump on a pointer": (JUMP, 8, 1, 1),
    "jump on another pointer": (JUMP, 9, 1, 1),
    "sync of a pointer": (SYNC, 8, 1, 1),
    "sync into a register": (SYNC, 9, 1, 2),
    "report to a pointer": (REPORT, 8, 1, 1),
    "rows that lead forward": (EACH, 6, 2, LAST),
    "rows that lead nowhere": (EACH, 6, 2, 0xFFFF),
    "rows over a sync point": (EACH, 6, 2, SYNC),
    "rows in rows": (IN_ROW, 0, 1, 6),
    "rows without a register": (EACH, 1, 1, 255),
    "rows in a register too many": (EACH, 1, 1, 64),
    "rows without words": (EACH, 24 + 8, 8, 0),
    "rows with too many words": (EACH, 24 + 8, 8, 65),
    "rows with huge words": (EACH, 24 + 8, 8, 1 << 61),
    "more rows than there are": (EACH, 24 + 16, 8, 3),
    "huge rows": (EACH, 24 + 16, 8, (1 << 61) + 2),
    "rows out of the data": (EACH, 24, 8, pointer(TABLE + 8, 16)),
    "rows that are not aligned": (EACH, 24, 8, pointer(TABLE - 4, 16)),
    "rows that are no pointer": (EACH, 8, 1, 0),
    "words in a register": (EACH, 9, 1, 2),
    "rows in a register": (EACH, 10, 1, 2),
}


@pytest.mark.parametrize("change", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_operations(stage: Path, change: tuple[int, int, int, int]) -> None:
    index, offset, size, value = change
    content = changed(sound(), HEADER_SIZE + index * OPERATION_SIZE + offset, size, value)
    assert run_stage([stage], content) == REFUSED


RELOCATED = 3  # an address, and two rows
RELOCATION = HEADER_SIZE + COUNT * OPERATION_SIZE
RELOCATED_WORD = RELOCATION + RELOCATED * 4 + 8
RELOCATIONS = {
    "not aligned": (RELOCATION, 4, 4),
    "behind the data": (RELOCATION, 4, DATA_SIZE),
    "half behind the data": (RELOCATION, 4, DATA_SIZE - 4),
    "far behind": (RELOCATION, 4, 0xFFFFFFF8),
    "value behind the data": (RELOCATED_WORD, 8, DATA_SIZE),
    "huge value": (RELOCATED_WORD, 8, (1 << 64) - 8),
}


@pytest.mark.parametrize("change", RELOCATIONS.values(), ids=RELOCATIONS.keys())
def test_relocations(stage: Path, change: tuple[int, int, int]) -> None:
    assert run_stage([stage], changed(sound(), *change)) == REFUSED


def test_a_word_relocated_twice(stage: Path) -> None:
    content = changed(sound(), 12, 4, RELOCATED + 1)
    again = content[RELOCATION : RELOCATION + 4]
    assert run_stage([stage], content[:RELOCATION] + again + content[RELOCATION:]) == REFUSED


def test_every_truncation_is_the_end_without_a_word(stage: Path) -> None:
    """EOF in the program is a parent that died: there is nobody to tell."""
    content = sound()
    for length in range(0, len(content), 7):
        with StageProcess([stage]) as process:
            process.send(content[:length])
            process.socket.shutdown(1)
            assert process.message() is None
            assert process.wait() == 1


def test_the_largest_program(stage: Path) -> None:
    p = Program()
    for _ in range(65533):
        p.call("getppid")
    p.call("close", 99)
    p.scratch((16 << 20) - len(p.data))
    assert run_stage([stage], encoded(p)) == ([(65533, -9)], 1)
