"""Which known word was meant by an unknown one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str:
    """The known word at the smallest distance, or "" when none is near: a quarter of the letters may be wrong."""
    if len(word) > 64:  # the distance costs the product of the lengths
        return ""
    best, best_distance = "", max(1, len(word) // 4) + 1
    for candidate in known:
        if candidate.lower() == word.lower():
            return candidate
        if abs(len(candidate) - len(word)) < best_distance:
            distance = edit_distance(word.lower(), candidate.lower())
            if distance < best_distance:
                best, best_distance = candidate, distance
    return best


def edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn one word into the other."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, above = above, current
    return above[-1]
