"""The help texts: what callers read of them, and that none is forgotten."""

from __future__ import annotations

import pytest

from pyrunc.cli.flags import COMMANDS, GLOBAL_FLAGS, HIDDEN
from pyrunc.cli.help import DETAILS, command_help, program_help


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("program", ["pyrunc", "runc"])
def test_command_help(program: str, command: str) -> None:
    lines = command_help(program, command).splitlines()
    assert lines[:2] == ["NAME:", f"   {program} {command} - {COMMANDS[command][3]}"]
    for names, _kind, _default, words in COMMANDS[command][4]:
        shown = [line for line in lines if line.startswith((f"   --{names[0]} ", f"   --{names[0]}, "))]
        assert len(shown) == (words != HIDDEN)
    assert not [line for line in lines if len(line) > 120 or line != line.rstrip() or "{" in line]


def test_program_help() -> None:
    text = program_help("runc")
    lines = text.splitlines()
    assert lines[:2] == ["NAME:", "   runc - Open Container Initiative runtime"]
    assert all(f"\n   {command} " in text for command in COMMANDS)
    for names, _kind, _default, words in GLOBAL_FLAGS:
        assert (f"\n   --{names[0]} " in text or f"\n   --{names[0]}, " in text) == (words != HIDDEN)
    assert "pyrunc" not in text


def test_details_are_of_commands() -> None:
    assert set(DETAILS) == set(COMMANDS)
