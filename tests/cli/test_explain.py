"""explain: the whole plan of a create, and nothing of it done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only


@pytest.fixture
def explained(runtime: Runtime, bundle: Bundle) -> dict[str, Any]:
    bundle.save()
    document: dict[str, Any] = json.loads(runtime("explain", "--bundle", bundle.path, "--json").ok().out)
    return document


def test_every_part_of_the_configuration_is_found_again(explained: dict[str, Any]) -> None:
    """Each line has its place in config.json."""
    places = {line["place"] for line in explained["program"] if "place" in line}
    expected = {
        *(f"mounts[{index}]" for index in range(5)),
        *(f"linux.maskedPaths[{index}]" for index in range(4)),
        *(f"linux.readonlyPaths[{index}]" for index in range(5)),
        *("hostname", "root", "process.args", "process.capabilities", "process.user", "process.cwd"),
    }
    assert expected - places == set()
    host = {step["place"] for step in explained["host"]}
    assert {"linux.cgroupsPath", "linux.resources.devices"} <= host


def test_operations_are_numbered_and_end_with_the_program(explained: dict[str, Any]) -> None:
    program = explained["program"]
    assert [line["index"] for line in program] == list(range(len(program)))
    assert {line["kind"] for line in program} <= {"call", "check", "set", "jump", "sync", "report"}
    assert "execve(" in program[-1]["text"]
    assert all(line["index"] < line["target"] <= len(program) for line in program if "target" in line)
    first = explained["firstStartOperation"]
    assert program[first - 1]["kind"] == "sync"


def test_flags_are_called_by_name(explained: dict[str, Any]) -> None:
    text = "\n".join(line["text"] for line in explained["program"])
    assert "RESOLVE_IN_ROOT" in text
    assert "MOVE_MOUNT_F_EMPTY_PATH" in text
    assert 'sethostname("box", 3)' in text
    assert "prctl(PR_SET_NO_NEW_PRIVS, 1" in text
    assert "PATH=…" in explained["program"][-1]["text"]
    host = "\n".join(step["doing"] for step in explained["host"])
    assert "CLONE_NEWNET|CLONE_NEWNS|CLONE_NEWPID" in host


def test_what_the_host_does_for_mounts_and_devices(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mapping
    bundle.linux["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 2}]
    bundle.mounts.append({"destination": "/a", "type": "tmpfs", "source": "a", "options": ["tmpcopyup"]})
    options = ["bind", "idmap=uids=0-5-1;gids=6-7-8"]
    bundle.mounts.append({"destination": "/b", "type": "bind", "source": "/b", "options": options})
    bundle.save()
    lines = runtime("explain", "-b", bundle.path).ok().lines
    host = [" ".join(line.split()) for line in lines[: lines.index("mounts[0] /proc")]]
    wanted = [
        "mounts[6].source clone the mount at /b",
        "mounts[6] map its ids: uid 0 5 1; gid 6 7 8",
        "linux.devices[0] make the device /dev/x, mode 600, owner 1002:1000",
        "at sync 6 (tmpcopyup: copy)",
        "mounts[5] have a second stage copy what /a holds, if anything, into the tmpfs",
    ]
    assert [line for line in host if line in wanted] == wanted


def test_as_text(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    lines = runtime("explain", "-b", bundle.path).ok().lines
    assert lines[0] == "On the host"
    assert "mounts[0] /proc" in lines
    assert any(line.endswith("mount proc") and "fsopen(" in line for line in lines)


def test_nothing_is_done(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    before = snapshot(bundle.path)
    mounts = Path("/proc/self/mountinfo").read_text()
    runtime("explain", "-b", bundle.path).ok()
    assert snapshot(bundle.path) == before
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not runtime.state_root.exists() or not any(runtime.state_root.iterdir())
    assert not list(Path("/sys/fs/cgroup").glob("*/explained"))


def snapshot(path: Path) -> list[tuple[str, int, int]]:
    found = []
    for folder, _directories, files in os.walk(path):
        for name in (".", *files):
            status = os.lstat(os.path.join(folder, name))
            found.append((f"{folder}/{name}", status.st_ino, status.st_mtime_ns))
    return found


def test_options_change_the_plan(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    usual = runtime("explain", "-b", bundle.path).ok().out
    assert "pivot_root(" in usual
    assert "KEYCTL_JOIN_SESSION_KEYRING" in usual
    other = runtime("explain", "-b", bundle.path, "--no-pivot", "--no-new-keyring").ok().out
    assert "pivot_root(" not in other
    assert "KEYCTL_JOIN_SESSION_KEYRING" not in other


def test_secrets_stay_in_the_bundle(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["process"]["env"].append("TOKEN=hunter2")
    bundle.save()
    for flags in ((), ("--json",)):
        assert "hunter2" not in runtime("explain", "-b", bundle.path, *flags).ok().out


def test_a_terminal_needs_no_socket_to_be_explained(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    bundle.save()
    assert "TIOCGPTPEER" in runtime("explain", "-b", bundle.path).ok().out


def test_what_cannot_be_created_is_said_in_one_line(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"][0]["destination"] = 7
    bundle.save()
    runtime("explain", "-b", bundle.path).failed("mounts[0].destination")


def test_what_the_parent_does_on_the_side(runtime: Runtime, bundle: Bundle) -> None:
    """Network devices before the hooks, the seccomp listener before READY."""
    bundle.linux["netDevices"] = {"eth0": {"name": "inner"}}
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    bundle.save()
    document = json.loads(runtime("explain", "--bundle", bundle.path, "--json").ok().out)
    places = [step["place"] for step in document["host"]]
    order = ['linux.netDevices["eth0"]', "hooks.createRuntime[0]", "linux.seccomp.listenerPath"]
    assert [place for place in places if place in order] == order
    text = runtime("explain", "--bundle", bundle.path).ok().out
    assert "which this program does not reach" not in text
    assert "send it with the state to /agent" in text
