"""The exception tree, and `during`, which says what was being done.

    PyruncError                expected: one line on stderr, exit 1 (exec: 255)
    ├── UsageError             flags or arguments
    ├── ConfigError            config.json asks for something that cannot be done (ocispec.SpecError: cannot be read)
    ├── StateError             wrong moment: absent id, id in use, wrong status
    ├── KernelError            a system call said no; keeps the errno
    ├── UnsafePath             a path left its root or is not what it must be
    ├── HookFailed             which hook, and how it ended
    ├── StageFailed            what the stage reported: (operation index, errno) with the operation's label
    ├── ProtocolError          the stage died or spoke out of turn; systemd did
    ├── BusError               systemd refused what it was asked; keeps the error's name
    └── Unsupported            this kernel or this build lacks it

Rule 1: words are what was being done, lower case, no full stop, no "failed to", no repetition of a neighbour.
Rule 2: raise, log or ignore: exactly one.  Only the cli prints.
Rule 3: sentences that other programs match on are runc's, word for word (reference: docs/compat.md).
"""

from __future__ import annotations

from errno import errorcode
from posix import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class PyruncError(Exception):
    """What the user is told.  `text` is the sentence, `trail` the `during` words around it, outermost first."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.trail: list[str] = []
        self.hint = hint

    def __str__(self) -> str:
        return ": ".join([*self.trail, self.text]) + (f" ({self.hint})" if self.hint else "")


class UsageError(PyruncError):
    pass


class ConfigError(PyruncError):
    pass


class StateError(PyruncError):
    pass


class UnsafePath(PyruncError):
    pass


class HookFailed(PyruncError):
    pass


class ProtocolError(PyruncError):
    pass


class Unsupported(PyruncError):
    pass


class KernelError(PyruncError):
    """A system call failed.  `errno` is positive."""

    def __init__(self, errno: int, *, hint: str = "") -> None:
        super().__init__(errno_words(errno), hint=hint)
        self.errno = errno


class BusError(PyruncError):
    """`name` is D-Bus's: org.freedesktop.systemd1.UnitExists."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


class StageFailed(PyruncError):
    """The stage stopped at an operation of its program, `operation` is the index.  `errno` is positive."""

    def __init__(self, text: str, errno: int, *, hint: str = "", operation: int = -1) -> None:
        super().__init__(text, hint=hint)
        self.errno = errno
        self.operation = operation


def errno_words(errno: int) -> str:
    """`EPERM (operation not permitted)`: the name for those who know, the words for those who do not."""
    return f"{errorcode.get(errno, f'errno {errno}')} ({go_strerror(errno)})"


def go_strerror(errno: int) -> str:
    """strerror(3) as Go spells it (`no such file or directory`), which is what engines match on."""
    words = strerror(errno)
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


class during:  # noqa: N801 - reads as a phrase: with during("mount /proc")
    """Prefix any PyruncError from the block with what was being done; turn an OSError into a KernelError.

    An OSError's file name is not repeated: the words name the object.
    """

    __slots__ = ("words",)

    def __init__(self, words: str) -> None:
        self.words = words

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, PyruncError):
            error.trail.insert(0, self.words)
        elif isinstance(error, OSError) and error.errno is not None:
            wrapped = KernelError(error.errno)
            wrapped.trail.insert(0, self.words)
            raise wrapped from error
