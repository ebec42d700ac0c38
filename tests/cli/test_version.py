"""--version: what go-runc and moby parse."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, PATH, Runtime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("words", [("--version",), ("-v",), ("-version",), ("--version", "state"), ("-v", "nope")])
def test_version(runtime: Runtime, words: tuple[str, ...]) -> None:
    lines = runtime(*words).ok().lines
    assert lines[0].startswith(f"{NAME} version ")
    assert lines[0].split(" version ")[1][0].isdigit()
    assert lines[1].startswith("commit: ")
    assert lines[2].startswith("spec: 1.")
    assert len(lines[1]) > len("commit: ")


def test_as_moby_reads_it(runtime: Runtime) -> None:
    found = {}
    for line in runtime("--version").ok().lines:
        if "version" in line:
            found["name"], found["version"] = (
                part.strip() for part in (line.split("version")[0], line.split("version")[-1])
            )
        elif line.startswith("commit:"):
            found["commit"] = line.removeprefix("commit:").strip()
    assert found["name"] == NAME
    assert found["version"]
    assert found["commit"]


@pytest.mark.pyrunc_only("runc is started by nothing but the kernel")
def test_the_launcher_is_the_last_line(runtime: Runtime) -> None:
    """moby takes the last line that has `version` in it, wherever it stands, for the first one."""
    lines = runtime("--version").ok().lines
    assert [line.partition(" ")[0] for line in lines] == [NAME, "commit:", "spec:", "launcher:"]
    assert [line for line in lines if "version" in line] == lines[:1]


@pytest.mark.pyrunc_only("runc is always called runc")
def test_installed_in_the_place_of_runc(tmp_path: Path) -> None:
    """go-runc takes a version only after `runc version `."""
    (tmp_path / "runc").symlink_to(PATH)
    out = subprocess.run([tmp_path / "runc", "--version"], capture_output=True, text=True, check=True).stdout
    assert out.startswith("runc version ")


def test_there_is_no_command_version(runtime: Runtime) -> None:
    runtime("version").failed("No help topic for 'version'", status=3)
