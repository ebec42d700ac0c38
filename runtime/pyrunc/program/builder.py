"""Program: the only way to make operations.

    p = Program()
    with p.at("mounts[3]", "/proc"):
        tree = p.result("fsmount", context, FSMOUNT_CLOEXEC, attributes, doing="mount proc")
        p.call("move_mount", tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH, doing="attach")
        p.close(tree)

Arguments are ints, registers, pointers, or str/bytes, which become NUL-terminated strings in the data block.
What looks like a loop is unrolled by whoever emits; jumps only go forward, so every program ends.
"""

from __future__ import annotations

from pyrunc.errors import ConfigError
from pyrunc.program.operations import (
    CALL,
    CHECK,
    JUMP,
    MAX_REGISTERS,
    NEXT,
    REPORT,
    SET,
    SYNC,
    Label,
    Operation,
    Pointer,
    Register,
    Target,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Argument = int | str | bytes | Pointer | Register


class _At:
    """Names the place in config.json for the operations emitted inside the block."""

    __slots__ = ("program", "scope")

    def __init__(self, program: Program, scope: tuple[str, str]) -> None:
        self.program = program
        self.scope = scope

    def __enter__(self) -> None:
        self.program._scopes.append(self.scope)

    def __exit__(self, *_error: object) -> None:
        self.program._scopes.pop()


class Program:
    """Operations, their data block, and where in the data block pointers stand."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.data = bytearray()
        self.relocations: list[int] = []  # offsets of 8-byte words that hold a data offset, to become an address
        self._strings: dict[bytes, Pointer] = {}
        self._free = list(range(MAX_REGISTERS - 1, -1, -1))
        self._scopes: list[tuple[str, str]] = [("", "")]

    # -- labels ------------------------------------------------------------------------------------------------

    def at(self, place: str, subject: str = "") -> _At:
        """`with p.at("mounts[3]", "/proc"):` labels what is emitted inside."""
        return _At(self, (place, subject))

    def _label(self, doing: str, says: str) -> Label:
        place, subject = self._scopes[-1]
        return Label(place, subject, doing, says)

    # -- registers ---------------------------------------------------------------------------------------------

    def register(self) -> Register:
        """A register that nobody else uses until it is released."""
        if not self._free:
            raise RuntimeError("internal error: the program is out of registers")
        return Register(self._free.pop())

    def release(self, register: Register) -> None:
        if register.index in self._free:
            raise RuntimeError(f"internal error: {register!r} released twice")
        self._free.append(register.index)

    # -- data --------------------------------------------------------------------------------------------------

    def constant(self, content: bytes) -> Pointer:
        """Bytes that calls read (not NUL-terminated by this)."""
        pointer = self.scratch(len(content))
        self.data[pointer.offset : pointer.offset + len(content)] = content
        return pointer

    def string(self, text: str | bytes) -> Pointer:
        """A NUL-terminated string; equal strings share their bytes.  str is encoded as the file system does."""
        content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        known = self._strings.get(content)
        if known is None:
            if b"\0" in content:
                raise ConfigError(f"a NUL byte in {content!r}")
            known = self._strings[content] = self.constant(content + b"\0")
        return known

    def scratch(self, size: int) -> Pointer:
        """Zeroed bytes that calls write, aligned to 8."""
        self.data.extend(bytes(-len(self.data) % 8))
        pointer = Pointer(len(self.data), size)
        self.data.extend(bytes(size))
        return pointer

    def structure(self, content: bytes, pointers: Sequence[tuple[int, Pointer]] = ()) -> Pointer:
        """A C structure: `content`, with an address put in at each (offset, pointer)."""
        pointer = self.constant(content)
        for offset, pointed in pointers:
            word = pointer.offset + offset
            self.data[word : word + 8] = pointed.offset.to_bytes(8, "little")
            self.relocations.append(word)
        return pointer

    def pointers(self, strings: Sequence[str | bytes | Pointer]) -> Pointer:
        """A NULL-terminated array of strings: argv, envp."""
        pointed = [text if isinstance(text, Pointer) else self.string(text) for text in strings]
        return self.structure(bytes(8 * (len(pointed) + 1)), [(8 * i, p) for i, p in enumerate(pointed)])

    # -- operations --------------------------------------------------------------------------------------------

    def call(
        self,
        name: str,
        *arguments: Argument,
        doing: str = "",
        into: Register | None = None,
        tolerate: Sequence[int] = (),
        otherwise: Target | None = None,
        says: str = "",
    ) -> None:
        """One system call.  Errnos in `tolerate` are no failures: they go to `otherwise` (or on), `into` unchanged."""
        values = [self.string(a) if isinstance(a, (str, bytes)) else a for a in arguments]
        label = self._label(doing, says)
        self._add(Operation(CALL, name, values, label, into=into, tolerated=tolerate, target=otherwise))

    def result(
        self,
        name: str,
        *arguments: Argument,
        doing: str = "",
        tolerate: Sequence[int] = (),
        otherwise: Target | None = None,
        says: str = "",
    ) -> Register:
        """`call` into a fresh register: for calls that return a descriptor or a pid."""
        into = self.register()
        self.call(name, *arguments, doing=doing, into=into, tolerate=tolerate, otherwise=otherwise, says=says)
        return into

    def close(self, descriptor: Register) -> None:
        """close(2), and the register is free again."""
        self.call("close", descriptor, doing="close")
        self.release(descriptor)

    def check(
        self,
        memory: Pointer,
        expected: int | Pointer | Register,
        *,
        doing: str,
        errno: int,
        mask: int = (1 << 64) - 1,
        differs: bool = False,
        otherwise: Target | None = None,
        says: str = "",
    ) -> None:
        """(memory & mask) must equal `expected` (`differs`: must not), or the program fails with `errno`.

        With `otherwise` it goes there instead of failing.  `memory` is 1, 2, 4 or 8 bytes; an `expected` Pointer of
        the same size is compared as it is, masked too.
        """
        if memory.size not in (1, 2, 4, 8):
            raise ValueError(f"a check compares 1, 2, 4 or 8 bytes, not {memory.size}")
        if isinstance(expected, int) and expected & ~mask:
            raise ValueError(f"a check for {expected:#x} under the mask {mask:#x} can never hold")
        arguments: list[int | Pointer | Register] = [memory, mask & ((1 << 8 * memory.size) - 1), expected]
        label = self._label(doing, says)
        self._add(Operation(CHECK, "check", arguments, label, number=errno, target=otherwise, negated=differs))

    def set(self, register: Register, value: int | Register) -> None:
        self._add(Operation(SET, "set", [value], self._label("", ""), into=register))

    def target(self) -> Target:
        """A place to jump to, not yet known; `here` makes it known."""
        return Target()

    def here(self, target: Target) -> None:
        """The next operation is what `target` means."""
        target.index = len(self.operations)

    def jump(self, target: Target) -> None:
        self._add(Operation(JUMP, "jump", [0, 0], self._label("", ""), target=target))

    def jump_if(self, register: Register, value: int | Register, target: Target, *, differs: bool = False) -> None:
        """Go to `target` if the register equals (`differs`: does not equal) the value."""
        label = self._label("", "")
        self._add(Operation(JUMP, "jump", [register, value], label, target=target, negated=differs))

    def sync(self, number: int, name: str, value: int | Register = 0, answer: Pointer | None = None) -> None:
        """Tell the parent and wait until it answers; the answer's payload is written to `answer`."""
        arguments: list[int | Pointer | Register] = [value]
        if answer is not None:
            arguments.append(answer)
        self._add(Operation(SYNC, name, arguments, self._label(f"wait: {name}", ""), number=number))

    def report(self, descriptor: int | Register) -> None:
        """Failures from here on are written to `descriptor`."""
        self._add(Operation(REPORT, "report", [descriptor], self._label("", "")))

    def _add(self, operation: Operation) -> None:
        if len(self.operations) >= NEXT - 1:
            raise ConfigError(f"the container needs more than {NEXT - 1} operations")
        self.operations.append(operation)
