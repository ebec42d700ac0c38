"""--log, --log-format and --debug: what containerd, podman and docker read after a failure."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, PATH, Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"


def test_text_on_stderr(runtime: Runtime) -> None:
    err = runtime("state", "nobody").failed().err
    assert re.fullmatch(rf'time="{TIME}" level=error msg="container does not exist"\n', err)


def test_json_on_stderr(runtime: Runtime) -> None:
    line = json.loads(runtime("state", "nobody", before=("--log-format", "json")).failed().err)
    assert line["level"] == "error"
    assert line["msg"] == "container does not exist"
    assert datetime.fromisoformat(line["time"]).tzinfo is not None


@pytest.mark.parametrize("form", ["--log-format=json", "-log-format=json"])
def test_json_file(runtime: Runtime, tmp_path: Path, form: str) -> None:
    """podman decodes the whole file as one object, so: one line."""
    log = tmp_path / "log.json"
    result = runtime("state", "nobody", before=("--log", log, form)).failed()
    assert result.err == "container does not exist\n"
    line = json.loads(log.read_text())
    assert (line["level"], line["msg"]) == ("error", "container does not exist")


def test_text_file(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = runtime("state", "nobody", before=("--log", log)).failed()
    assert result.err == "container does not exist\n"
    assert re.fullmatch(rf'time="{TIME}" level=error msg="container does not exist"\n', log.read_text())


def test_file_is_appended_to(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        runtime("state", "nobody", before=("--log", log, "--log-format", "json")).failed()
    assert [json.loads(line)["msg"] for line in log.read_text().splitlines()] == ["container does not exist"] * 2


def test_usage_errors_are_in_the_file(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    runtime("create", "--foo", before=("--log", log, "--log-format", "json")).failed()
    assert json.loads(log.read_text())["msg"] == "flag provided but not defined: -foo"


@pytest.mark.pyrunc_only("runc opens the file too late for these")
def test_errors_of_global_flags_are_in_the_file(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    runtime("list", before=("--foo", "--log", log)).failed()
    assert "flag provided but not defined: -foo" in log.read_text()


def test_quotes_and_line_breaks(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    bundle.args('/a"b\\c\nd')
    bundle.save()
    result = runtime("create", "-b", bundle.path, runtime.new_id(), before=("--log", log, "--log-format", "json"))
    assert result.status == 1
    assert len(log.read_text().splitlines()) == 1
    assert json.loads(log.read_text())["msg"].startswith(f"{NAME} create failed: ")


def test_format_that_is_none(runtime: Runtime) -> None:
    runtime("list", before=("--log-format", "xml")).failed("invalid log-format: xml")


@pytest.mark.parametrize(("path", "words"), [("nope/log", "no such file or directory"), (".", "is a directory")])
def test_file_that_cannot_be_opened(runtime: Runtime, tmp_path: Path, path: str, words: str) -> None:
    runtime("list", before=("--log", tmp_path / path)).failed(words)


def test_success_is_silent(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    bundle.save()
    result = runtime("run", "-b", bundle.path, runtime.new_id(), before=("--log", log, "--log-format", "json")).ok()
    assert (result.out, result.err) == ("", "")
    assert log.read_text() == ""


def test_debug(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save()
    assert "level=debug" in runtime("run", "-b", bundle.path, runtime.new_id(), before=("--debug",)).ok().err
    log = tmp_path / "log"
    before = ("--debug", "--log", log, "--log-format", "json")
    runtime("run", "-b", bundle.path, runtime.new_id(), before=before).ok()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "debug" in [line["level"] for line in lines]


def test_no_debug(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    result = runtime("run", "-b", bundle.path, runtime.new_id(), before=("--debug=false",)).ok()
    assert "level=debug" not in result.err


def test_terminal(runtime: Runtime) -> None:
    leader, follower = pty.openpty()
    argv = [PATH, "--root", str(runtime.state_root), "state", "nobody"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower, check=False)
    os.close(follower)
    line = os.read(leader, 4096).decode()
    os.close(leader)
    assert line.startswith("\x1b[31mERRO\x1b[0m[0000] container does not exist ")
