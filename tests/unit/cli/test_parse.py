"""Every spelling Go programs accept, and the words they have for those they do not (checked against runc 1.1.5)."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from pyrunc.cli.flags import COMMANDS, COUNT, GLOBAL_FLAGS, MANY, NUMBER, SWITCH, WORD
from pyrunc.cli.parse import Arguments, default_root, parse_arguments, program_name


def parse(*words: str, environment: dict[bytes, bytes] | None = None, uid: int = 0) -> Arguments:
    return parse_arguments(["/usr/bin/pyrunc", *words], environment or {}, uid)


def complaint(*words: str) -> str:
    error = parse(*words).usage_error
    return error.text if error is not None else ""


@pytest.mark.parametrize(
    "words",
    [
        ["--root", "/x", "state", "c"],
        ["-root", "/x", "state", "c"],
        ["--root=/x", "state", "c"],
        ["-root=/x", "state", "c"],
        ["--debug", "--root=/x", "state", "c"],
        ["--root", "/y", "--root", "/x", "state", "c"],
        ["--root", "/x", "state", "--", "c"],
    ],
)
def test_a_word_in_every_spelling(words: list[str]) -> None:
    arguments = parse(*words)
    assert (arguments.usage_error, arguments.root, arguments.command) == (None, "/x", "state")
    assert arguments.container_id == "c"


@pytest.mark.parametrize(("spelled", "value"), [
    ("--debug", True), ("-debug", True), ("--debug=true", True), ("-debug=1", True), ("--debug=T", True),
    ("--debug=false", False), ("--debug=0", False), ("-debug=F", False), ("--debug=FALSE", False),
])  # fmt: skip
def test_switches(spelled: str, value: bool) -> None:
    arguments = parse(spelled, "list")
    assert (arguments.usage_error, arguments.debug, arguments.command) == (None, value, "list")


@pytest.mark.parametrize(("words", "wanted"), [
    (["delete", "c1", "--force"], {"force": True, "positional": ("c1",)}),
    (["delete", "-f", "c1"], {"force": True, "positional": ("c1",)}),
    (["delete", "-force=false", "c1"], {"force": False, "positional": ("c1",)}),
    (["kill", "c1", "-9"], {"positional": ("c1", "-9"), "all": False}),
    (["kill", "-a", "c1", "9"], {"positional": ("c1", "9"), "all": True}),
    (["kill", "c1", "--", "-a"], {"positional": ("c1", "-a"), "all": False}),
    (["create", "c1", "--bundle", "/b"], {"positional": ("c1",), "bundle": "/b"}),
    (["create", "-b", "-", "c1"], {"positional": ("c1",), "bundle": "-"}),
    (["create", "-b", "--", "c1"], {"positional": ("c1",), "bundle": "--"}),
    (["create", "--pid-file=", "c1"], {"pid_file": ""}),
    (["create", "--pid-file=a=b", "c1"], {"pid_file": "a=b"}),
    (["create", "--", "-x"], {"positional": ("-x",)}),
    (["create", "-"], {"positional": ("-",)}),
    (["run", "-d", "--keep", "--preserve-fds", "3", "c1"], {"detach": True, "keep": True, "preserve_fds": 3}),
    (["run", "--preserve-fds=0x10", "c1"], {"preserve_fds": 16}),
    (["run", "--preserve-fds=010", "c1"], {"preserve_fds": 8}),
        (
            ["exec", "-e", "A=1", "--env=B=", "c1", "ls", "-e", "--", "x"],
            {"env": ("A=1", "B="), "positional": ("c1", "ls", "-e", "--", "x")},
        ),
        (["exec", "c1"], {"env": (), "positional": ("c1",)}),
        (["exec", "-t", "-u", "1:2", "-g", "3", "-g", "4", "c1", "sh"], {"tty": True, "additional_gids": ("3", "4")}),
    (["spec", "--rootless"], {"rootless_spec": True, "rootless": "auto"}),
    (["--rootless=true", "spec"], {"rootless_spec": False, "rootless": "true"}),
    (["--systemd-cgroup=false", "--debug", "list", "-q"], {"systemd_cgroup": False, "quiet": True}),
    (["list"], {"cgroup_driver": "cgroupfs"}),
    (["--systemd-cgroup", "list"], {"cgroup_driver": "systemd"}),
    (["--cgroup-manager", "disabled", "list"], {"cgroup_driver": "disabled"}),
    (["--cgroup-manager=cgroupfs", "--systemd-cgroup", "list"], {"cgroup_driver": "cgroupfs"}),
    (["list", "--format=json"], {"format": "json"}),
    (["--criu", "/c", "--log-format", "json", "--log", "/l", "features"], {"log": "/l", "log_format": "json"}),
    (["create", "--help"], {"help": True}),
    (["-h", "create"], {"help": True, "command": ""}),
    (["-v"], {"version": True, "command": ""}),
    (["help", "create"], {"command": "help", "positional": ("create",)}),
    ([], {"command": "", "positional": ()}),
])  # fmt: skip
def test_accepted(words: list[str], wanted: dict[str, Any]) -> None:
    arguments = parse(*words)
    assert arguments.usage_error is None
    assert {name: getattr(arguments, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("words", "words_of_complaint"),
    [
        (["--foo"], "flag provided but not defined: -foo"),
        (["-vh"], "flag provided but not defined: -vh"),
        (["--foo=1", "list"], "flag provided but not defined: -foo"),
        (["--root"], "flag needs an argument: -root"),
        (["-root"], "flag needs an argument: -root"),
        (["create", "--bundle"], "flag needs an argument: -bundle"),
        (["create", "c", "-b"], "flag needs an argument: -b"),
        (["--debug=maybe", "list"], 'invalid boolean value "maybe" for -debug: parse error'),
        (["--debug=", "list"], 'invalid boolean value "" for -debug: parse error'),
        (["delete", "-f=no", "x"], 'invalid boolean value "no" for -f: parse error'),
        (["delete", "---force", "x"], "bad flag syntax: ---force"),
        (["delete", "-=x", "x"], "bad flag syntax: -=x"),
        (["create", "--preserve-fds=x", "c"], 'invalid value "x" for flag -preserve-fds: parse error'),
        (["create", "--preserve-fds=", "c"], 'invalid value "" for flag -preserve-fds: parse error'),
        (["create", "--preserve-fds", "1 ", "c"], 'invalid value "1 " for flag -preserve-fds: parse error'),
        (["create", "--preserve-fds", "09", "c"], 'invalid value "09" for flag -preserve-fds: parse error'),
        (["create", "--preserve-fds", "-1", "c"], 'invalid value "-1" for flag -preserve-fds: value out of range'),
        (
            ["create", "--preserve-fds", "9" * 30, "c"],
            f'invalid value "{"9" * 30}" for flag -preserve-fds: value out of range',
        ),
        (["state"], 'pyrunc: "state" requires exactly 1 argument(s)'),
        (["state", "a", "b"], 'pyrunc: "state" requires exactly 1 argument(s)'),
        (["state", "a", "-x"], 'pyrunc: "state" requires exactly 1 argument(s)'),
        (["kill"], 'pyrunc: "kill" requires a minimum of 1 argument(s)'),
        (["kill", "a", "9", "x"], 'pyrunc: "kill" requires a maximum of 2 argument(s)'),
        (["exec"], 'pyrunc: "exec" requires a minimum of 1 argument(s)'),
        (["exec", "--env"], "flag needs an argument: -env"),
        (["exec", "-x", "c1", "ls"], "flag provided but not defined: -x"),
        (["list", "x"], 'pyrunc: "list" requires exactly 0 argument(s)'),
        (["kill", "-9", "c"], "flag provided but not defined: -9"),
        (["--rootless=maybe", "list"], 'invalid value "maybe" for flag -rootless: must be true, false or auto'),
        (
            ["--cgroup-manager=x", "list"],
            'invalid value "x" for flag -cgroup-manager: must be cgroupfs, systemd or disabled',
        ),
        (["--rootless", "list"], 'invalid value "list" for flag -rootless: must be true, false or auto'),
    ],
)
def test_refused(words: list[str], words_of_complaint: str) -> None:
    assert complaint(*words) == words_of_complaint


def test_the_log_is_known_even_after_a_mistake() -> None:
    arguments = parse("--foo", "--log", "/l", "--log-format=json", "create")
    assert arguments.usage_error is not None
    assert (arguments.log, arguments.log_format) == ("/l", "json")


def test_the_first_mistake_is_the_one_reported() -> None:
    assert complaint("--foo", "--debug=x", "state") == "flag provided but not defined: -foo"


@pytest.mark.parametrize(
    ("environment", "uid", "root"),
    [
        ({}, 0, "/run/pyrunc"),
        ({}, 1000, "/run/pyrunc"),
        ({b"XDG_RUNTIME_DIR": b""}, 1000, "/run/pyrunc"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/1000"}, 1000, "/run/user/1000/pyrunc"),
        ({b"XDG_RUNTIME_DIR": b"/run/user/0", b"USER": b"root"}, 0, "/run/pyrunc"),
    ],
)
def test_state_root(environment: dict[bytes, bytes], uid: int, root: str) -> None:
    assert default_root(environment, uid) == root
    arguments = parse("list", environment=environment, uid=uid)
    assert (arguments.root, arguments.root_given) == (root, False)
    assert parse("--root=/r", "list", environment=environment, uid=uid).root_given


@pytest.mark.parametrize(("called", "name"), [
    ("/usr/local/bin/pyrunc", "pyrunc"), ("runc", "runc"), ("/x/runc", "runc"), ("", "pyrunc"),
    ("/src/pyrunc/__main__.py", "pyrunc"),
])  # fmt: skip
def test_program_name(called: str, name: str) -> None:
    assert program_name(called) == name


def test_every_flag_has_a_typed_attribute() -> None:
    """`Arguments` is declared by hand for the type checker: the table and it must agree."""
    hints = get_type_hints(Arguments, localns={"UsageError": object})
    kinds = {SWITCH: bool, WORD: str, COUNT: int, NUMBER: int | None, MANY: tuple[str, ...]}
    wanted = {"program": str, "command": str, "root_given": bool, "rootless_spec": bool}
    for command, flags in [("", GLOBAL_FLAGS), *((name, row[4]) for name, row in COMMANDS.items())]:
        for names, kind, default, _words in flags:
            attribute = names[0].replace("-", "_")
            if (command, attribute) != ("spec", "rootless"):
                assert wanted.setdefault(attribute, kinds[kind]) == kinds[kind], attribute
            assert type(default) is {MANY: tuple, NUMBER: type(None)}.get(kind, kinds[kind])
    hints.pop("positional"), hints.pop("usage_error")
    assert hints == wanted


def test_no_spelling_is_used_twice() -> None:
    for flags in [GLOBAL_FLAGS, *(row[4] for row in COMMANDS.values())]:
        names = [name for flag in flags for name in flag[0]]
        assert len(names) == len(set(names))
