"""Run a program against a pretended kernel: how emitters are tested without root, namespaces or mocks.

    run = simulate(p, {"statx": pretend_directory, "mkdirat": -EEXIST}, answers={"ready": b"HOME=/root\\0"})
    assert run.calls("mkdirat") == [(100, "proc", 0o755)]
    assert run.ended == "execve"

The pretended kernel is a mapping from a system call's name to one of
    a function   called with the arguments, returns the result (>= 0, or -errno)
    an int       the result, as above; failures are negative
    a list       one result (or function) a call; when it is used up the default follows
"*" stands for every call that is not named.  Without it those succeed: calls that return descriptors count up from
FIRST_DESCRIPTOR, clone and fork return CHILD (the program goes on as the parent), everything else returns 0.

Arguments arrive as
    int       immediates and registers, as 64-bit two's complement: -100 is AT_FDCWD, not 2**64 - 100
    str       what was emitted as a string
    Memory    other pointers: the bytes, writable; `memory.at(offset)` follows an address in a structure
In the trace a Memory has become the bytes as they were before the call.
"""

from __future__ import annotations

from errno import EAGAIN, EPROTO

from pyrunc.program.operations import CALL, CHECK, JUMP, MAX_REGISTERS, REPORT, SET, SYNC, Pointer, Register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Operation

    Handler = Callable[..., int]
    Kernel = Mapping[str, "Handler | int | list[Handler | int]"]

FIRST_DESCRIPTOR = 100
CHILD = 4321
BASE = 0x7F0000000000  # where the data block pretends to be
SOCKET = 3

_MASK64 = (1 << 64) - 1
_RETURNS_DESCRIPTOR = frozenset(
    (
        *("open", "openat", "openat2", "creat", "open_tree", "fsopen", "fsmount", "fspick", "dup", "memfd_create"),
        *("socket", "accept", "accept4", "pidfd_open", "signalfd4", "eventfd2", "epoll_create1", "timerfd_create"),
        *("bpf", "landlock_create_ruleset", "open_by_handle_at", "inotify_init1", "userfaultfd"),
    )
)
_RETURNS_CHILD = frozenset(("clone", "clone3", "fork", "vfork"))
_LEAVES = frozenset(("execve", "execveat", "exit", "exit_group"))


class Memory:
    """A part of the running program's data block."""

    def __init__(self, data: bytearray, offset: int, size: int) -> None:
        self.data = data
        self.offset = offset
        self.size = size

    def __bytes__(self) -> bytes:
        return bytes(self.data[self.offset : self.offset + self.size])

    def __len__(self) -> int:
        return self.size

    def write(self, content: bytes, offset: int = 0) -> None:
        """What the kernel would write; IndexError if it does not fit: such a program would be wrong."""
        if offset + len(content) > self.size:
            raise IndexError(f"{len(content)} bytes at {offset} do not fit into {self.size}")
        self.data[self.offset + offset : self.offset + offset + len(content)] = content

    def at(self, offset: int) -> Memory:
        """The memory from the address in the 8 bytes at `offset` (a relocated pointer) to the end of the data."""
        start = self.offset + offset
        pointed = int.from_bytes(self.data[start : start + 8], "little") - BASE
        if not 0 <= pointed < len(self.data):
            raise IndexError(f"the word at {offset} is no address of the data block")
        return Memory(self.data, pointed, len(self.data) - pointed)

    def text(self) -> str:
        """The NUL-terminated string that starts here."""
        return bytes(self).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


class Step:
    """One operation that was run.  `result` of a call: as the kernel returned it; of a sync: the value told."""

    __slots__ = ("arguments", "index", "name", "result")

    def __init__(self, index: int, name: str, arguments: tuple[int | str | bytes, ...], result: int) -> None:
        self.index = index
        self.name = name
        self.arguments = arguments
        self.result = result

    def __repr__(self) -> str:
        return f"{self.index}: {self.name}{self.arguments!r} = {self.result}"


class Run:
    """What happened.

    trace     the steps: calls and syncs (checks, sets and jumps show in which steps follow)
    ended     "end" (after the last operation), "failed", or the name of the call that left: "execve", "exit_group"
    failure   (operation index, positive errno) when it failed
    report    the descriptor to which a failure was, or would be, written at the end
    """

    def __init__(self, program: Program) -> None:
        self.trace: list[Step] = []
        self.ended = ""
        self.failure: tuple[int, int] | None = None
        self.report = SOCKET
        self.data = bytearray(program.data)
        self.registers = [0] * MAX_REGISTERS

    def calls(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        """The arguments of every call of that name, in order."""
        return [step.arguments for step in self.trace if step.name == name]

    def names(self) -> list[str]:
        return [step.name for step in self.trace]


def simulate(program: Program, kernel: Kernel | None = None, *, answers: Mapping[str, bytes] | None = None) -> Run:
    """Run the program to its end.  `answers`: the payload for each sync point by name (b"" if not given)."""
    simulator = _Simulator(program, kernel or {}, answers or {})
    while not simulator.run.ended:
        simulator.step()
    return simulator.run


def _signed(value: int) -> int:
    value &= _MASK64
    return value - (1 << 64) if value >> 63 else value


class _Simulator:
    def __init__(self, program: Program, kernel: Kernel, answers: Mapping[str, bytes]) -> None:
        self.program = program
        self.kernel = {name: list(given) if isinstance(given, list) else given for name, given in kernel.items()}
        self.answers = answers
        self.strings = {(pointer.offset, pointer.size) for pointer in program.strings}
        self.operations = program.operations
        self.run = Run(program)
        self.index = 0
        self.next_descriptor = FIRST_DESCRIPTOR
        for word in program.relocations:
            offset = int.from_bytes(self.run.data[word : word + 8], "little")
            self.run.data[word : word + 8] = (BASE + offset).to_bytes(8, "little")

    def step(self) -> None:
        if self.index >= len(self.operations):
            self.run.ended = "end"
            return
        operation = self.operations[self.index]
        self.index = _STEPS[operation.kind](self, operation)

    # -- arguments ---------------------------------------------------------------------------------------------

    def integer(self, argument: int | Pointer | Register) -> int:
        """The 64 bits that the stage would see."""
        if isinstance(argument, Register):
            return self.run.registers[argument.index]
        if isinstance(argument, Pointer):
            return BASE + argument.offset
        return argument & _MASK64

    def given(self, argument: int | Pointer | Register) -> int | str | Memory:
        """What a handler gets."""
        if not isinstance(argument, Pointer):
            return _signed(self.integer(argument))
        memory = self.memory(argument)
        return memory.text() if (argument.offset, argument.size) in self.strings else memory

    def memory(self, argument: int | Pointer | Register) -> Memory:
        if not isinstance(argument, Pointer):
            raise TypeError(f"operation {self.index} wants a pointer, not {argument!r}")
        return Memory(self.run.data, argument.offset, argument.size)

    def load(self, argument: int | Pointer | Register) -> int:
        return int.from_bytes(bytes(self.memory(argument)), "little")

    def store(self, register: Register | None, value: int) -> None:
        if register is not None:
            self.run.registers[register.index] = value & _MASK64

    # -- the kinds: each returns the index of what comes next ------------------------------------------------------

    def destination(self, operation: Operation) -> int:
        return self.index + 1 if operation.target is None else operation.target.index

    def fail(self, errno: int) -> int:
        self.run.ended = "failed"
        self.run.failure = (self.index, errno)
        return self.index

    def call(self, operation: Operation) -> int:
        given = [self.given(argument) for argument in operation.arguments]
        traced = tuple(bytes(value) if isinstance(value, Memory) else value for value in given)
        for _again in range(operation.negated + 1):
            result = self.result_of(operation.name, given)
            self.run.trace.append(Step(self.index, operation.name, traced, result))
            if result != -EAGAIN:
                break
        if -4095 <= result < 0:
            return self.destination(operation) if -result in operation.tolerated else self.fail(-result)
        self.store(operation.into, result)
        if operation.name in _LEAVES:
            self.run.ended = operation.name
        return self.index + 1

    def result_of(self, name: str, given: list[int | str | Memory]) -> int:
        scripted = self.kernel.get(name, self.kernel.get("*"))
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if scripted else None
        if scripted is None:
            return self.default_result(name)
        return scripted if isinstance(scripted, int) else scripted(*given)

    def default_result(self, name: str) -> int:
        if name in _RETURNS_CHILD:
            return CHILD
        if name not in _RETURNS_DESCRIPTOR:
            return 0
        self.next_descriptor += 1
        return self.next_descriptor - 1

    def check(self, operation: Operation) -> int:
        memory, mask_argument, expected = operation.arguments
        mask = self.integer(mask_argument)
        found = self.load(memory) & mask
        wanted = self.load(expected) & mask if isinstance(expected, Pointer) else self.integer(expected)
        if (found == wanted) is not bool(operation.negated):
            return self.index + 1
        if operation.target is not None:
            return operation.target.index
        return self.fail(operation.number or found & 0xFFFF or EPROTO)

    def set(self, operation: Operation) -> int:
        self.store(operation.into, self.integer(operation.arguments[0]))
        return self.index + 1

    def jump(self, operation: Operation) -> int:
        equal = self.integer(operation.arguments[0]) == self.integer(operation.arguments[1])
        return self.destination(operation) if equal is not bool(operation.negated) else self.index + 1

    def sync(self, operation: Operation) -> int:
        value = self.integer(operation.arguments[0]) & 0x7FFFFFFF
        self.run.trace.append(Step(self.index, operation.name, (operation.number,), value))
        answer = self.answers.get(operation.name, b"")
        room = operation.arguments[1] if len(operation.arguments) > 1 else Pointer(0, 0)
        self.memory(room).write(answer)
        return self.index + 1

    def set_report(self, operation: Operation) -> int:
        self.run.report = self.integer(operation.arguments[0]) & 0xFFFFFFFF
        return self.index + 1


_STEPS = {
    CALL: _Simulator.call,
    CHECK: _Simulator.check,
    SET: _Simulator.set,
    JUMP: _Simulator.jump,
    SYNC: _Simulator.sync,
    REPORT: _Simulator.set_report,
}
