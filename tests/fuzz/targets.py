"""What fuzz_module.c does with its bytes.  An exception that gets out is a find."""

from __future__ import annotations

import json
import math
from platform import machine

from _pyrunc_json import quote, read, write

from pyrunc.errors import ConfigError
from pyrunc.json_faults import find_fault
from pyrunc.program.builder import Program
from pyrunc.program.numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _pyrunc_assembler import Pattern, Pointer, Register, Target

_NUMBERS = NUMBERS[machine()]
_NAMES = (*list(_NUMBERS)[:40], "no_such_call")
_HEADER, _OPERATION, _RELOCATION = 32, 72, 4
_UNUSUAL = (
    0,
    1,
    2,
    7,
    8,
    63,
    64,
    255,
    256,
    4095,
    4096,
    65535,
    65536,
    -1,
    1 << 31,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    1 << 70,
)
_MOST_STEPS = 400


def json_document(content: bytes) -> None:
    """What is read is what Python's json reads, and survives being written; what is refused has a reason."""
    try:
        value = read(content)
    except ValueError:
        _explain(content)
        return
    _same(value, json.loads(content))
    text = write(value)
    if not any("\ud800" <= letter <= "\udfff" for letter in text):  # jsonio escapes those
        _same(read(text.encode()), value)
    if isinstance(value, str):
        _same(json.loads(quote(value)), value)


def _same(one: object, other: object) -> None:
    if isinstance(one, float) and isinstance(other, float):
        assert math.isclose(one, other, rel_tol=0), (one, other)
    else:
        assert type(one) is type(other), (one, other)
        assert one == other, (one, other)


def _explain(content: bytes) -> None:
    """json_faults.py finds a place in everything that is text and not nested too deep: jsonio looks at those first."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    if text.count("[") + text.count("{") > 100:
        return
    offset, problem = find_fault(text)
    assert 0 <= offset <= len(text), offset
    assert problem


class _Steps:
    """The bytes, read as what to do next."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.program = Program()
        self.registers: list[Register] = [self.program.register()]
        self.pointers: list[Pointer] = [self.program.constant(b"01234567")]
        self.targets: list[Target] = [self.program.target()]
        self.program.call("getpid", "\x01")
        self.patterns: list[Pattern] = [self.program.pattern(0, ("\x01",))]

    def byte(self) -> int:
        self.position += 1
        return self.content[self.position - 1] if self.position <= len(self.content) else 0

    def number(self) -> int:
        return _UNUSUAL[self.byte() % len(_UNUSUAL)] if self.byte() % 2 else self.byte()

    def some(self) -> bytes:
        size = self.byte()
        self.position += size
        return self.content[self.position - size : self.position]

    def text(self) -> str:
        return self.some().decode("utf-8", "surrogateescape")

    def register(self) -> Register:
        return self.registers[self.byte() % len(self.registers)]

    def pointer(self) -> Pointer:
        return self.pointers[self.byte() % len(self.pointers)]

    def target(self) -> Target:
        return self.targets[self.byte() % len(self.targets)]

    def argument(self) -> int | str | bytes | Pointer | Register:
        kind = self.byte() % 5
        return (self.number, self.text, self.some, self.pointer, self.register)[kind]()

    def tolerated(self) -> tuple[int, ...]:
        return tuple(self.number() for _ in range(self.byte() % 6))

    def one(self) -> None:
        _STEPS[self.byte() % len(_STEPS)](self)

    def new_register(self) -> None:
        self.registers.append(self.program.register())

    def release(self) -> None:
        self.program.release(self.register())

    def constant(self) -> None:
        self.pointers.append(self.program.constant(self.some()))

    def string(self) -> None:
        self.pointers.append(self.program.string(self.text()))

    def scratch(self) -> None:
        self.pointers.append(self.program.scratch(min(self.number(), 1 << 16)))

    def field(self) -> None:
        self.pointers.append(self.pointer().field(self.number(), self.number()))

    def fill(self) -> None:
        self.program.fill(self.pointer(), self.some())

    def point(self) -> None:
        self.program.point(self.number(), self.pointer())

    def call(self) -> None:
        arguments = [self.argument() for _ in range(self.byte() % 8)]
        name = _NAMES[self.byte() % len(_NAMES)]
        otherwise = self.target() if self.byte() % 2 else None
        into = self.register() if self.byte() % 2 else None
        tolerate, tries = self.tolerated(), self.byte()
        self.program.call(
            name, *arguments, doing=self.text(), into=into, tolerate=tolerate, otherwise=otherwise, tries=tries
        )

    def result(self) -> None:
        made = self.program.result("openat", self.argument(), self.argument(), tolerate=self.tolerated())
        self.registers.append(made)

    def close(self) -> None:
        self.program.close(self.register())

    def check(self) -> None:
        expected = (self.number, self.pointer, self.register)[self.byte() % 3]()
        otherwise = self.target() if self.byte() % 2 else None
        self.program.check(
            self.pointer(), expected, doing="check", errno=self.number(), mask=self.number(), otherwise=otherwise
        )

    def set(self) -> None:
        self.program.set(self.register(), self.register() if self.byte() % 2 else self.number())

    def new_target(self) -> None:
        self.targets.append(self.program.target())

    def here(self) -> None:
        self.program.here(self.target())

    def jump(self) -> None:
        self.program.jump(self.target())

    def jump_if(self) -> None:
        value = self.register() if self.byte() % 2 else self.number()
        self.program.jump_if(self.register(), value, self.target(), differs=self.byte() % 2 == 0)

    def sync(self) -> None:
        self.program.sync(self.number(), "x", self.number(), self.pointer() if self.byte() % 2 else None)

    def report(self) -> None:
        self.program.report(self.register() if self.byte() % 2 else self.number())

    def get(self) -> None:
        self.program.operation(self.number())

    def scope(self) -> None:
        self.program.scope(self.text(), self.text())

    def relabel(self) -> None:
        self.program.relabel(self.text())

    def words(self) -> tuple[str, ...]:
        return tuple(self.text() for _ in range(self.byte() % 4))

    def pattern(self) -> None:
        self.patterns.append(self.program.pattern(self.number(), self.words()))

    def stamp(self) -> None:
        self.program.stamp(self.patterns[self.byte() % len(self.patterns)], self.words())


_NOT_STEPS = {
    "byte",
    "number",
    "some",
    "text",
    "register",
    "pointer",
    "target",
    "argument",
    "tolerated",
    "words",
    "one",
}
_STEPS: tuple[Callable[[_Steps], None], ...] = tuple(
    step for name, step in vars(_Steps).items() if name[0] != "_" and name not in _NOT_STEPS
)


def assembler_calls(content: bytes) -> None:
    """Any calls in any order: each works or says why not; what is encoded has the size its header says."""
    steps = _Steps(content)
    program = steps.program
    for _turn in range(_MOST_STEPS):
        if steps.position >= len(content):
            break
        try:
            steps.one()
        except (ValueError, TypeError, OverflowError, IndexError, RuntimeError, ConfigError):
            continue
    len(program.operations)
    try:
        encoded = program.encode(_NUMBERS)
    except (KeyError, ValueError, RuntimeError, ConfigError):
        return
    operations, relocations, size = (int.from_bytes(encoded[at : at + 4], "little") for at in (8, 12, 16))
    assert len(encoded) == _HEADER + operations * _OPERATION + relocations * _RELOCATION + size
    assert (operations, relocations, size) == (len(program), len(program.relocations), len(program.data))
