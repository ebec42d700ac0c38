"""Sizes, durations and integers as runc's command line takes them."""

from __future__ import annotations

import pytest

from pyrunc.container.amounts import parse_duration, parse_integer, parse_size
from pyrunc.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("-1", -1), ("100", 100), ("100b", 100), ("1k", 1024), ("1KB", 1024), ("1KiB", 1024),
        ("50M", 50 << 20),
        ("1.5g", 3 << 29), ("7 kb", 7168), ("2t", 2 << 40), ("1P", 1 << 50), ("9223372036854775807", (1 << 63) - 1),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size("memory", text) == size


@pytest.mark.parametrize(
    "text",
    ["", "abc", "M", "-5", "-1k", "5X", "5ib", "1..5", "1.2.3", "5 0", " 5", "5M ", "9223372036854775808", "8192P"],
)  # fmt: skip
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid value for memory: invalid size: "):
        parse_size("memory", text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("0", 0), ("0s", 0), ("-2s", -2), (".5s", 0.5)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration("interval", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "x", "5s5", "5 s", "1d", "-", "1.1.1s", "5S", "--5s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match=r"parse error$"):
        parse_duration("interval", text)


@pytest.mark.parametrize(
    ("text", "signed", "number"),
    [("0", False, 0), ("18446744073709551615", False, 2**64 - 1), ("-5", True, -5), ("+5", True, 5), ("007", True, 7)],
)
def test_integers(text: str, signed: bool, number: int) -> None:
    assert parse_integer("f", text, signed=signed) == number


@pytest.mark.parametrize(
    ("text", "signed", "words"),
    [
        ("", False, "invalid syntax"), ("x", False, "invalid syntax"), ("-1", False, "invalid syntax"),
        ("1.5", True, "invalid syntax"), ("0x10", True, "invalid syntax"), ("1_0", True, "invalid syntax"),
        ("18446744073709551616", False, "value out of range"), ("9223372036854775808", True, "value out of range"),
        ("9" * 5000, True, "value out of range"), ("\u0663", False, "invalid syntax"),
    ],
)  # fmt: skip
def test_no_integers(text: str, signed: bool, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_integer("f", text, signed=signed)
