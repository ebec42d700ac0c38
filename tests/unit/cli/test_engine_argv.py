"""Every command line that an engine was seen to send, and what it must be understood as: engine_argv.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli.flags import COMMANDS, COUNT, GLOBAL_FLAGS, MANY, NUMBER, SWITCH
from pyrunc.cli.parse import default_root, parse_arguments

ROWS: list[tuple[str, str]] = []
SHORTHAND: dict[str, tuple[str, str]] = {}


def read_table() -> None:
    for line in Path(__file__).with_name("engine_argv.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        sent, arrow, meant = line.partition(" => ")
        assert arrow, line
        name, equals, words = sent.partition(" = ")
        if equals:
            SHORTHAND[name] = (words, meant)
        else:
            ROWS.append((expand(sent, 0), expand(meant, 1)))


def expand(text: str, side: int) -> str:
    return " ".join(SHORTHAND[word][side] if word.startswith("@") else word for word in text.split())


read_table()


def flags_of(command: str) -> dict[str, tuple[str, Any]]:
    """Attribute -> (kind, default); the command's own flags and the program's."""
    rows = (*GLOBAL_FLAGS, *(COMMANDS[command][4] if command else ()))
    return {flag[0][0].replace("-", "_"): (flag[1], flag[2]) for flag in rows}


def meaning(text: str) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """(command, positional arguments, value of every flag)."""
    words = text.split()
    command = words.pop(0) if words[0] in COMMANDS else ""
    kinds = flags_of(command)
    values = {name: default for name, (_kind, default) in kinds.items()}
    values["root"] = default_root({}, 0)
    positional = []
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("+"):
            assert kinds[word[1:]][0] == SWITCH, word
            values[word[1:]] = True
        elif equals:
            kind = kinds[name][0]
            values[name] = int(value) if kind in (COUNT, NUMBER) else (value,) if kind == MANY else value
        else:
            positional.append(word)
    return command, tuple(positional), values


@pytest.mark.parametrize(("sent", "meant"), ROWS, ids=[sent for sent, _meant in ROWS])
def test_parses(sent: str, meant: str) -> None:
    arguments = parse_arguments(["/usr/bin/pyrunc", *sent.split()], {}, 0)
    assert arguments.usage_error is None
    command, positional, values = meaning(meant)
    found = {name: getattr(arguments, name) for name in values}
    assert (arguments.command, arguments.positional, found) == (command, positional, values)


def test_the_table_is_read() -> None:
    assert len(ROWS) > 80
    assert {sent.split()[-1] for sent, _meant in ROWS} >= {"c1", "9", "k1", "features"}


def test_podman_asks_whether_restore_knows_a_flag() -> None:
    """Podman probes for the flag by leaving out its argument, and reads the complaint."""
    error = parse_arguments(["pyrunc", "restore", "--lsm-mount-context"], {}, 0).usage_error
    assert error is not None
    assert "flag needs an argument" in error.text
