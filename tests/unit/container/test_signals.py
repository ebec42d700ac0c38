"""How signals may be spelled."""

import pytest

from pyrunc.container.kill import parse_signal
from pyrunc.errors import UsageError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9), ("0", 0), ("64", 64), ("09", 9), ("KILL", 9), ("SIGKILL", 9), ("sigkill", 9), ("kill", 9),
        ("TERM", 15), ("SIGTERM", 15), ("USR1", 10), ("WINCH", 28), ("SIGRTMIN", 34), ("RTMIN+1", 35),
        ("SIGRTMIN+3", 37), ("RTMAX", 64), ("RTMAX-2", 62),
    ],
)  # fmt: skip
def test_spellings(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BOGUS",
        "65",
        "-1",
        "9 ",
        " 9",
        "1_0",
        "٣",
        "SIG",
        "SIGSIGKILL",
        "_DFL",
        "SIG_DFL",
        "RTMIN+",
        "RTMIN+31",
        "1e1",
    ],
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(UsageError, match="unknown signal"):
        parse_signal(text)
