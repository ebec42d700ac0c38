"""A program as lines that a person can read; nothing is executed.

    mounts[3] /proc
       112  r7 = fsopen("proc", FSOPEN_CLOEXEC)                              open the file system
       113  mkdirat(r4, "proc", 0755)                [EEXIST: on]            make the mount point
       114  statx(r8, "", AT_EMPTY_PATH, STATX_MODE, <256 bytes at 768>)     look at it
       115  check 114.stx_mode & 0170000 == 040000   [else ENOTDIR]          check that it is a directory

r7 is a register, 114.stx_mode a field of what operation 114 wrote.  In brackets: errnos that are no failures and
where they lead (an operation's index, or on).
"""

from __future__ import annotations

from errno import errorcode

from pyrunc.program.operations import CALL, CHECK, JUMP, KIND_NAMES, REPORT, SET, SYNC, Pointer, Register
from pyrunc.program.signatures import FIELDS, OCTAL_FIELDS, SIGNATURES, STRUCTURES, integer, prctl_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Operation

    Argument = int | Pointer | Register

_LONGEST = 120  # characters of a string; bytes of memory
_TEXT_COLUMN = 60


class Line:
    """One operation.

    text        the call as in C, or what the operation does
    exceptions  what is in brackets, "" if there is nothing
    """

    __slots__ = ("doing", "exceptions", "index", "kind", "place", "subject", "target", "text")

    def __init__(self, index: int, operation: Operation, text: str, exceptions: str) -> None:
        self.index = index
        self.kind = KIND_NAMES[operation.kind]
        self.place = operation.label.place
        self.subject = operation.label.subject
        self.doing = operation.label.doing
        self.text = text
        self.exceptions = exceptions
        self.target = operation.target.index if operation.target is not None else None

    def __str__(self) -> str:
        code = f"{self.text}  [{self.exceptions}]" if self.exceptions else self.text
        return f"{self.index:6}  {code:<{_TEXT_COLUMN}}  {self.doing}".rstrip()

    def as_json(self) -> dict[str, object]:
        """What has a value, by name."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in sorted(values.items()) if value not in ("", None)}


def list_program(program: Program) -> list[Line]:
    """Every operation of the program, in order."""
    return _Lister(program).lines()


def as_text(lines: list[Line]) -> list[str]:
    """The lines, with a heading where the place in config.json changes."""
    shown: list[str] = []
    heading = None
    for line in lines:
        words = f"{line.place} {line.subject}".strip() or "(the runtime's own)"
        if words != heading:
            shown += ["", words] if shown else [words]
            heading = words
        shown.append(str(line))
    return shown


class _Lister:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.strings = {(pointer.offset, pointer.size) for pointer in program.strings}
        self.index = 0
        self.relocated = frozenset(program.relocations)
        self.written: list[tuple[Pointer, int, str]] = []  # memory, and the operation and call that filled it

    def lines(self) -> list[Line]:
        return [self.line(index, operation) for index, operation in enumerate(self.program.operations)]

    def line(self, index: int, operation: Operation) -> Line:
        self.index = index
        return Line(index, operation, _TEXTS[operation.kind](self, operation), self.exceptions(operation))

    # -- the kinds ---------------------------------------------------------------------------------------------

    def call(self, operation: Operation) -> str:
        words = SIGNATURES.get(operation.name, "").split()
        shown = []
        for number, argument in enumerate(operation.arguments):
            word = words[number] if number < len(words) else "hex"
            if word == "prctl_argument":
                option = operation.arguments[0]
                word = prctl_argument(option) if isinstance(option, int) else "hex"
            if word in ("buffer", "hex") and isinstance(argument, Pointer):
                self.written.append((argument, self.index, operation.name))
            shown.append(self.argument(argument, word))
        into = f"{operation.into!r} = " if operation.into is not None else ""
        again = f", EAGAIN: {operation.negated} times again" if operation.negated else ""
        return f"{into}{operation.name}({', '.join(shown)}){again}"

    def check(self, operation: Operation) -> str:
        memory, mask, expected = operation.arguments
        if not isinstance(memory, Pointer) or not isinstance(mask, int):
            raise TypeError(f"not a check: {operation.arguments!r}")
        name = self.field_name(memory)
        word = "oct" if name.rpartition(".")[2] in OCTAL_FIELDS else "hex"
        mask &= (1 << 8 * memory.size) - 1
        masked = "" if mask == (1 << 8 * memory.size) - 1 else f" & {integer(word, mask)}"
        wanted = self.field_name(expected) if isinstance(expected, Pointer) else self.argument(expected, word)
        return f"check {name}{masked} {'!=' if operation.negated else '=='} {wanted}"

    def set(self, operation: Operation) -> str:
        return f"{operation.into!r} = {self.argument(operation.arguments[0], 'hex')}"

    def jump(self, operation: Operation) -> str:
        one, other = operation.arguments
        to = f"go to {operation.target.index if operation.target is not None else 'the next'}"
        if isinstance(one, int) and isinstance(other, int) and one == other and not operation.negated:
            return to
        equals = "!=" if operation.negated else "=="
        return f"if {self.argument(one, 'hex')} {equals} {self.argument(other, 'hex')}: {to}"

    def sync(self, operation: Operation) -> str:
        value = self.argument(operation.arguments[0], "hex")
        told = "" if value == "0" else f" and tell {value}"
        if len(operation.arguments) > 1 and isinstance(operation.arguments[1], Pointer):
            self.written.append((operation.arguments[1], self.index, "sync"))
        return f"sync {operation.number} ({operation.name}){told}"

    def report(self, operation: Operation) -> str:
        return f"report failures to {self.argument(operation.arguments[0], 'fd')}"

    def exceptions(self, operation: Operation) -> str:
        """`ENOENT, EROFS: 120` or `else ENOTDIR`."""
        target = operation.target.index if operation.target is not None else self.index + 1
        where = "on" if target == self.index + 1 else str(target)
        if operation.kind == CALL and operation.tolerated:
            return f"{', '.join([errorcode.get(errno, str(errno)) for errno in operation.tolerated])}: {where}"
        if operation.kind == CHECK:
            errno = errorcode.get(operation.number, str(operation.number)) if operation.number else "what was found"
            return f"else {errno}" if operation.target is None else f"else: {where}"
        return ""

    # -- arguments ---------------------------------------------------------------------------------------------

    def argument(self, argument: Argument, word: str) -> str:
        if isinstance(argument, Register):
            return repr(argument)
        if isinstance(argument, Pointer):
            return self.pointer(argument, word)
        return integer(word, _signed(argument))

    def pointer(self, pointer: Pointer, word: str) -> str:
        if (pointer.offset, pointer.size) in self.strings:
            return _quoted(self.content(pointer)[:-1])
        if word in STRUCTURES:
            return self.structure(pointer, word)
        if word in ("strings", "environment"):
            return self.string_array(pointer, names_only=word == "environment")
        if word == "sock_fprog":
            return f"{{{int.from_bytes(self.content(pointer)[:2], 'little')} instructions}}"
        if word == "integers":
            content = self.content(pointer)
            return str([int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)])
        return self.memory(pointer, word)

    def memory(self, pointer: Pointer, word: str) -> str:
        """Bytes of which nothing is known: what called them into being, their text, or their number."""
        content = self.content(pointer)
        stripped = content.rstrip(b"\0")
        if not stripped or word == "buffer":
            return f"<{pointer.size} bytes at {pointer.offset}>"
        if stripped.isascii() and stripped.decode().replace("\n", " ").isprintable():
            return _quoted(stripped)
        return f"<{content[:8].hex()}{'…' if len(content) > 8 else ''}, {len(content)} bytes>"

    def structure(self, pointer: Pointer, name: str) -> str:
        content = self.content(pointer)
        shown = []
        for field, offset, size, word in STRUCTURES[name]:
            value = int.from_bytes(content[offset : offset + size], "little")
            if value:
                shown.append(f"{field}={integer(word, value)}")
        return f"{{{', '.join(shown)}}}"

    def string_array(self, pointer: Pointer, *, names_only: bool) -> str:
        shown = []
        for offset in range(pointer.offset, pointer.offset + pointer.size - 8, 8):
            start = int.from_bytes(self.program.data[offset : offset + 8], "little")
            if offset not in self.relocated:
                break  # the NULL at the end
            text = bytes(self.program.data[start : self.program.data.index(0, start)])
            shown.append(_quoted(text.split(b"=")[0] + b"=\xe2\x80\xa6" if names_only else text))
        return f"[{', '.join(shown)}]"

    def content(self, pointer: Pointer) -> bytes:
        return bytes(self.program.data[pointer.offset : pointer.offset + pointer.size])

    def field_name(self, memory: Pointer) -> str:
        """`60.stx_mode`, `60[4:8]`, or the bytes themselves when no operation has written them."""
        for filled, index, call in reversed(self.written):
            at = memory.offset - filled.offset
            if at >= 0 and at + memory.size <= filled.size:
                field = FIELDS.get(call, {}).get(at)
                return f"{index}.{field}" if field else f"{index}[{at}:{at + memory.size}]"
        return self.memory(memory, "bytes")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _quoted(content: bytes) -> str:
    """As in JSON: what is not printable is escaped, what is long is cut."""
    text = content.decode("utf-8", "surrogateescape")
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return '"' + "".join([c if c.isprintable() and c not in '"\\' else _escaped(c) for c in cut]) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    code = ord(letter)
    return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


_TEXTS = {
    CALL: _Lister.call,
    CHECK: _Lister.check,
    SET: _Lister.set,
    JUMP: _Lister.jump,
    SYNC: _Lister.sync,
    REPORT: _Lister.report,
}
