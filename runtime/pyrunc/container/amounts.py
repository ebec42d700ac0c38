"""Numbers as people write them on runc's command line: sizes, durations, integers.  UsageError has Go's words."""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.log import quote

UINT64_MAX = (1 << 64) - 1
INT64_MAX = (1 << 63) - 1
# "50M", "1.5g", "10MiB", "7 kb", "100b": units of 1024, whatever they are called.
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DIGITS = frozenset("0123456789")


def parse_size(flag: str, text: str) -> int:
    """Bytes; -1 is no limit."""
    if text == "-1":
        return -1
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :].lower()
    digits = number.removesuffix(" ")
    if not _is_decimal(digits):
        raise UsageError(f"invalid value for {flag}: invalid size: '{text}'")
    factor = _UNITS.get(unit.removesuffix("ib") if len(unit) == 3 else unit.removesuffix("b"))
    if factor is None:
        raise UsageError(f"invalid value for {flag}: invalid size: '{text}'")
    size = int(float(digits) * factor) if "." in digits else int(digits) * factor
    if size > INT64_MAX:
        raise UsageError(f"invalid value for {flag}: invalid size: '{text}'")
    return size


def parse_integer(flag: str, text: str, *, signed: bool) -> int:
    """A decimal integer of 64 bits."""
    digits = text[1:] if signed and text[:1] in ("-", "+") else text
    function = "strconv.ParseInt" if signed else "strconv.ParseUint"
    if not digits or not _DIGITS.issuperset(digits):
        raise UsageError(f"invalid value for {flag}: {function}: parsing {quote(text)}: invalid syntax")
    # A number of thousands of digits is out of range before it is computed.
    number = int(text) if len(text) < 40 else UINT64_MAX + 1
    lowest, highest = (-INT64_MAX - 1, INT64_MAX) if signed else (0, UINT64_MAX)
    if not lowest <= number <= highest:
        raise UsageError(f"invalid value for {flag}: {function}: parsing {quote(text)}: value out of range")
    return number


def parse_duration(flag: str, text: str) -> float:
    """Seconds of a Go duration: 5s, 100ms, 1m30s, 1.5h, 0."""
    is_negative = text[:1] == "-"
    seconds = _seconds(text[1:] if text[:1] in ("-", "+") else text)
    if seconds is None:
        raise UsageError(f"invalid value {quote(text)} for flag -{flag}: parse error")
    return -seconds if is_negative else seconds


def _seconds(text: str) -> float | None:
    if text == "0":
        return 0.0
    total = 0.0 if text else None
    while text and total is not None:
        number, text = _split(text, "0123456789.")
        unit, text = _split(text, "nuµμmsh")
        total = total + float(number) * _SECONDS[unit] if _is_decimal(number) and unit in _SECONDS else None
    return total


def _split(text: str, letters: str) -> tuple[str, str]:
    """What is made of the letters at the beginning, and the rest."""
    rest = text.lstrip(letters)
    return text[: len(text) - len(rest)], rest


def _is_decimal(text: str) -> bool:
    """1, 1.5, .5, 5. - digits with at most one point."""
    return text.count(".") <= 1 and text != "." and bool(text) and _DIGITS.issuperset(text.replace(".", ""))
