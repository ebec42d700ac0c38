"""Annotations that change what happens: crun's, under their own names.  runc hands them to hooks and that is all."""

from __future__ import annotations

import array
import base64
import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from cli.agent import Agent
from pyrunc.program.numbers import NUMBERS

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only("crun's, not runc's")
MKDIR = NUMBERS["x86_64"]["mkdir"]
GROUPS = "grep Groups: /proc/self/status"


def annotate(bundle: Bundle, **values: str) -> None:
    bundle.config["annotations"] = {f"run.oci.{name}": value for name, value in values.items()}


@pytest.mark.parametrize(("value", "groups"), [("1", "4242 4343"), ("0", "")])
def test_keep_original_groups(runtime: Runtime, bundle: Bundle, value: str, groups: str) -> None:
    """`podman run --group-add keep-groups`."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    annotate(bundle, keep_original_groups=value)
    bundle.shell(GROUPS)
    result = runtime.run(bundle, extra_groups=[4242, 4343]).ok()
    assert result.out.split()[1:] == groups.split()


def test_keep_original_groups_in_exec(runtime: Runtime, bundle: Bundle) -> None:
    annotate(bundle, keep_original_groups="1")
    bundle.args("sleep", "60")
    container_id = runtime.run_detached(bundle, extra_groups=[4242])
    out = runtime("exec", container_id, "sh", "-c", GROUPS, extra_groups=[4343]).ok().out
    assert out.split()[1:] == ["4343"]


def test_keep_original_groups_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    for directory in (bundle.path, *bundle.path.parents):
        directory.chmod(directory.stat().st_mode | 0o111)
    annotate(bundle, keep_original_groups="1")
    bundle.shell(GROUPS)
    assert runtime.run(bundle, extra_groups=[100007]).ok().out.split()[1:] == ["7"]


def test_output_of_hooks(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Appended, from all of them."""
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    say = {"path": "/bin/sh", "args": ["sh", "-c", "echo out; echo err >&2"]}
    bundle.config["hooks"] = {kind: [say] for kind in kinds}
    annotate(bundle, **{"hooks.stdout": f"{tmp_path}/out", "hooks.stderr": f"{tmp_path}/err"})
    (tmp_path / "out").write_text("before\n")
    bundle.shell("sleep 0.3")
    runtime.run(bundle).ok()
    assert (tmp_path / "out").read_text() == "before\n" + "out\n" * len(kinds)
    assert (tmp_path / "err").read_text() == "err\n" * len(kinds)


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
def test_the_error_says_where_the_output_is(runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str) -> None:
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo reason; exit 3"]}]}
    annotate(bundle, **{"hooks.stdout": f"{tmp_path}/out"})
    error = runtime.run(bundle).failed(f"{kind} hook #0: exit status 3").err
    assert "reason" not in error
    assert kind == "startContainer" or f"{tmp_path}/out" in error
    assert (tmp_path / "out").read_text() == "reason\n"


def test_output_that_cannot_be_opened(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    annotate(bundle, **{"hooks.stdout": f"{tmp_path}/nope/out"})
    runtime.run(bundle).failed(f'annotations["run.oci.hooks.stdout"]: open {tmp_path}/nope/out: ENOENT')


def test_pidfd_receiver(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    annotate(bundle, pidfd_receiver=f"{tmp_path}/pidfd")
    bundle.args("sleep", "60")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/pidfd")
        listener.listen(1)
        listener.settimeout(10)
        runtime.create(bundle)
        connection, _address = listener.accept()
        with connection:
            _data, control, _flags, _peer = connection.recvmsg(4096, 4096)
        fds = array.array("i", control[0][2])
        assert len(fds) == 1
        open(fds[0]).close()


def test_seccomp_receiver(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """For a profile without listenerPath; it holds for exec too."""
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    annotate(bundle, **{"seccomp.receiver": f"{tmp_path}/agent"})
    bundle.args("sleep", "60")
    with Agent(tmp_path / "agent", {MKDIR: errno.EXDEV}) as agent:
        container_id = runtime.run_detached(bundle)
        assert "cross-device" in runtime("exec", container_id, "mkdir", "/x").err
        agent.received(2)
        runtime("delete", "--force", container_id).ok()


def test_listener_path_comes_first(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": f"{tmp_path}/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    annotate(bundle, **{"seccomp.receiver": f"{tmp_path}/nobody"})
    with Agent(tmp_path / "agent", {}) as agent:
        runtime.run(bundle).ok()
        agent.received(1)


def bpf(*instructions: tuple[int, int, int, int]) -> str:
    return base64.b64encode(b"".join(struct.pack("<HBBI", *row) for row in instructions)).decode()


# load nr; if mkdir: return ERRNO|EXDEV; return ALLOW
FORBID_MKDIR = bpf((0x20, 0, 0, 0), (0x15, 0, 1, MKDIR), (0x06, 0, 0, 0x50000 | errno.EXDEV), (0x06, 0, 0, 0x7FFF0000))


@pytest.mark.parametrize("has_profile", [True, False])
def test_a_filter_of_ones_own(runtime: Runtime, bundle: Bundle, has_profile: bool) -> None:
    if has_profile:
        rule = {"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    annotate(bundle, seccomp_bpf_data=FORBID_MKDIR)
    bundle.shell("mkdir /x 2>&1; exec sleep 60")
    assert "cross-device" in runtime.script(bundle, "mkdir /x 2>&1; true")
    bundle.args("sleep", "60")
    assert "cross-device" in runtime("exec", runtime.run_detached(bundle), "mkdir", "/x").err


@pytest.mark.parametrize(
    ("data", "words"),
    [("?", "is no base64"), ("", "not 0 bytes"), ("AAAA", "not 3 bytes"), (bpf((0xFFFF, 0, 0, 0)), "EINVAL")],
)
def test_what_is_no_filter(runtime: Runtime, bundle: Bundle, data: str, words: str) -> None:
    annotate(bundle, seccomp_bpf_data=data)
    assert words in runtime.run(bundle).failed().err


def test_unknown_system_calls_fail(runtime: Runtime, bundle: Bundle) -> None:
    rule = {"names": ["no_such_call", "mkdir"], "action": "SCMP_ACT_ERRNO"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    runtime.run(bundle).ok()
    annotate(bundle, seccomp_fail_unknown_syscall="1")
    runtime.run(bundle).failed('unknown seccomp syscall "no_such_call"')


def test_others_are_told_under_debug(runtime: Runtime, bundle: Bundle) -> None:
    annotate(bundle, handler="krun")
    bundle.save()
    assert runtime("run", "-b", bundle.path, runtime.new_id()).ok().err == ""
    result = runtime("run", "-b", bundle.path, runtime.new_id(), before=("--debug",)).ok()
    assert 'annotations[\\"run.oci.handler\\"]: has no meaning here, ignoring' in result.err


def test_unknown_system_calls_are_told_under_debug(runtime: Runtime, bundle: Bundle) -> None:
    rule = {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    bundle.save()
    assert runtime("run", "-b", bundle.path, runtime.new_id()).ok().err == ""
    result = runtime("run", "-b", bundle.path, runtime.new_id(), before=("--debug",)).ok()
    assert 'unknown seccomp syscall \\"no_such_call\\" ignored' in result.err
