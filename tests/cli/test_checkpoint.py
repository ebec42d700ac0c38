"""checkpoint and restore: what podman probes, and one clear error for who calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, Runtime

if TYPE_CHECKING:
    from cli.bundle import Bundle

FLAGS = {
    "checkpoint": (
        "auto-dedup", "empty-ns", "ext-unix-sk", "file-locks", "image-path", "lazy-pages", "leave-running",
        "manage-cgroups-mode", "page-server", "parent-path", "pre-dump", "shell-job", "status-fd", "tcp-established",
        "work-path",
    ),
    "restore": (
        "auto-dedup", "bundle", "console-socket", "detach", "empty-ns", "ext-unix-sk", "file-locks", "image-path",
        "lazy-pages", "lsm-mount-context", "lsm-profile", "manage-cgroups-mode", "no-pivot", "no-subreaper",
        "pid-file", "shell-job", "tcp-established", "work-path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", FLAGS)
def test_help(runtime: Runtime, command: str) -> None:
    """podman: `checkpoint --help` has to end with 0."""
    result = runtime(command, "--help").ok()
    assert result.lines[0] == "NAME:"
    assert result.lines[1].startswith(f"   {NAME} {command} - ")
    for flag in FLAGS[command]:
        assert f"\n   --{flag} " in result.out or f"\n   --{flag}, " in result.out, flag


def test_the_probe_of_podman(runtime: Runtime) -> None:
    result = runtime("restore", "--lsm-mount-context").failed("flag needs an argument: -lsm-mount-context")
    assert "flag needs an argument" in result.out


@pytest.mark.pyrunc_only  # runc would do it
@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "--image-path", "I", "--work-path", "W", "--file-locks", "--leave-running"),
        ("checkpoint", "--lazy-pages", "--status-fd", "3", "--page-server", "localhost:27", "--empty-ns", "network"),
        ("restore", "--image-path", "I", "--work-path", "W", "--detach", "--pid-file", "P", "-no-subreaper"),
    ],
)  # fmt: skip
def test_not_in_this_build(runtime: Runtime, bundle: Bundle, words: tuple[str, ...]) -> None:
    """The container goes on."""
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime(*words, container_id).failed(f"{words[0]}: this build of pyrunc has no CRIU support yet")
    assert runtime.state(container_id)["status"] == "running"


def test_absent(runtime: Runtime) -> None:
    runtime("checkpoint", "nobody").failed("container does not exist")
    for command in FLAGS:
        runtime(command).failed(f'"{command}" requires exactly 1 argument(s)')
