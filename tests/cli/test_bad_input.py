"""Broken configs and command lines: one clear line, the right exit code, nothing left behind, no traceback."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from cli.bad_configs import BAD_CONFIGS, BAD_DOCUMENTS, GONE
from cli.runtime import NAME, PATH, cgroups_of, pids_of

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Result, Runtime

pytestmark = pytest.mark.pyrunc_only("runc accepts much of it, and has other words")

LONGEST_LINE = 1000


def is_one_clear_line(result: Result, words: str, status: int = 1) -> None:
    result.failed(words, status)
    assert "internal error" not in result.err, result
    assert len(result.err) < LONGEST_LINE, result
    assert re.fullmatch(r'time="[^"]+" level=error msg=(?:"(?:\\.|[^"\\])+"|\S+)\n', result.err), result


def nothing_is_left(runtime: Runtime, bundle: Bundle, files: list[str]) -> None:
    assert not runtime.state_root.exists() or os.listdir(runtime.state_root) == []
    for container_id in runtime.ids:
        assert (pids_of(container_id), cgroups_of(container_id)) == ([], [])
    assert sorted(os.listdir(bundle.path)) == files


def put(document: dict[str, Any], place: str, value: object) -> None:
    """`mounts[5]` one past the end of a list is appended."""
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", place)]
    at: Any = document
    for step in steps[:-1]:
        at = at[step]
    last = steps[-1]
    if value is GONE:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value


@pytest.mark.parametrize(
    ("place", "value", "words"),
    BAD_CONFIGS,
    ids=[f"{place}={'(absent)' if value is GONE else ascii(value)[:40]}" for place, value, _words in BAD_CONFIGS],
)
def test_config(runtime: Runtime, bundle: Bundle, place: str, value: object, words: str) -> None:
    put(bundle.config, place, value)
    bundle.save()
    files = sorted(os.listdir(bundle.path))
    result = runtime("create", "--bundle", bundle.path, runtime.new_id())
    is_one_clear_line(result, words)
    assert f'msg="{NAME} create failed: ' in result.err
    nothing_is_left(runtime, bundle, files)


@pytest.mark.parametrize(
    ("content", "words"), [row[1:] for row in BAD_DOCUMENTS], ids=[row[0] for row in BAD_DOCUMENTS]
)
def test_document(runtime: Runtime, bundle: Bundle, content: bytes, words: str) -> None:
    (bundle.path / "config.json").write_bytes(content)
    files = sorted(os.listdir(bundle.path))
    result = runtime("create", "--bundle", bundle.path, runtime.new_id())
    is_one_clear_line(result, words)
    nothing_is_left(runtime, bundle, files)


@pytest.mark.parametrize("kind", ["directory", "fifo", "missing", "dangling", "device", "loop"])
def test_config_that_is_no_file(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    path = bundle.path / "config.json"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "dangling":
            path.symlink_to("nope")
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to("config.json")
    is_one_clear_line(runtime("create", "--bundle", bundle.path, runtime.new_id()), "config.json")


@pytest.mark.parametrize("command", ["create", "run"])
def test_bundle_that_is_none(runtime: Runtime, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    for path in ("nope", "file", "", "\n"):
        is_one_clear_line(runtime(command, "-b", tmp_path / path, runtime.new_id()), f"{NAME} {command} failed: ")


@pytest.mark.parametrize(
    ("words", "complaint", "status"),
    [
        (["foo"], "No help topic for 'foo'", 3),
        (["help", "foo"], "No help topic for 'foo'", 3),
        (["exe c"], "No help topic for 'exe c'", 3),
        (["\x1b[31m"], "No help topic for ", 3),
        (["--foo"], "flag provided but not defined: -foo", 1),
        (["---root"], "bad flag syntax: ---root", 1),
        (["--=x"], "bad flag syntax: --=x", 1),
        (["--log-format"], "flag needs an argument: -log-format", 1),
        (["--log-format", "xml", "list"], "invalid log-format: xml", 1),
        (["--log-format=", "list"], "invalid log-format: ", 1),
        (["--debug=2", "list"], 'invalid boolean value "2" for -debug', 1),
        (["--rootless=2", "list"], "-rootless", 1),
        (["--log", "/nope/log", "list"], "open /nope/log: no such file or directory", 1),
        (["--log", "/", "list"], "open /: is a directory", 1),
        (["create"], '"create" requires exactly 1 argument(s)', 1),
        (["create", "a", "b"], '"create" requires exactly 1 argument(s)', 1),
        (["create", "--nope", "a"], "flag provided but not defined: -nope", 1),
        (["create", "-nope=1", "a"], "flag provided but not defined: -nope", 1),
        (["create", "a", "--pid-file"], "flag needs an argument: -pid-file", 1),
        (["create", "--preserve-fds", "x", "a"], "invalid value", 1),
        (["create", "--preserve-fds", "-1", "a"], "invalid value", 1),
        (["create", "--no-pivot=x", "a"], "invalid boolean value", 1),
        (["run", "--detach=x", "a"], "invalid boolean value", 1),
        (["run"], '"run" requires exactly 1 argument(s)', 1),
        (["start"], '"start" requires exactly 1 argument(s)', 1),
        (["start", "nobody"], "container does not exist", 1),
        (["start", "../x"], "invalid container ID format", 1),
        (["start", ""], "invalid container ID format", 1),
        (["start", "a\nb"], "invalid container ID format", 1),
        (["state"], '"state" requires exactly 1 argument(s)', 1),
        (["state", "x" * 5000], "invalid container ID format", 1),
        (["state", "x" * 256], "invalid container ID format", 1),
        (["state", "x" * 255], "container does not exist", 1),
        (["state", "."], "invalid container ID format", 1),
        (["state", "\udcff"], "invalid container ID format", 1),
        (["kill"], '"kill" requires a minimum of 1 argument(s)', 1),
        (["kill", "a", "b", "c"], '"kill" requires a maximum of 2 argument(s)', 1),
        (["kill", "nobody", "KILL"], "container does not exist", 1),
        (["kill", "--all=x", "a"], "invalid boolean value", 1),
        (["delete"], '"delete" requires exactly 1 argument(s)', 1),
        (["delete", "nobody"], "container does not exist", 1),
        (["delete", "-f", "../x"], "invalid container ID format", 1),
        (["delete", "-x", "a"], "flag provided but not defined: -x", 1),
        (["list", "--format", "yaml"], "invalid format option", 1),
        (["list", "a"], '"list" requires exactly 0 argument(s)', 1),
        (["list", "-q=7"], "invalid boolean value", 1),
        (["spec", "--bundle", "/nope"], "no such file or directory", 1),
        (["spec", "a"], '"spec" requires exactly 0 argument(s)', 1),
        (["features", "a"], '"features" requires exactly 0 argument(s)', 1),
        (["features", "--json"], "flag provided but not defined: -json", 1),
        (["explain", "-b", "/nope"], "/nope", 1),
        (["validate", "-b", "/nope"], "/nope", 1),
        (["--systemd-cgroup", "create", "-b", "{bundle}", "a"], "cannot use systemd cgroups manager", 1),
        (["create", "-b", "{bundle}", "--console-socket", "/nope", "a"], "console socket", 1),
        (["create", "-b", "{bundle}", "--pid-file", "/nope/pid", "a"], "no such file or directory", 1),
        (["create", "-b", "{bundle}", "--pidfd-socket", "/nope", "a"], "/nope", 1),
        (["create", "-b", "{bundle}", "--preserve-fds", "900", "a"], "preserve-fds: descriptor ", 1),
        (["create", "-b", "{bundle}", "a/b"], "invalid container ID format", 1),
        (["create", "-b", "{bundle}", ""], "invalid container ID format", 1),
        (["create", "-b", "{bundle}", ".."], "invalid container ID format", 1),
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode() if isinstance(value, list) else "",
)
def test_command_line(runtime: Runtime, bundle: Bundle, words: list[str], complaint: str, status: int) -> None:
    bundle.save()
    runtime.state_root.mkdir()
    runtime.ids.append("a")
    argv = [word.replace("{bundle}", str(bundle.path)) for word in words]
    is_one_clear_line(runtime(*argv), complaint, status)
    assert os.listdir(runtime.state_root) == []


@pytest.mark.parametrize("root", ["/proc/nope", "/dev/null/x", "/etc/passwd"])
def test_state_root_that_cannot_be(runtime: Runtime, bundle: Bundle, root: str) -> None:
    bundle.save()
    argv = [PATH, "--root", root, "create", "-b", str(bundle.path), runtime.new_id()]
    is_one_clear_line(runtime.raw(argv), f"{NAME} create failed: ")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 999}',
        '{"version": 1}',
        '{"version": "1"}',
        "null",
        "\x00",
        '{"version":1,"id":7}',
    ],
)
def test_state_file(runtime: Runtime, content: str) -> None:
    (runtime.state_root / "broken").mkdir(parents=True)
    (runtime.state_root / "broken/state.json").write_text(content)
    for words in (["state", "broken"], ["start", "broken"], ["kill", "broken"]):
        is_one_clear_line(runtime(*words), "")
    assert runtime("list").ok().lines[1:] == []


def test_enough_is_tried() -> None:
    assert len(BAD_CONFIGS) + len(BAD_DOCUMENTS) >= 150
