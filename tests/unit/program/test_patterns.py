"""Patterns: what is stamped is what would have been emitted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pyrunc.program.builder import Program
from pyrunc.program.encode import encode
from pyrunc.program.numbers import NUMBERS
from pyrunc.program.operations import Pointer, Register
from pyrunc.program.simulator import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pyrunc_assembler import Pattern

    from pyrunc.program.operations import Operation


class Shown(NamedTuple):
    """An operation without where its strings lie."""

    name: str
    arguments: tuple[object, ...]
    target: int | None
    failure: str


def shown(p: Program) -> list[Shown]:
    return list(_shown(p))


def _shown(p: Program) -> Iterator[Shown]:
    for index, operation in enumerate(p.operations):
        target = None if operation.target is None else operation.target.index - index
        yield Shown(operation.name, _values(p, operation), target, operation.label.failure(2))


def _values(p: Program, operation: Operation) -> tuple[object, ...]:
    values: list[object] = []
    for argument in operation.arguments:
        if isinstance(argument, Pointer):
            values.append(p.data[argument.offset : argument.offset + argument.size])
        elif isinstance(argument, Register):
            values.append(argument.index)
        else:
            values.append(argument)
    return tuple(values)


def emit(p: Program, source: str, name: str) -> None:
    """A little of everything: a string twice, a register, a jump, words in labels."""
    found = p.target()
    opened = p.result("openat", -100, source, 0, 0, doing=f"open {source}", tolerate=(2,), otherwise=found)
    p.call("mkdirat", opened, name, 0o755, doing=f"make {name} from {source}")
    p.here(found)
    p.check(p.constant(b"/"), 47, doing="", errno=2, says=f"{name} is not there: {{errno}}")
    p.close(opened)


def stamped(*mounts: tuple[str, str]) -> Program:
    p = Program()
    p.call("getpid", doing="something before")
    start = len(p)
    emit(p, "/\x01source", "\x01name")
    pattern = p.pattern(start, ("/\x01source", "\x01name"))
    assert len(p) == start
    for index, words in enumerate(mounts):
        with p.at(f"mounts[{index}]", words[1]):
            p.stamp(pattern, words)
    return p


def emitted(*mounts: tuple[str, str]) -> Program:
    p = Program()
    p.call("getpid", doing="something before")
    for index, words in enumerate(mounts):
        with p.at(f"mounts[{index}]", words[1]):
            emit(p, *words)
    return p


# Equal words of one mount are the point: they share their bytes, and the pattern must not take one for the other.
@pytest.mark.parametrize("mounts", [(("/etc", "a"),), (("/a", "/a"), ("/b", "x")), (("/\x01name", "\x01source"),) * 2])
def test_a_stamp_is_what_would_have_been_emitted(mounts: tuple[tuple[str, str], ...]) -> None:
    one, other = stamped(*mounts), emitted(*mounts)
    for mine, theirs in zip(shown(one), shown(other), strict=True):
        if "\x01" not in mounts[0][0]:  # made-up words in real ones show in a text, and nowhere else
            assert mine == theirs
        assert mine[:3] == theirs[:3]
    assert encode(one, NUMBERS["x86_64"])


def test_registers_of_the_pattern_must_be_free() -> None:
    p = Program()
    emit(p, "\x01source", "\x01name")
    pattern = p.pattern(0, ("\x01source", "\x01name"))
    taken = p.register()
    with pytest.raises(RuntimeError, match="in use"):
        p.stamp(pattern, ("/a", "b"))
    p.release(taken)
    p.stamp(pattern, ("/a", "b"))


def test_a_register_from_outside_may_be_set() -> None:
    p = Program()
    outside = p.register()
    p.set(outside, 1)
    start = len(p)
    p.set(outside, 2)
    p.call("chdir", "\x01a", doing="")
    pattern = p.pattern(start, ("\x01a",))
    p.stamp(pattern, ("/a",))
    assert [operation.into for operation in p.operations] == [outside, outside, None]


def test_what_cannot_be_a_pattern() -> None:
    p = Program()
    away = p.target()
    p.jump(away)
    with pytest.raises(ValueError, match="cannot be part"):
        p.pattern(0, ("\x01a",))  # nobody knows yet where the jump goes
    p = Program()
    p.call("chdir", "\x01a", doing="")
    p.relabel("something else")
    with pytest.raises(ValueError, match="cannot be part"):
        p.pattern(0, ("\x01a",))
    p = Program()
    p.call("chdir", "\x01a", doing="")
    p.stamp(p.pattern(0, ("\x01a",)), ("/a",))
    with pytest.raises(ValueError, match="a loop cannot be part"):
        p.pattern(0, ("/a",))
    p = Program()
    p.call("chdir", "\x01a", doing="")
    p.sync(1, "wait")  # what stands before it is forgotten
    with pytest.raises(ValueError, match="cannot be part"):
        p.pattern(0, ("\x01a",))


def test_no_argument_is_a_part_of_a_word() -> None:
    for offset in (0, 1):
        p = Program()
        p.check(p.string("\x01source").field(offset, 1), 1, doing="", errno=2)
        with pytest.raises(ValueError, match="part of a word"):
            p.pattern(0, ("\x01source",))


def test_a_word_that_was_changed_on_its_way() -> None:
    """What stood there in its stead would stay in every stamp."""
    p = Program()
    p.call("chdir", "\x01a/b", doing="")
    with pytest.raises(ValueError, match="stands nowhere"):
        p.pattern(0, ("\x01a",))


def test_words_are_not_equal() -> None:
    p = Program()
    for _ in range(8):
        p.call("symlinkat", "\x01a", -100, "\x01a", doing="")
    with pytest.raises(ValueError, match="equal"):
        p.pattern(0, ("\x01a",) * 4)


def test_as_many_words_as_the_pattern_has_and_of_the_same_program() -> None:
    p = Program()
    p.call("chdir", "\x01a", doing="")
    pattern = p.pattern(0, ("\x01a",))
    for wrong in ((), ("/a", "/b")):
        with pytest.raises(ValueError, match="1 words"):
            p.stamp(pattern, wrong)
    with pytest.raises(ValueError, match="another program"):
        Program().stamp(pattern, ("/a",))
    with pytest.raises(TypeError):
        p.stamp(pattern, ["/a"])  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        p.pattern(5, ("\x01a",))
    for wrong in ((), ("\x01a",) * 49):
        with pytest.raises(TypeError, match="1 to 48"):
            p.pattern(0, wrong)


# -- loops ------------------------------------------------------------------------------------------------------------


def changing_directory() -> tuple[Program, Pattern]:
    p = Program()
    p.call("chdir", "\x01a", doing="enter \x01a")
    return p, p.pattern(0, ("\x01a",))


def entered(p: Program) -> list[str]:
    return [str(words[0]) for words in simulate(p).calls("chdir")]


def test_one_after_another_they_are_rows_of_one_loop() -> None:
    p, pattern = changing_directory()
    for path in ("/a", "/b", "/a"):
        p.stamp(pattern, (path,))
    assert p.loops == [(1, 2, 3)]
    assert (len(p), len(p.operations)) == (3, 3)  # the jump, the call and EACH; three calls
    assert entered(p) == ["/a", "/b", "/a"]


def test_what_comes_between_comes_between() -> None:
    p, pattern = changing_directory()
    p.stamp(pattern, ("/a",))
    p.call("chdir", "/between")
    p.stamp(pattern, ("/b",))
    start = len(p)
    p.call("chdir", "\x01a")
    p.stamp(p.pattern(start, ("\x01a",)), ("/c",))
    p.stamp(pattern, ("/d",))
    assert [rows for _start, _end, rows in p.loops] == [1, 1, 1, 1]
    assert entered(p) == ["/a", "/between", "/b", "/c", "/d"]


def test_who_jumps_behind_a_row_does_not_land_before_it() -> None:
    p, pattern = changing_directory()
    target = p.target()
    p.jump(target)
    p.stamp(pattern, ("/skipped",))
    p.here(target)
    p.stamp(pattern, ("/a",))
    assert entered(p) == ["/a"]


def test_what_was_encoded_gets_no_more_rows() -> None:
    p, pattern = changing_directory()
    p.stamp(pattern, ("/a",))
    first = encode(p, NUMBERS["x86_64"])
    assert encode(p, NUMBERS["x86_64"]) == first
    p.stamp(pattern, ("/b",))
    assert encode(p, NUMBERS["x86_64"]) != first
    assert entered(p) == ["/a", "/b"]


def test_an_operation_and_its_row() -> None:
    p, pattern = changing_directory()
    for index, path in enumerate(("/a", "/b")):
        with p.at(f"mounts[{index}]", path):
            p.stamp(pattern, (path,))
    assert p.operation(1 | 2 << 16).label.failure(2) == "mounts[1] /b: enter /b: ENOENT (no such file or directory)"
    for told in (1 | 3 << 16, 0 | 1 << 16, 2 | 1 << 16, 3, 0xFFFF, 1 | -1 << 16):
        with pytest.raises(IndexError):
            p.operation(told)


def test_nobody_keeps_a_program() -> None:
    """A pattern names its program by a number: with a reference to it there were a cycle."""
    p, pattern = changing_directory()
    p.stamp(pattern, ("/a",))
    gone = weakref.ref(p)
    del p
    assert gone() is None
    del pattern
