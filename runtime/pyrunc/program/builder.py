"""Program: the only way to make operations.

    p = Program()
    with p.at("mounts[3]", "/proc"):
        tree = p.result("fsmount", context, FSMOUNT_CLOEXEC, attributes, doing="mount proc")
        p.call("move_mount", tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH, doing="attach")
        p.close(tree)

Arguments are ints, registers, pointers, or str/bytes, which become NUL-terminated strings in the data block.
Jumps only go forward, and what is stamped one after another runs once for each row of a table: every program ends.

The methods that every operation goes through are C (csrc/assembler.c; csrc/stubs has their types):

    register() -> Register        a register that nobody else uses until it is released
    release(register)             RuntimeError when it is free already
    constant(bytes) -> Pointer    bytes that calls read (not NUL-terminated by this)
    string(text) -> Pointer       NUL-terminated; equal strings share their bytes; str as the file system encodes it
    scratch(size) -> Pointer      zeroed bytes that calls write, aligned to 8
    fill(pointer, bytes)          what stands there from the start
    call(name, *arguments, doing, into, tolerate, otherwise, says, tries)
                                  one system call.  Errnos in `tolerate` are no failures: they go to `otherwise` (or
                                  on), `into` unchanged.  While it says EAGAIN it is made again, `tries` times (to 255)
    result(...) -> Register       the same, into a fresh register: for calls that return a descriptor or a pid
    close(descriptor)             close(2), and the register is free again
    check(memory, expected, doing, errno, mask, differs, otherwise, says)
                                  (memory & mask) must equal `expected` (`differs`: must not), or the program fails with
                                  `errno`; with `otherwise` it goes there instead.  `memory` is 1, 2, 4 or 8 bytes; an
                                  `expected` Pointer of the same size is compared as it is, masked too
    set(register, value)
    target() -> Target            a place to jump to, not yet known; `here(target)` makes it known: the next operation
    jump(target)
    jump_if(register, value, target, differs)
    report(descriptor)            failures from here on are written to it
    pattern(start, words) -> Pattern
                                  the operations from `start` on, taken out of the program again.  `words` are the
                                  strings among their arguments that stand for others: made up, 1 to 48, no two equal
    stamp(pattern, words)         those operations, about the present place and subject, with these words; also in the
                                  texts of their labels.  RuntimeError when a register of the pattern is in use; the
                                  last registers are, one for each word
    relabel(label)                another label for the last operation
    len(p), data, relocations     how many operations, each counted once; the data block; the offsets of its words that
                                  become addresses
    loops                         [(start, end, rows)]: what was stamped one after another
"""

from __future__ import annotations

from _struct import Struct

from _pyrunc_assembler import Assembler, Pointer, Register

from pyrunc.errors import ConfigError
from pyrunc.program.operations import Label, Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OPEN_HOW = Struct("<QQQ")  # flags, mode, resolve


class _At:
    """Names the place in config.json for the operations emitted inside the block."""

    __slots__ = ("before", "program", "scope")

    def __init__(self, program: Program, scope: tuple[str, str]) -> None:
        self.program = program
        self.scope = scope

    def __enter__(self) -> None:
        self.before = self.program.scope(*self.scope)

    def __exit__(self, *_error: object) -> None:
        self.program.scope(*self.before)


class Program(Assembler):
    """Operations, their data block, and where in the data block pointers stand."""

    refusal = ConfigError  # what a NUL byte and too many operations are: input, not bugs
    _listed: list[Operation] = []
    _listed_size = (0, 0)

    def at(self, place: str, subject: str = "") -> _At:
        """`with p.at("mounts[3]", "/proc"):` labels what is emitted inside."""
        return _At(self, (place, subject))

    def structure(self, content: bytes, pointers: Sequence[tuple[int, Pointer]] = ()) -> Pointer:
        """A C structure: `content`, with an address put in at each (offset, pointer)."""
        made = self.constant(content)
        for offset, pointed in pointers:
            self.point(made.offset + offset, pointed)
        return made

    def open_how(self, flags: int, resolve: int) -> Pointer:
        """struct open_how, for openat2(2) of what exists: the mode is 0."""
        return self.constant(_OPEN_HOW.pack(flags, 0, resolve))

    def pointers(self, strings: Sequence[str | bytes | Pointer]) -> Pointer:
        """A NULL-terminated array of strings: argv, envp."""
        pointed = [text if isinstance(text, Pointer) else self.string(text) for text in strings]
        return self.structure(bytes(8 * (len(pointed) + 1)), [(8 * i, p) for i, p in enumerate(pointed)])

    def sync(self, number: int, name: str, value: int | Register = 0, answer: Pointer | None = None) -> None:
        """Tell the parent and wait until it answers; the answer's payload is written to `answer`."""
        if answer is None:
            self.add_sync(number, name, f"wait: {name}", value)
        else:
            self.add_sync(number, name, f"wait: {name}", value, answer)

    def operation(self, told: int) -> Operation:
        """One operation as an object: its index, and above the low 16 bits the row that it runs for, from 1.

        Raises IndexError when there is no such operation.
        """
        kind, name, arguments, label, into, tolerated, target, number, negated = self.get(told)
        known = Label(*label) if isinstance(label, tuple) else label
        return Operation(kind, name, arguments, known, into, tolerated, target, number, negated)

    @property
    def operations(self) -> list[Operation]:
        """All that run, those of a loop once for each row; the same objects as long as nothing is added."""
        size = (len(self), sum(rows for _start, _end, rows in self.loops))
        if size != self._listed_size:
            from pyrunc.program.unrolled import unrolled  # for listings and tests

            self._listed, self._listed_size = unrolled(self), size
        return self._listed
