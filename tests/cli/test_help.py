"""Help: the lines that scripts and engines look at."""

from __future__ import annotations

import pytest

from cli.runtime import NAME, Runtime

COMMANDS = (
    "checkpoint", "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps", "restore", "resume",
    "run", "spec", "start", "state", "update",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["-h", "--help", "-help", "help"])
def test_help_of_a_command(runtime: Runtime, command: str, form: str) -> None:
    result = runtime(*(("help", command) if form == "help" else (command, form))).ok()
    assert result.lines[0] == "NAME:"
    assert result.lines[1].startswith(f"   {NAME} {command} - ")
    assert result.err == ""


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("help",), ("h",), ("--help", "create")])
def test_help_of_the_program(runtime: Runtime, words: tuple[str, ...]) -> None:
    result = runtime(*words).ok()
    assert result.lines[0] == "NAME:"
    assert result.lines[1].startswith(f"   {NAME} - ")
    for command in COMMANDS:
        assert f"\n   {command} " in result.out
    for flag in ("debug", "log", "log-format", "root", "systemd-cgroup", "rootless"):
        assert f"\n   --{flag} " in result.out


def test_help_of_a_command_with_arguments(runtime: Runtime) -> None:
    assert runtime("create", "--help", "c1").ok().lines[1].startswith(f"   {NAME} create - ")
    assert runtime("create", "c1", "-h").ok().lines[1].startswith(f"   {NAME} create - ")


def test_unknown_topic(runtime: Runtime) -> None:
    runtime("help", "foo").failed("No help topic for 'foo'", status=3)


def test_unknown_command(runtime: Runtime) -> None:
    runtime("foo").failed("No help topic for 'foo'", status=3)


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_flag(runtime: Runtime, command: str) -> None:
    result = runtime(command, "--foo").failed("flag provided but not defined: -foo")
    assert result.lines[0] == "Incorrect Usage: flag provided but not defined: -foo"
    assert f"   {NAME} {command} - " in result.out


def test_flag_without_its_argument(runtime: Runtime) -> None:
    """podman probes with such a call and looks for these words."""
    result = runtime("create", "--bundle").failed("flag needs an argument: -bundle")
    assert "flag needs an argument" in result.out


@pytest.mark.parametrize(
    "command", ["create", "start", "state", "delete", "run", "pause", "resume", "events", "update"]
)
def test_number_of_arguments(runtime: Runtime, command: str) -> None:
    for words in ((command,), (command, "a", "b")):
        runtime(*words).failed(f'"{command}" requires exactly 1 argument(s)')


def test_number_of_arguments_of_kill(runtime: Runtime) -> None:
    runtime("kill").failed('"kill" requires a minimum of 1 argument(s)')
    runtime("kill", "a", "9", "x").failed('"kill" requires a maximum of 2 argument(s)')
