"""Log lines as logrus writes them: what engines decode."""

from __future__ import annotations

import json

import pytest

from pyrunc import log

TIME = "2026-11-23T18:00:37Z"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("simple", "simple"),
        ("a/b-c_d.e@f^g+h", "a/b-c_d.e@f^g+h"),
        ("two words", '"two words"'),
        ('quote " and \\', '"quote \\" and \\\\"'),
        ("tab\tline\nbell\a", '"tab\\tline\\nbell\\a"'),
        ("escape \x1b[31m", '"escape \\x1b[31m"'),
        ("umlaut ü", '"umlaut ü"'),
        ("zero width \u200b", '"zero width \\u200b"'),
        ("byte \udcff", '"byte \\xff"'),
        ("far \U000e0001", '"far \\U000e0001"'),
        ("\x7f", '"\\x7f"'),
        ("", ""),
    ],
)
def test_text_line(message: str, line: str) -> None:
    assert log.text_line("error", message, TIME) == f'time="{TIME}" level=error msg={line}'


@pytest.mark.parametrize("message", ["simple", 'a "b" \\ c', "line\nbreak\r\t\b\f", "\x00\x1b\x7f", "ü😀", "<&>"])
def test_json_line_is_json(message: str) -> None:
    line = log.json_line("error", message, TIME)
    assert json.loads(line) == {"level": "error", "msg": message, "time": TIME}
    assert "\n" not in line


def test_json_line_is_unicode_even_when_the_message_is_not() -> None:
    line = log.encode(log.json_line("error", "byte \udcff", TIME))
    assert json.loads(line.decode())["msg"] == "byte \ufffd"


def test_terminal_line_cannot_act_on_the_terminal() -> None:
    line = log.terminal_line("error", "evil \x1b]0;x\x07", 0)
    assert line.startswith("\x1b[31mERRO\x1b[0m[0000] evil \\x1b]0;x\\a ")
    assert line.count("\x1b") == 2


def test_terminal_line_is_padded_as_runc_does() -> None:
    assert log.terminal_line("warning", "x", 7) == "\x1b[33mWARN\x1b[0m[0007] " + "x".ljust(44) + " "


def test_timestamp_is_rfc3339_in_utc() -> None:
    from datetime import datetime, timedelta

    moment = datetime.fromisoformat(log.timestamp())
    assert moment.utcoffset() == timedelta(0)
