"""`pyrunc validate`: every problem at once, each with its place; exit code 1 when there is any."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ocispec.defaults import default_config
from ocispec.partial import related
from pyrunc.cli.parse import parse_arguments
from pyrunc.commands.validate import STDIN, problems_of, run, schema_errors
from pyrunc.errors import ConfigError, Unsupported, UsageError
from unit.ocispec.minimal import config_with, minimal
from unit.ocispec.wrong import RULES, VALUES

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = {
    "ociVersion": "2.0.0",
    "root": {},
    "proces": {},
    "process": {"cwd": "x", "rlimits": [{"type": "RLIMIT_FOO"}], "env": [7]},
    "linux": {"namespaces": [{"type": "Network"}], "sysctl": {"a.b": 7}, "memoryPolicy": {"mode": "MPOL_BIND"}},
}
EXPECTED = [
    'ociVersion: only 1.x is known, not "2.0.0"',
    "root.path: is missing",
    "process.args: is missing",
    'process.cwd: must be an absolute path, not "x"',
    "process.env[0]: must be a string, not 7",
    "process.rlimits[0].type: must be one of RLIMIT_AS",
    "process.rlimits[0].soft: is missing",
    "process.rlimits[0].hard: is missing",
    "linux.namespaces[0].type: must be one of pid, network, mount, ipc, uts, user, cgroup, time, not "
    '"Network" (did you mean network?)',
    'linux.sysctl["a.b"]: must be a string, not 7',
    "linux.memoryPolicy.nodes: invalid memory policy: MPOL_BIND mode requires at least one node",
]


def validate(*words: str) -> int:
    return run(parse_arguments(["pyrunc", "validate", *words], {}, 0))


def test_bundle(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(default_config()))
    assert validate("--bundle", str(tmp_path), "--no-host") == 0
    assert capfd.readouterr() == (f"{tmp_path}/config.json: valid\n", "")


def test_would_it_run_here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(default_config()))
    assert validate("--bundle", str(tmp_path)) == 2
    output = capfd.readouterr()
    assert output.out == f"{tmp_path}/config.json: not here: root.path: rootfs rootfs does not exist\n"
    assert "config.json: valid, but it would not run here" in output.err
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    assert validate("--bundle", str(tmp_path)) == 2
    assert 'process.args[0]: the root filesystem has no "sh"' in capfd.readouterr().out
    (tmp_path / "rootfs/bin/sh").symlink_to("/bin/busybox")  # of the image: it need not lead anywhere here
    (tmp_path / "rootfs/bin/busybox").touch()
    assert validate("--bundle", str(tmp_path)) == 0
    assert capfd.readouterr() == (f"{tmp_path}/config.json: valid, and would run here\n", "")


def test_what_create_would_refuse_is_found_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The plan is compiled: here a seccomp profile that would lock the runtime itself."""
    document = minimal()
    rule = {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}
    document["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(tmp_path / "agent"), "syscalls": [rule],
    }  # fmt: skip
    (tmp_path / "other.json").write_text(json.dumps(document))
    assert validate(str(tmp_path / "other.json")) == 2
    out = capfd.readouterr().out
    assert "not here: SCMP_ACT_NOTIFY cannot be used for the write syscall" in out
    assert f"not here: linux.seccomp.listenerPath: no agent listens on {tmp_path}/agent" in out


def test_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = minimal() | {"hostnam": "x"}
    (tmp_path / "config.json").write_text(json.dumps(document))
    assert validate("--bundle", str(tmp_path), "--format", "json") == 2
    report = json.loads(capfd.readouterr().out)
    assert report["file"] == f"{tmp_path}/config.json"
    assert (report["valid"], report["wouldRunHere"], report["problems"]) == (True, False, [])
    assert report["warnings"] == [{"place": "hostnam", "problem": "unknown key, ignoring (did you mean hostname?)"}]
    assert report["notHere"][0] == {
        "place": "root.path", "problem": "rootfs rootfs does not exist", "section": "config.md#root",
    }  # fmt: skip


def test_json_of_a_wrong_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_with("process.rlimits", [7])))
    assert validate("-b", str(tmp_path), "-f", "json") == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["valid"], report["wouldRunHere"], report["notHere"]) == (False, None, [])
    assert report["problems"] == [
        {
            "place": "process.rlimits[0]",
            "problem": "must be an object, not 7",
            "section": "config.md#posix-process",
        }
    ]


def test_formats() -> None:
    with pytest.raises(UsageError, match="invalid format option"):
        validate("--format", "yaml", "-")


def test_file_and_current_directory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(minimal()))
    (tmp_path / "other.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    assert validate("--no-host") == 0
    assert validate("other.json") == 1
    out = capfd.readouterr().out
    assert out == (
        "config.json: valid\n"
        "other.json: line 1, column 2: a key in double quotes must stand here, not the end of the file (config.md)\n"
    )


def test_stdin(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(BROKEN).encode())))
    assert validate(STDIN) == 1
    output = capfd.readouterr()
    lines = output.out.splitlines()
    assert len(lines) == len(EXPECTED) + 1
    for line, expected in zip(lines, EXPECTED, strict=False):
        assert line.startswith(f"stdin: {expected}")
    assert lines[3].endswith("(config.md#process)")
    assert lines[-1] == "stdin: warning: proces: unknown key, ignoring (did you mean process?)"
    assert "stdin: 11 problems found" in output.err


def test_one_problem(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_with("hostname", 7)))
    assert validate("-b", str(tmp_path)) == 1
    output = capfd.readouterr()
    assert output.out == f"{tmp_path}/config.json: hostname: must be a string, not 7 (config.md#hostname)\n"
    assert "config.json: 1 problem found" in output.err


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^JSON specification file .*/config.json not found$"):
        validate("--bundle", str(tmp_path))


@pytest.mark.parametrize(("place", "value", "where", "words"), VALUES)
def test_every_problem_is_told_once(place: str, value: object, where: str, words: str) -> None:
    """What reader and schema both know is said by the reader, whose words are better."""
    problems, _warnings = problems_of(config_with(place, value))
    told = [problem for problem in problems if problem.startswith(f"{where}: ")]
    assert len(told) == 1
    assert words in told[0]


@pytest.mark.parametrize("rule", RULES)
def test_rules_between_keys_are_told(rule: str) -> None:
    wrong, right, where, words, _in_schema = RULES[rule]
    problems, _warnings = problems_of(wrong)
    assert [problem for problem in problems if problem.startswith(f"{where}: ") and words in problem]
    assert problems_of(right)[0] == []


def test_other_documents() -> None:
    assert problems_of({"args": ["sh"], "cwd": "/"}, "process") == ([], [])
    assert problems_of({"cwd": "/"}, "process") == (["args: is missing"], [])
    assert problems_of({"ociVersion": "1.0.0", "id": "a", "status": "creating", "bundle": "/"}, "state") == ([], [])
    assert problems_of([]) == (["must be an object, not a list"], [])


def test_words_of_the_schema_alone() -> None:
    errors = [str(error) for error in schema_errors(BROKEN, "config")]
    assert "root.path: is missing" in errors
    assert 'linux.sysctl["a.b"]: does not fit the schema: type is "string"' in " ".join(errors)
    assert any(error.startswith("linux.namespaces[0].type: must be one of pid, network") for error in errors)
    assert any("process.cwd" in error and "Absolute path." in error for error in errors)


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        ("process", "process.args", True),
        ("process.args[0]", "process.args", True),
        ("process.args", "process.args", True),
        ("process.arg", "process.args", False),
        ("root", "process", False),
        ("", "process", False),
    ],
)
def test_related_places(left: str, right: str, answer: bool) -> None:
    assert related(left, right) is answer
    assert related(right, left) is answer


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_arguments: Any) -> Any:
        raise AssertionError("a schema was looked up in the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for kind in ("config", "process", "state", "features"):
        assert schema_errors({}, kind)


def test_jsonschema_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(Unsupported, match=r"^the Python package jsonschema is not installed beside this build$"):
        problems_of(minimal())
