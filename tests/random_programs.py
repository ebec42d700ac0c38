"""Random programs for the stage: sound ones that a simulator can follow, and bytes that only look like programs."""

from __future__ import annotations

from _struct import Struct
from platform import machine

from pyrunc.program.builder import Program
from pyrunc.program.encode import HEADER_SIZE, MAGIC, OPERATION_SIZE
from pyrunc.program.numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

    from _pyrunc_assembler import Pattern

    from pyrunc.program.operations import Pointer, Register, Target

HEADER = Struct("<8sIII12x")
OPERATION = Struct("<BBBBHH6s2x4H6Q")
LENGTH = Struct("<I")
ANSWER = Struct("<II")

# In tests/security/stage_jail.c a system call of this number plus n returns -n.
PRETENDED = 600
RESULTS = (0, 1, 2, 17, 22, 38, 110, 4094, 4095)
PRETENDED_NUMBERS = {f"returns_{n}": PRETENDED + n for n in RESULTS}
PRETENDED_KERNEL = {f"returns_{n}": -n for n in RESULTS}

# What the stage calls for itself: in a random program it would change the stage's own world, as it was told to.
OWN_CALLS = ("read", "write", "sendto", "mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "exit", "exit_group")
# x86_64's uretprobe and uprobe (Linux 6.11): outside their trampoline a SIGILL by design, and seccomp lets them pass.
UPROBE_NUMBERS = (335, 336)
AVOIDED_NUMBERS = frozenset((*(NUMBERS[machine()][name] for name in OWN_CALLS), *UPROBE_NUMBERS))
HARMLESS = 500

EDGES = (0, 1, 2, 3, 7, 8, 63, 64, 65, 255, 256, 4095, 4096, 65534, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31)
EDGES64 = (*EDGES, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 4095, (1 << 64) - 1)


def framed(programs: list[bytes]) -> bytes:
    """What stage_harness.c and stage_jail.c read."""
    return b"".join(LENGTH.pack(len(content)) + content for content in programs)


def tamed(content: bytes) -> bytes:
    """The bytes without the calls that are not the stage's to survive."""
    tame = bytearray(content)
    for offset in range(HEADER_SIZE + 4, len(tame) - 1, OPERATION_SIZE):
        if int.from_bytes(tame[offset : offset + 2], "little") in AVOIDED_NUMBERS:
            tame[offset : offset + 2] = HARMLESS.to_bytes(2, "little")
    return bytes(tame)


# -- bytes ----------------------------------------------------------------------------------------------------------


def nearly_sound(rng: Random) -> bytes:
    """Mostly well-formed bytes, so that many get past the checks, with answers of all sorts behind."""
    count, size = rng.choice((rng.randrange(25), rng.randrange(25), 80)), rng.choice((0, 1, 8, 64, 300))
    words = [8 * rng.randrange(size // 8 + 1) for _ in range(rng.choice((0, 0, 1, 3)))] if size >= 8 else []
    data = bytearray(rng.randbytes(size))
    for word in words:
        data[word : word + 8] = rng.randrange(size + 1).to_bytes(8, "little")[: max(0, size - word)]
    content = HEADER.pack(MAGIC, count, len(words), len(data))
    content += b"".join(_operation(rng, index, count, size) for index in range(count))
    content += b"".join(word.to_bytes(4, "little") for word in words) + data
    answers = (ANSWER.pack(rng.choice((0, 0, 0, 1, 8, 9)), 0) + bytes(rng.choice((0, 0, 8))) for _ in range(3))
    return content + b"".join(answers)


def _operation(rng: Random, index: int, count: int, size: int) -> bytes:
    kinds, values = zip(*(_argument(rng, size) for _ in range(6)), strict=True)
    kind = rng.choice((0, 0, 0, 1, 2, 3, 3, 4, 5, 6))
    target = rng.randint(index + 1, count) if rng.random() < 0.4 else 0xFFFF
    into = rng.randrange(64) if kind == 2 or rng.random() < 0.5 else 0xFF
    number = rng.randrange(1, 4096) if kind == 1 else rng.choice((PRETENDED, PRETENDED + 17, rng.randrange(450)))
    if kind == 1:
        width = rng.choice([n for n in (1, 2, 4, 8) if n <= size] or [1])
        kinds = (1, 0, rng.choice((0, 2)), *kinds[3:])
        values = (
            rng.randint(0, max(0, size - width)) | width << 32,
            rng.choice(EDGES64),
            rng.randrange(64),
            *values[3:],
        )
    elif kind == 6:
        into, target, words = rng.randrange(64), rng.randrange(max(0, index - 5), index + 1), rng.randrange(1, 4)
        rows = size // 8 // words
        kinds, values = (1, 0, 0, *kinds[3:]), (rows * words * 8 << 32, words, rows, *values[3:])
    elif kind != 0:
        kinds = tuple(kind % 2 * 2 for kind in kinds) if kind != 4 else (0, 1 if size else 0, *kinds[2:])
        values = tuple(rng.randrange(64) for _ in values) if kind != 4 else (5, size << 32 if size else 0, *values[2:])
    tolerated = rng.sample((1, 2, 17, 22, 38), 4)
    tolerated_count = rng.randrange(5)
    negated = rng.randrange(2)
    return OPERATION.pack(kind, into, tolerated_count, negated, number, target, bytes(kinds), *tolerated, *values)


def _argument(rng: Random, size: int) -> tuple[int, int]:
    kind = rng.choice((0, 1, 2))
    if kind == 1:
        offset = rng.randint(0, size)
        return 1, offset | rng.randint(0, size - offset) << 32
    return (2, rng.randrange(64)) if kind == 2 else (0, rng.choice(EDGES64))


def mutated(rng: Random, content: bytes) -> bytes:
    """A few bytes, words or lengths changed; sometimes cut, doubled or grown."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        width = rng.choice((1, 1, 2, 4, 8))
        offset = rng.randrange(max(1, len(changed) - width))
        value = rng.choice(EDGES64) if rng.random() < 0.6 else rng.getrandbits(64)
        changed[offset : offset + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    odd = rng.random()
    if odd < 0.05:
        return bytes(changed[: rng.randrange(len(changed) + 1)])
    if odd < 0.1:
        start = rng.randrange(len(changed))
        return bytes(changed[:start] + changed[start : start + OPERATION_SIZE] + changed[start:])
    return bytes(changed)


def random_bytes(rng: Random, count: int) -> list[bytes]:
    """`count` byte strings: sound, nearly sound, and a few of pure noise."""
    made = []
    while len(made) < count:
        content = nearly_sound(rng)
        made += [content, mutated(rng, content), mutated(rng, content)]
        if rng.random() < 0.05:
            made.append(rng.randbytes(rng.randrange(200)))
    return [tamed(content) for content in made[:count]]


# -- programs -------------------------------------------------------------------------------------------------------


class SoundProgram:
    """A random program made with the builder, and the answers to its sync points by name."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.program = Program()
        self.answers: dict[str, bytes] = {}
        self.registers = [self.program.register() for _ in range(5)]
        self.memory = self.program.constant(rng.randbytes(32))
        self.program.pointers(["relocated", self.memory])
        self.open: list[Target] = []
        for _ in range(rng.randrange(1, 40)):
            rng.choice((self.call,) * 3 + (self.check, self.set, self.jump, self.sync, self.report, self.loop))()
            self.land(0.4)
        self.land(1.0)

    def land(self, probability: float) -> None:
        """Some of the jumps so far go here."""
        for target in list(self.open):
            if self.rng.random() < probability:
                self.program.here(target)
                self.open.remove(target)

    def somewhere(self) -> Target | None:
        if self.rng.random() < 0.4:
            return None
        self.open.append(self.program.target())
        return self.open[-1]

    def value(self) -> int | Register:
        return self.rng.choice([*self.registers, 0, 1, 5, -1, 1 << 40])

    def field(self) -> Pointer:
        width = self.rng.choice((1, 2, 4, 8))
        return self.memory.field(self.rng.randrange(32 - width + 1), width)

    def call(self) -> None:
        into = self.rng.choice([None, *self.registers])
        tolerate = self.rng.sample([n for n in RESULTS if n], self.rng.randrange(5))
        name = f"returns_{self.rng.choice((0, 0, 0, *tolerate * 3, self.rng.choice(RESULTS)))}"
        arguments = [self.value(), "text", self.field(), self.memory][: self.rng.randrange(5)]
        self.program.call(name, *arguments, into=into, tolerate=tolerate, otherwise=self.somewhere())

    def check(self) -> None:
        memory = self.field()
        actual = int.from_bytes(self.program.data[memory.offset : memory.offset + memory.size], "little")
        mask = self.rng.choice((-1, 0xFF, 0xF0F0F0F0F0F0F0F0))
        other = self.memory.field(self.rng.randrange(32 - memory.size + 1), memory.size)
        expected = self.rng.choice(
            (*[actual & mask] * 6, (actual ^ 0x11) & mask, other, self.rng.choice(self.registers))
        )
        differs = self.rng.random() < 0.1
        errno = self.rng.choice((0, 1, 4095))
        self.program.check(
            memory, expected, mask=mask, differs=differs, doing="check", errno=errno, otherwise=self.somewhere()
        )

    def set(self) -> None:
        self.program.set(self.rng.choice(self.registers), self.value())

    def jump(self) -> None:
        target = self.somewhere()
        if target is not None:
            self.program.jump_if(self.rng.choice(self.registers), self.value(), target, differs=self.rng.random() < 0.5)

    def sync(self) -> None:
        name = f"sync {len(self.program.operations)}"
        room = self.rng.choice((None, self.field(), self.memory))
        self.answers[name] = self.rng.randbytes(self.rng.randint(0, room.size)) if room else b""
        self.program.sync(1, name, self.value(), room)

    def report(self) -> None:
        if self.rng.random() < 0.1:
            self.program.report(self.rng.choice((3, 77, self.rng.choice(self.registers))))

    def loop(self) -> None:
        """Rows of one or two patterns, in any order; some operations between them."""
        patterns = [self.pattern() for _ in range(self.rng.choice((1, 1, 2)))]
        for row in range(self.rng.randrange(6)):
            pattern, words = self.rng.choice(patterns)
            self.program.stamp(pattern, tuple(f"{row}{word}" for word in words))
            if self.rng.random() < 0.1:
                self.set()
                self.land(0.2)

    def pattern(self) -> tuple[Pattern, tuple[str, ...]]:
        """Jumps stay inside; whatever is called has the words for arguments."""
        words = tuple(f"\x01{number}" for number in range(self.rng.randrange(1, 4)))
        outside, self.open = self.open, []
        start = len(self.program)
        for _ in range(self.rng.randrange(1, 6)):
            self.rng.choice((self.call, self.call, self.check, self.set, self.jump))()
            self.land(0.5)
        self.program.call("returns_0", *words)
        self.land(1.0)
        self.open = outside
        return self.program.pattern(start, words), words
