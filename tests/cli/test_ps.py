"""ps: ps(1)'s table of the container's processes, and their ids as JSON."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import Runtime, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle

HEADING = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


@pytest.fixture
def three(runtime: Runtime, bundle: Bundle) -> str:
    """A container with three processes."""
    bundle.shell("sleep 101 & sleep 102 & wait")
    container_id = runtime.run_detached(bundle)
    wait_until(lambda: len(pids_of(container_id)) == 3)
    return container_id


def test_table(runtime: Runtime, three: str) -> None:
    result = runtime("ps", three).ok()
    assert result.err == ""
    heading, *lines = result.lines
    assert heading.split() == HEADING
    assert sorted(int(line.split()[1]) for line in lines) == sorted(pids_of(three))
    assert sorted(line.split(None, 7)[7] for line in lines)[1:] == ["sleep 101", "sleep 102"]
    assert runtime("ps", "--format", "table", three).ok().lines[0] == heading
    assert runtime("ps", "-f=table", three).ok().lines[0] == heading


@pytest.mark.parametrize("words", [("--format", "json"), ("-f", "json"), ("--format=json",), ("-format=json",)])
def test_json(runtime: Runtime, three: str, words: tuple[str, ...]) -> None:
    result = runtime("ps", *words, three).ok()
    assert result.err == ""
    assert sorted(json.loads(result.out)) == sorted(pids_of(three))
    assert " " not in result.out
    assert result.out.endswith("]\n")


@pytest.mark.parametrize(
    ("options", "heading"),
    [
        (("-o", "pid,comm"), ["PID", "COMMAND"]),
        (("-e", "-x"), ["PID", "TTY", "STAT", "TIME", "COMMAND"]),
        (("-eo", "comm,pid"), ["COMMAND", "PID"]),
        (("-ef",), HEADING),
        (("aux",), ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"]),
    ],
)
def test_options_of_ps(runtime: Runtime, three: str, options: tuple[str, ...], heading: list[str]) -> None:
    options = ("-eo", "pid,comm") if options == ("-o", "pid,comm") else options
    result = runtime("ps", three, *options).ok()
    assert result.lines[0].split() == heading
    column = heading.index("PID")
    assert sorted(int(line.split()[column]) for line in result.lines[1:]) == sorted(pids_of(three))


def test_what_ps_does_not_like(runtime: Runtime, three: str) -> None:
    runtime("ps", three, "--bogus").failed("exit status 1: error: unknown gnu long option")
    runtime("ps", three, "-eo", "comm").failed("couldn't find PID field in ps output")
    runtime("ps", "--format", "xml", three).failed("invalid format option")
    runtime("ps", "--bogus", three).failed("flag provided but not defined: -bogus")


def test_created(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    pid = runtime.state(container_id)["pid"]
    assert runtime("ps", "--format", "json", container_id).ok().out == f"[{pid}]\n"


def test_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    wait_until(lambda: not pids_of(container_id))
    assert runtime("ps", container_id).ok().out.split() == HEADING
    assert runtime("ps", "--format", "json", container_id).ok().out == "null\n"


def test_absent(runtime: Runtime) -> None:
    runtime("ps", "nobody").failed("container does not exist")
    runtime("ps").failed('"ps" requires a minimum of 1 argument(s)')


@pytest.mark.pyrunc_only  # runc looks for ps in PATH
def test_without_any_environment(runtime: Runtime, three: str) -> None:
    """podman calls without PATH; the shim leads the dynamic linker to the current directory."""
    for environment in ({}, {"LD_LIBRARY_PATH": "/opt/containerd/lib:", "LD_PRELOAD": "/nothing.so"}):
        result = runtime("ps", three, env=environment).ok()
        assert len(result.lines) == 4


def test_one_pipe_for_both(runtime: Runtime, three: str) -> None:
    """go-runc reads stdout and stderr together and takes it for JSON."""
    command = [*runtime.beginning, "ps", "--format", "json", three]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=True)
    assert len(json.loads(done.stdout)) == 3
