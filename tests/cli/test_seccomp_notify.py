"""SCMP_ACT_NOTIFY: an agent gets the container's state and the listener, and decides (config-linux.md#seccomp)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from cli.agent import Agent
from cli.runtime import wait_until
from pyrunc.program.numbers import NUMBERS

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime

NUMBER = NUMBERS["x86_64"]
MKDIR, GETPPID = NUMBER["mkdir"], NUMBER["getppid"]


def notify(bundle: Bundle, path: Path | str, *names: str, **more: Any) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": str(path),
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_decides(runtime: Runtime, bundle: Bundle, tmp_path: Path, no_new_privileges: bool) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    notify(bundle, tmp_path / "agent", "mkdir", "mkdirat")
    with Agent(tmp_path / "agent", {MKDIR: errno.ENOMEDIUM}) as agent:
        assert "No medium found" in runtime.script(bundle, "mkdir /x 2>&1; true")
        assert agent.asked.count(MKDIR) == 1
    assert not (bundle.rootfs / "x").exists()


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_lets_it_pass(runtime: Runtime, bundle: Bundle, tmp_path: Path, no_new_privileges: bool) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    notify(bundle, tmp_path / "agent", "mkdir", "mkdirat")
    with Agent(tmp_path / "agent", {}) as agent:
        assert runtime.script(bundle, "mkdir /tmp/x && echo made") == "made\n"
        assert agent.asked == [MKDIR]


def test_what_the_agent_gets(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """ContainerProcessState: one a connection, with one descriptor; the connection is closed after it."""
    notify(bundle, tmp_path / "agent", "mkdir", listenerMetadata="of mine: \u00e9\n")
    bundle.config["annotations"] = {"org.example.key": "value"}
    bundle.args("sleep", "60")
    with Agent(tmp_path / "agent", {}) as agent:
        container_id = runtime.create(bundle)
        pid = runtime.state(container_id)["pid"]
        (document,) = agent.received(1)
        assert agent.descriptors == [1]
        wait_until(lambda: agent.closed == 1)
        assert document["fds"] == ["seccompFd"]
        assert document["pid"] == document["state"]["pid"] == pid
        assert document["metadata"] == "of mine: \u00e9\n"
        assert document["ociVersion"].startswith("1.")
        state = document["state"]
        assert (state["id"], state["status"]) == (container_id, "creating")
        assert state["bundle"] == str(bundle.path)
        assert state["annotations"]["org.example.key"] == "value"
        runtime("delete", "--force", container_id).ok()


def test_no_metadata(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    notify(bundle, tmp_path / "agent", "mkdir")
    with Agent(tmp_path / "agent", {}) as agent:
        runtime.run(bundle).ok()
        assert "metadata" not in agent.received(1)[0]


def test_a_long_state(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """More than a socket's buffer holds."""
    notify(bundle, tmp_path / "agent", "mkdir", listenerMetadata="x" * 1_000_000)
    with Agent(tmp_path / "agent", {}) as agent:
        runtime.run(bundle).ok()
        assert agent.received(1)[0]["metadata"] == "x" * 1_000_000
        assert agent.descriptors == [1]


def test_exec(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """A process of its own has a listener of its own."""
    notify(bundle, tmp_path / "agent", "mkdir", listenerMetadata="m")
    bundle.args("sleep", "60")
    with Agent(tmp_path / "agent", {MKDIR: errno.EXDEV}) as agent:
        container_id = runtime.run_detached(bundle)
        result = runtime("exec", container_id, "sh", "-c", "mkdir /x")
        assert "Invalid cross-device link" in result.err
        first, second = agent.received(2)
        assert second["state"]["id"] == container_id
        assert second["state"]["status"] == "running"
        assert second["state"]["pid"] == first["pid"] != second["pid"]
        assert second["metadata"] == "m"
        runtime("delete", "--force", container_id).ok()


def test_in_a_user_namespace(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.namespace("user")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mapping
    for directory in (bundle.path, *bundle.path.parents):
        directory.chmod(directory.stat().st_mode | 0o111)
    notify(bundle, tmp_path / "agent", "mkdir")
    with Agent(tmp_path / "agent", {MKDIR: errno.EXDEV}) as agent:
        assert "cross-device" in runtime.script(bundle, "mkdir /tmp/x 2>&1; true")
        agent.received(1)


def test_no_agent(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    notify(bundle, tmp_path / "nobody", "mkdir")
    runtime.run(bundle).failed("failed to connect with seccomp agent")
    assert not (runtime.state_root / runtime.ids[-1]).exists()


def test_no_listener_path(runtime: Runtime, bundle: Bundle) -> None:
    notify(bundle, "", "mkdir")
    assert "listenerPath" in runtime.run(bundle).failed().err


def test_write_would_lock_the_runtime(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    notify(bundle, tmp_path / "agent", "mkdir", "write")
    with Agent(tmp_path / "agent", {}) as agent:
        runtime.run(bundle).failed("SCMP_ACT_NOTIFY cannot be used for the write syscall")
        assert agent.states == []


def test_as_default_action(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    notify(bundle, tmp_path / "agent", "mkdir", defaultAction="SCMP_ACT_NOTIFY")
    with Agent(tmp_path / "agent", {}):
        runtime.run(bundle).failed("SCMP_ACT_NOTIFY cannot be used as default action")


@pytest.mark.pyrunc_only("runc 1.1 hangs in calls of its own")
def test_everything_but_write_may_be_asked_about(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """What bypass4netns does, and more: the agent has its end before anything else is called."""
    names = [name for name in NUMBER if name != "write"]
    notify(bundle, tmp_path / "agent", *names)
    with Agent(tmp_path / "agent", {}) as agent:
        assert runtime.script(bundle, "echo fine") == "fine\n"
        assert NUMBER["execve"] in agent.asked
        assert agent.asked[0] == NUMBER["read"]


@pytest.mark.pyrunc_only("runc 1.1 does not support flags")
@pytest.mark.parametrize(
    "flags",
    [
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        [],
    ],
)
def test_flags(runtime: Runtime, bundle: Bundle, tmp_path: Path, flags: list[str]) -> None:
    notify(bundle, tmp_path / "agent", "mkdir", flags=flags)
    with Agent(tmp_path / "agent", {MKDIR: errno.EXDEV}):
        assert "cross-device" in runtime.script(bundle, "mkdir /tmp/x 2>&1; true")
