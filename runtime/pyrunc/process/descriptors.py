"""Which descriptor has which number in the stage: known before anything is opened, so that plans are pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "socket"
EXEC_FIFO = "exec fifo"
CONSOLE = "console socket"
ROOTFS = "rootfs"
PROC = "the host's /proc"
FIRST = 3


class Descriptors:
    """Names in order; the n-th becomes descriptor 3+n of the stage.  The socket is always the first."""

    def __init__(self) -> None:
        self.names: list[str] = [SOCKET]

    def add(self, name: str) -> int:
        """The stage's number for a new name."""
        self.names.append(name)
        return FIRST + len(self.names) - 1

    def number(self, name: str) -> int:
        return FIRST + self.names.index(name)

    def arrange(self, opened: Mapping[str, int]) -> list[int]:
        """The parent's descriptors in the order in which the stage gets them."""
        return [opened[name] for name in self.names]


def preserved(index: int) -> str:
    return f"preserved {index}"


def namespace(kind: str) -> str:
    return f"namespace {kind}"


def device(index: int) -> str:
    return f"device {index}"


def source(index: int) -> str:
    return f"source {index}"
