"""What a create has made so far, and how to give it back."""

from __future__ import annotations

from pyrunc import log
from pyrunc.errors import PyruncError, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Undo:
    """What has been made, and how to give it back: last made, first undone."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, what: str, action: Callable[[], object]) -> None:
        self._steps.append((what, action))

    def run(self) -> None:
        """Undo everything; what cannot be undone is logged, and the error that brought us here goes on."""
        for what, action in reversed(self._steps):
            try:
                with during(what):
                    action()
            except PyruncError as error:
                log.warning(str(error))
