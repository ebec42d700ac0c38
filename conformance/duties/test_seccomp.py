"""config-linux.md#seccomp: filters, their refusals, and what an agent is sent."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.agent import Agent, Connection

if TYPE_CHECKING:
    from duties.container import Box

ARCHITECTURE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[os.uname().machine]
RULE: dict[str, Any] = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}


def profile(box: Box, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> None:
    box.linux["seccomp"] = {"defaultAction": default, "architectures": [ARCHITECTURE], "syscalls": list(rules), **more}


# -- filters -----------------------------------------------------------------------------------------------------------


def test_default_action_is_required(box: Box) -> None:
    profile(box, RULE)
    del box.linux["seccomp"]["defaultAction"]
    box.refused()


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("number", [None, 13, 38])
def test_the_filter_is_in_force(box: Box, number: int | None, no_new_privileges: bool) -> None:
    """With the errno of the rule, EPERM without one, for a user without privileges."""
    box.process["noNewPrivileges"] = no_new_privileges
    box.process["user"] = {"uid": 1000, "gid": 1000}
    profile(box, RULE if number is None else RULE | {"errnoRet": number})
    words = {None: "Operation not permitted", 13: "Permission denied", 38: "Function not implemented"}[number]
    assert words in box.output("mkdir /tmp/x 2>&1; echo; grep ^Seccomp: /proc/self/status")


def test_the_filter_looks_at_arguments(box: Box) -> None:
    profile(
        box, {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}
    )
    script = "sleep 9 & kill -0 $! && echo zero; kill -USR1 $! 2>/dev/null || echo refused; kill $!"
    assert box.output(script) == "zero\nrefused\n"


def test_the_default_action_is_in_force(box: Box) -> None:
    names = (
        "access arch_prctl brk chdir close dup dup2 dup3 execve exit exit_group faccessat faccessat2 fcntl fstat "
        "fstatfs futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid getrandom gettid getuid ioctl "
        "lseek mmap mprotect mremap munmap newfstatat open openat openat2 poll prctl pread64 prlimit64 read readlink "
        "rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list set_tid_address setgid setgroups setuid "
        "sigaltstack stat statx tgkill uname wait4 write writev nanosleep clock_nanosleep clone clone3 vfork fork "
        "pipe pipe2 sched_yield madvise epoll_ctl epoll_pwait epoll_create1 eventfd2 seccomp capget capset umask "
        "fchdir fchmod fchown sendmsg recvmsg getsockopt"
    ).split()
    profile(box, {"names": names, "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO", defaultErrnoRet=13)
    assert "Permission denied" in box.output("echo fine; mkdir /x 2>&1")


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_LOG"])
def test_default_errno_with_an_action_that_has_none(box: Box, action: str) -> None:
    profile(box, default=action, defaultErrnoRet=1)
    box.refused()


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_LOG"])
def test_errno_with_an_action_that_has_none(box: Box, action: str) -> None:
    profile(box, RULE | {"action": action, "errnoRet": 1}, default="SCMP_ACT_ERRNO")
    box.refused()


def test_names_are_not_empty(box: Box) -> None:
    profile(box, RULE | {"names": []})
    box.refused()


@pytest.mark.parametrize("gone", ["names", "action"])
def test_rules_are_complete(box: Box, gone: str) -> None:
    profile(box, {key: value for key, value in RULE.items() if key != gone})
    box.refused()


@pytest.mark.parametrize("gone", ["index", "value", "op"])
def test_arguments_are_complete(box: Box, gone: str) -> None:
    argument: dict[str, Any] = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    del argument[gone]
    profile(box, RULE | {"args": [argument]})
    box.refused()


# -- the listener ------------------------------------------------------------------------------------------------------


def notify(box: Box, **more: Any) -> Path:
    path = box.directory / "agent"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}
    profile(box, rule, listenerPath=str(path), **more)
    return path


def sent(box: Box, **more: Any) -> Connection:
    """What one container sends."""
    with Agent(notify(box, **more)) as agent:
        box.running()
        (connection,) = agent.wait(1)
    return connection


def test_the_listener_is_a_stream(box: Box) -> None:
    """An agent with another kind of socket cannot be spoken to."""
    assert sent(box).data
    box.delete("--force").ok()
    path = box.directory / "other"
    box.linux["seccomp"]["listenerPath"] = str(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(1)
        box.refused_by_start_at_the_latest()


def test_one_state_a_connection(box: Box) -> None:
    document = json.loads(sent(box).data)
    assert document["state"]["id"] == box.id


def test_a_connection_is_not_used_again(box: Box) -> None:
    """A process that `exec` starts is announced on another one."""
    with Agent(notify(box)) as agent:
        box.running()
        agent.wait(1)
        box("exec", box.id, "true").ok()
        found = agent.wait(2)
        assert [json.loads(one.data)["state"]["id"] for one in found] == [box.id] * 2


def test_the_connection_is_closed_after_the_state(box: Box) -> None:
    """While the container lives."""
    with Agent(notify(box)) as agent:
        pid = box.running()
        assert agent.wait(1)[0].closed
        assert Path(f"/proc/{pid}").exists()


def test_a_state_that_cannot_be_sent_is_an_error(box: Box) -> None:
    notify(box)
    box.refused_by_start_at_the_latest()


def test_metadata_needs_a_listener(box: Box) -> None:
    profile(box, RULE, listenerMetadata="of mine")
    box.refused()


def test_the_state_is_json_with_descriptors(box: Box) -> None:
    """The descriptor is a seccomp listener."""
    connection = sent(box, listenerMetadata="of mine: ü\n")
    document = json.loads(connection.data)
    assert document["metadata"] == "of mine: ü\n"
    assert len(document["fds"]) == len(connection.links)
    assert "seccomp notify" in connection.links[document["fds"].index("seccompFd")]


def test_descriptors_come_with_the_first_message(box: Box) -> None:
    """However many messages the state takes: here it does not fit into a socket's buffer."""
    connection = sent(box, listenerMetadata="x" * 500_000)
    assert len(json.loads(connection.data)["metadata"]) == 500_000
    assert connection.counts[0] == 1
    assert sum(connection.counts) == 1


def test_the_state_is_complete(box: Box) -> None:
    box.config["annotations"] = {"org.example.key": "value"}
    with Agent(notify(box)) as agent:
        pid = box.running()
        document = json.loads(agent.wait(1)[0].data)
    assert document["ociVersion"].startswith("1.")
    assert document["pid"] == pid
    assert document["fds"] == ["seccompFd"]
    assert document["state"]["bundle"] == str(box.path)
    assert document["state"]["annotations"]["org.example.key"] == "value"
