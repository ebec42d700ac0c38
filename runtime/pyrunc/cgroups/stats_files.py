"""The forms that cgroup files have, as values: single numbers, `key value` lines, lists of ids, pressure."""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENOENT, EOPNOTSUPP

from pyrunc.errors import during
from pyrunc.kernel.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UINT64_MAX = (1 << 64) - 1
# Optional controllers and files of newer kernels; a cgroup that is being removed; pressure that is switched off.
ABSENT = (ENOENT, ENODEV, EOPNOTSUPP, EINVAL)


def read_text(path: str) -> str | None:
    """None for a file that this kernel or this cgroup does not have."""
    try:
        return read_file(path).decode()
    except OSError as error:
        if error.errno in ABSENT:
            return None
        with during(f"read {path}"):
            raise


def number(text: str | None) -> int:
    """0 for an absent file; `max` is the largest number, as in runc."""
    word = (text or "0").strip()
    return UINT64_MAX if word == "max" else int(word)


def read_number(path: str) -> int:
    return number(read_text(path))


def keyed(text: str | None) -> dict[str, int]:
    """Lines `key value`."""
    pairs = [line.split() for line in (text or "").splitlines()]
    return {pair[0]: number(pair[1]) for pair in pairs if len(pair) == 2}


def ids(text: str | None) -> list[int]:
    """`0-3,7` to [0, 1, 2, 3, 7]: cpuset(7), "List format"."""
    found: list[int] = []
    for part in (text or "").strip().split(","):
        first, dash, last = part.partition("-")
        if first:
            found.extend(range(int(first), int(last if dash else first) + 1))
    return found


def pressure(text: str | None) -> dict[str, Any] | None:
    """Documentation/accounting/psi.rst: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same of `full`."""
    if text is None:
        return None
    zeros: dict[str, Any] = {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}
    found = {"some": zeros, "full": zeros}
    for line in text.splitlines():
        kind, *pairs = line.split()
        found[kind] = {name: _plain(value) for name, _equals, value in [pair.partition("=") for pair in pairs]}
    return found


def _plain(digits: str) -> float:
    """An integer where it is one: Go prints 0, not 0.0."""
    value = float(digits)
    return int(value) if value.is_integer() else value


def without_zeros(pairs: dict[str, Any]) -> dict[str, Any]:
    """Go's omitempty."""
    return {name: value for name, value in pairs.items() if value}
