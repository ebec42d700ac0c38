"""The bytes that csrc/stage.c reads, taken apart by hand: the layout is a protocol."""

from __future__ import annotations

from _struct import Struct
from errno import EEXIST, EINVAL, ENOENT

import pytest

from pyrunc.program.builder import Program
from pyrunc.program.encode import HEADER_SIZE, OPERATION_SIZE, encode
from pyrunc.program.numbers import NUMBERS

NUMBERS_HERE = {"openat": 257, "close": 3}
OPERATION = Struct("<BBBBHH6s2x4H6Q")
ALL_ONES = (1 << 64) - 1


def operations(p: Program) -> list[tuple[int | bytes, ...]]:
    content = encode(p, NUMBERS_HERE)
    area = content[HEADER_SIZE : HEADER_SIZE + OPERATION_SIZE * len(p.operations)]
    return [tuple(fields) for fields in OPERATION.iter_unpack(area)]


def test_an_empty_program() -> None:
    assert encode(Program(), {}) == b"PYRUNC1\0" + bytes(24)


def test_header_operations_relocations_data() -> None:
    p = Program()
    p.pointers(["a", "b"])
    p.call("close", 3)
    p.call("close", 4)
    content = encode(p, NUMBERS_HERE)
    assert content[8:20] == b"".join(n.to_bytes(4, "little") for n in (2, 2, len(p.data)))
    relocations = HEADER_SIZE + 2 * OPERATION_SIZE
    assert content[relocations : relocations + 8] == b"".join(n.to_bytes(4, "little") for n in p.relocations)
    assert content[relocations + 8 :] == bytes(p.data)


def test_a_call() -> None:
    p = Program()
    end, register = p.target(), p.register()
    path = p.string("/proc")
    p.call("openat", -100, path, register, into=register, tolerate=(ENOENT, EEXIST), otherwise=end)
    p.call("close", register)
    p.here(end)
    first = operations(p)[0]
    assert first[:6] == (0, register.index, 2, 0, 257, 2)
    assert first[6] == bytes([0, 1, 2, 0, 0, 0])
    assert first[7:11] == (ENOENT, EEXIST, 0, 0)
    assert first[11:] == (ALL_ONES - 99, path.offset | path.size << 32, register.index, 0, 0, 0)


def test_tries_of_a_call() -> None:
    p = Program()
    p.call("openat", 3, tries=255)
    assert operations(p)[0][3] == 255
    for wrong in (-1, 256):
        with pytest.raises(ValueError, match="0 to 255"):
            p.call("openat", 3, tries=wrong)


def test_the_other_kinds() -> None:
    p = Program()
    register, end, memory = p.register(), p.target(), p.scratch(4)
    p.check(memory, 5, doing="check", errno=EINVAL, mask=0xFF, differs=True)
    p.set(register, -1)
    p.jump_if(register, 7, end)
    p.sync(9, "ready", register, memory)
    p.here(end)
    p.report(register)
    check, assign, jump, sync, report = operations(p)
    pointer = memory.offset | memory.size << 32
    assert check[:6] == (1, 0xFF, 0, 1, EINVAL, 0xFFFF)
    assert (check[6], check[11:14]) == (bytes([1, 0, 0, 0, 0, 0]), (pointer, 0xFF, 5))
    assert (assign[0], assign[1], assign[11]) == (2, register.index, ALL_ONES)
    assert (jump[0], jump[5], jump[6], jump[11:13]) == (3, 4, bytes([2, 0, 0, 0, 0, 0]), (register.index, 7))
    assert (sync[0], sync[4], sync[6], sync[11:13]) == (4, 9, bytes([2, 1, 0, 0, 0, 0]), (register.index, pointer))
    assert (report[0], report[6]) == (5, bytes([2, 0, 0, 0, 0, 0]))


def test_jumps_go_forward() -> None:
    p = Program()
    back, never = p.target(), p.target()
    p.here(back)
    p.jump(back)
    with pytest.raises(ValueError, match="jumps go forward"):
        encode(p, {})
    p = Program()
    p.jump(never)
    with pytest.raises(ValueError, match="jumps go forward"):
        encode(p, {})


def test_a_jump_to_the_end_is_a_jump() -> None:
    p = Program()
    end = p.target()
    p.jump(end)
    p.here(end)
    assert operations(p)[0][5] == 1


def test_five_tolerated_errnos_are_too_many() -> None:
    p = Program()
    with pytest.raises(ValueError, match="more than 4"):
        p.call("close", 3, tolerate=(1, 2, 3, 4, 5))


def test_a_call_that_the_architecture_does_not_have() -> None:
    """aarch64 has no mkdir(2), dup2(2), fork(2): emitters use the *at forms, and this is how they notice."""
    p = Program()
    p.call("mkdir", "/x", 0o755)
    encode(p, NUMBERS["x86_64"])
    with pytest.raises(KeyError):
        encode(p, NUMBERS["aarch64"])
