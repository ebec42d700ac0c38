"""What one operation of a program is.

An operation is one system call, or one of the few things that connect system calls: comparing bytes that a call
wrote, a jump (forward only: a program always ends), setting a register, a sync point with the parent, the choice of
the descriptor on which failures are reported, and running some operations for each row of a table.  csrc/stage.c is
the other half of this file: the kinds and argument kinds have the same numbers there (tests/unit/program compares
them).
"""

from __future__ import annotations

from _pyrunc_assembler import Pointer, Register, Target

from pyrunc.errors import errno_words, go_strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Label", "Operation", "Pointer", "Register", "Target", "fill"]  # the first three are csrc/assembler.c's

# operation kinds
CALL = 0  # registers[into] = syscall(number, arguments); an errno in `tolerated` goes to `target`
CHECK = 1  # (memory & mask) == expected, else go to `target`, or fail with errno `number` (0: with what was found)
SET = 2  # registers[into] = argument
JUMP = 3  # go to `target` if argument 0 == argument 1
SYNC = 4  # tell the parent (sync number, value), wait for its answer, store the answer's payload
REPORT = 5  # from here on failures are written to this descriptor
EACH = 6  # the next row of a table into the last registers, then back to `target`; after the last row, on

KIND_NAMES = ("call", "check", "set", "jump", "sync", "report", "each")

# argument kinds
IMMEDIATE = 0
POINTER = 1
REGISTER = 2

MAX_REGISTERS = 64
MAX_ARGUMENTS = 6
MAX_TOLERATED = 4
NEXT = 0xFFFF  # as a target: the following operation


class Label:
    """What an operation is for, kept on the Python side: it never enters the container.

    place    where in config.json it came from: `mounts[3]`, or "" for the runtime's own needs
    subject  which one, as the user knows it: `/proc`
    doing    what is being done: `mount proc`
    says     when not "", the whole sentence instead: what engines match on.  `{errno}` becomes the errno's words.
    """

    __slots__ = ("doing", "place", "says", "subject")

    def __init__(self, place: str, subject: str, doing: str, says: str = "") -> None:
        self.place = place
        self.subject = subject
        self.doing = doing
        self.says = says

    def template(self) -> str:
        """The one line a user reads when this operation failed, with `{errno}` or `{words}` for the errno."""
        if self.says:
            return self.says
        where = f"{self.place} {self.subject}".strip()
        return ": ".join(part for part in (where, self.doing, "{words}") if part)

    def failure(self, errno: int) -> str:
        """The line for this (positive) errno."""
        return fill(self.template(), errno)


def fill(template: str, errno: int) -> str:
    """A label's template for one errno: `{errno}` as runc spells it, `{words}` with the name before it."""
    return template.replace("{errno}", go_strerror(errno)).replace("{words}", errno_words(errno))


class Operation:
    """One line of a program, taken out of it (builder.py, `operation`).

    `label` has `failure(errno)` and `template()`: a Label, or one that reads more out of the number.
    """

    __slots__ = ("arguments", "into", "kind", "label", "name", "negated", "number", "target", "tolerated")

    def __init__(
        self,
        kind: int,
        name: str,
        arguments: tuple[int | Pointer | Register, ...],
        label: Any,
        into: Register | None,
        tolerated: tuple[int, ...],
        target: Target | None,
        number: int,
        negated: int,
    ) -> None:
        self.kind = kind
        self.name = name  # the system call's, or the sync point's
        self.arguments = arguments  # immediates as signed 64-bit numbers
        self.label = label
        self.into = into
        self.tolerated = tolerated  # errnos that are not failures
        self.target = target  # where to go on them; None: the next operation
        self.number = number  # CHECK: the errno of a mismatch; SYNC: the sync number
        self.negated = negated  # CHECK, JUMP: differs instead of equals; CALL: tries while it says EAGAIN
