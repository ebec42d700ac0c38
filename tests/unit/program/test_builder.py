"""Program: what emitters may rely on, and what it refuses."""

from __future__ import annotations

from errno import EINVAL

import pytest

from pyrunc.errors import ConfigError
from pyrunc.program.builder import Program
from pyrunc.program.operations import MAX_REGISTERS, NEXT, Pointer


def test_equal_strings_share_their_bytes() -> None:
    p = Program()
    assert p.string("/proc") is p.string(b"/proc")
    assert p.string("/proc") is not p.string("/sys")
    assert bytes(p.data).count(b"/proc\0") == 1


def test_strings_are_encoded_as_file_names_are() -> None:
    p = Program()
    pointer = p.string("é\udcff")
    assert p.data[pointer.offset : pointer.offset + pointer.size] == b"\xc3\xa9\xff\0"


def test_a_string_with_a_nul_is_refused() -> None:
    p = Program()
    with pytest.raises(ConfigError, match="NUL"):
        p.call("chdir", "a\0b")


def test_memory_is_aligned_and_never_overlaps() -> None:
    p = Program()
    pointers = [p.constant(b"x"), p.scratch(3), p.scratch(0), p.constant(b"123456789"), p.scratch(8)]
    assert all(pointer.offset % 8 == 0 for pointer in pointers)
    used = [set(range(pointer.offset, pointer.offset + pointer.size)) for pointer in pointers]
    assert sum(map(len, used)) == len(set().union(*used))
    assert max(pointer.offset + pointer.size for pointer in pointers) <= len(p.data)


def test_fields_stay_inside() -> None:
    memory = Program().scratch(16)
    assert (memory.field(8, 8).offset, memory.field(8, 8).size) == (memory.offset + 8, 8)
    for offset, size in ((-1, 4), (8, 9), (16, 1)):
        with pytest.raises(ValueError, match="outside"):
            memory.field(offset, size)


def test_pointer_arrays_end_with_null_and_are_relocated() -> None:
    p = Program()
    home = p.scratch(16)
    array = p.pointers(["one", b"two", home])
    words = [array.offset + 8 * index for index in range(4)]
    values = [int.from_bytes(p.data[word : word + 8], "little") for word in words]
    assert values == [p.string("one").offset, p.string("two").offset, home.offset, 0]
    assert p.relocations == words[:3]


def test_registers_are_given_once_and_come_back() -> None:
    p = Program()
    registers = [p.register() for _ in range(MAX_REGISTERS)]
    assert sorted(register.index for register in registers) == list(range(MAX_REGISTERS))
    with pytest.raises(RuntimeError, match="out of registers"):
        p.register()
    p.release(registers[5])
    with pytest.raises(RuntimeError, match="released twice"):
        p.release(registers[5])
    assert p.register().index == registers[5].index


def test_close_gives_the_register_back() -> None:
    p = Program()
    p.close(p.result("fsopen", "proc", 1))
    assert [operation.name for operation in p.operations] == ["fsopen", "close"]
    assert len({p.register().index for _ in range(MAX_REGISTERS)}) == MAX_REGISTERS


def test_labels_nest() -> None:
    p = Program()
    p.call("a")
    with p.at("mounts[3]", "/proc"):
        p.call("b", doing="mount proc")
        with p.at("root"):
            p.call("c")
        p.call("d")
    labels = [(o.label.place, o.label.subject, o.label.doing) for o in p.operations]
    assert labels == [("", "", ""), ("mounts[3]", "/proc", "mount proc"), ("root", "", ""), ("mounts[3]", "/proc", "")]


def test_a_failure_reads_as_a_sentence() -> None:
    p = Program()
    with p.at("mounts[3]", "/proc"):
        p.call("mount", doing="mount proc")
        p.call("execve", doing="execute", says='exec: "x": {errno}')
    assert p.operations[0].label.failure(1) == "mounts[3] /proc: mount proc: EPERM (operation not permitted)"
    assert p.operations[1].label.failure(2) == 'exec: "x": no such file or directory'


@pytest.mark.parametrize("size", [0, 3, 16])
def test_checks_of_odd_sizes_are_refused(size: int) -> None:
    p = Program()
    with pytest.raises(ValueError, match="compares"):
        p.check(p.scratch(size), 0, doing="check", errno=EINVAL)


def test_the_mask_of_a_check_is_as_wide_as_its_memory() -> None:
    p = Program()
    p.check(p.scratch(2), 7, doing="check", errno=EINVAL)
    _memory, mask, expected = p.operations[0].arguments
    assert (mask, expected) == (0xFFFF, 7)
    assert isinstance(p.operations[0].arguments[0], Pointer)


def test_there_is_a_largest_program() -> None:
    p = Program()
    for _ in range(NEXT - 1):
        p.call("getpid")
    with pytest.raises(ConfigError, match="more than 65534 operations"):
        p.call("getpid")


@pytest.mark.parametrize("word", [-1, 1, 8, 2**31, 2**63 - 1])
def test_an_address_is_put_into_the_data_block_only(word: int) -> None:
    p = Program()
    pointer = p.constant(b"01234567")
    with pytest.raises(ValueError, match="outside the data block"):
        p.point(word, pointer)
    assert (bytes(p.data), list(p.relocations)) == (b"01234567", [])


@pytest.mark.parametrize(("offset", "size"), [(0, 9), (8, 1), (2**63 - 1, 1), (1, 2**63 - 1), (-1, 1), (1, -1)])
def test_a_field_is_inside_its_memory(offset: int, size: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        Program().constant(b"01234567").field(offset, size)
