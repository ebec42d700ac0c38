"""config.md#process: what the program gets: arguments, user, limits, capabilities, priorities."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import PATH, Result, status_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duties.container import Box

SLEEP = "exec sleep 1000"


def program(box: Box, script: str = SLEEP) -> int:
    """The pid of a program that has been executed."""
    pid = box.running(script)
    wait_until(lambda: os.readlink(f"/proc/{pid}/exe") == "/bin/busybox" and b"sleep" in cmdline(pid))
    return pid


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def created_under(box: Box, script: str) -> int:
    """Created by a caller who first runs this shell line; started, the pid."""
    box.args("sleep", "1000")
    box.save()
    box.island.run(
        "sh", "-c", f'{script}; exec "$@"', "sh", PATH, "--root", box.root, "create", "--bundle", box.path, box.id
    ).ok()
    pid = int(box.state()["pid"])
    box.start().ok()
    wait_until(lambda: cmdline(pid).startswith(b"sleep"))
    return pid


# -- arguments, directory, terminal ------------------------------------------------------------------------------------


def test_console_size_without_terminal_is_ignored(box: Box) -> None:
    box.process["consoleSize"] = {"height": 10, "width": 20}
    assert box.output("tty; echo fine") == "not a tty\nfine\n"


@pytest.mark.parametrize("size", [{"height": 10}, {"width": 10}, {}])
def test_console_size_is_complete(box: Box, size: dict[str, int]) -> None:
    box.process["consoleSize"] = size
    box.refused()


@pytest.mark.parametrize("cwd", [None, ""])
def test_cwd_is_required(box: Box, cwd: str | None) -> None:
    del box.process["cwd"]
    if cwd is not None:
        box.process["cwd"] = cwd
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize("cwd", ["work", "./work", "."])
def test_cwd_is_absolute(box: Box, cwd: str) -> None:
    box.process["cwd"] = cwd
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize("args", [None, []])
def test_args_are_not_empty(box: Box, args: list[str] | None) -> None:
    del box.process["args"]
    if args is not None:
        box.process["args"] = args
    box.refused_by_start_at_the_latest()


def test_the_program_is_looked_for_in_the_containers_path(box: Box) -> None:
    """In PATH of process.env, first match wins, what cannot be executed does not; a slash makes it a path."""
    for name in ("first", "second"):
        (box.rootfs / name).mkdir()
        (box.rootfs / name / "tool").write_text(f"#!/bin/sh\necho {name}\n")
        (box.rootfs / name / "tool").chmod(0o755)
    box.process["env"] = ["PATH=/first:/second:/bin"]
    box.args("tool")
    assert box.output() == "first\n"
    (box.rootfs / "first/tool").chmod(0o644)
    assert box.output() == "second\n"
    box.process["cwd"] = "/second"
    box.args("./tool")
    assert box.output() == "second\n"


def test_a_program_that_is_nowhere_is_an_error(box: Box) -> None:
    box.args("no-such-program")
    box.refused_by_start_at_the_latest()


# -- rlimits -----------------------------------------------------------------------------------------------------------

# type -> (the name in /proc/PID/limits, soft, hard): lower than root's here, who may not raise any
LIMITS = {
    "RLIMIT_AS": ("Max address space", 1 << 40, 1 << 41),
    "RLIMIT_CORE": ("Max core file size", 1000, 2000),
    "RLIMIT_CPU": ("Max cpu time", 1000, 2000),
    "RLIMIT_DATA": ("Max data size", 1 << 40, 1 << 41),
    "RLIMIT_FSIZE": ("Max file size", 1 << 30, 1 << 31),
    "RLIMIT_LOCKS": ("Max file locks", 100, 200),
    "RLIMIT_MEMLOCK": ("Max locked memory", 4096, 8192),
    "RLIMIT_MSGQUEUE": ("Max msgqueue size", 1000, 2000),
    "RLIMIT_NICE": ("Max nice priority", 0, 0),
    "RLIMIT_NOFILE": ("Max open files", 500, 600),
    "RLIMIT_NPROC": ("Max processes", 5000, 6000),
    "RLIMIT_RSS": ("Max resident set", 1 << 30, 1 << 31),
    "RLIMIT_RTPRIO": ("Max realtime priority", 0, 0),
    "RLIMIT_RTTIME": ("Max realtime timeout", 1000, 2000),
    "RLIMIT_SIGPENDING": ("Max pending signals", 100, 200),
    "RLIMIT_STACK": ("Max stack size", 1 << 20, 1 << 21),
}


def limits_of(pid: int) -> dict[str, list[str]]:
    text = Path(f"/proc/{pid}/limits").read_text()
    return {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}


def set_limits(box: Box) -> dict[str, list[str]]:
    box.process["rlimits"] = [{"type": kind, "soft": soft, "hard": hard} for kind, (_, soft, hard) in LIMITS.items()]
    return limits_of(program(box))


def test_every_rlimit_type_works(box: Box) -> None:
    found = set_limits(box)
    assert {name for name, soft, hard in LIMITS.values() if found[name] == [str(soft), str(hard)]} == set(found)


def test_soft_limits(box: Box) -> None:
    found = set_limits(box)
    assert {name: found[name][0] for name, _, _ in LIMITS.values()} == {
        name: str(soft) for name, soft, _ in LIMITS.values()
    }


def test_hard_limits(box: Box) -> None:
    found = set_limits(box)
    assert {name: found[name][1] for name, _, _ in LIMITS.values()} == {
        name: str(hard) for name, _, hard in LIMITS.values()
    }


@pytest.mark.parametrize("gone", ["type", "soft", "hard"])
def test_rlimits_are_complete(box: Box, gone: str) -> None:
    row: dict[str, Any] = {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
    del row[gone]
    box.process["rlimits"] = [row]
    box.refused()


@pytest.mark.parametrize("kind", ["RLIMIT_FOO", "", "CORE", "rlimit_core"])
def test_unknown_rlimits_are_refused(box: Box, kind: str) -> None:
    box.process["rlimits"] = [{"type": kind, "soft": 0, "hard": 0}]
    box.refused_by_start_at_the_latest()


def test_duplicate_rlimits_are_refused(box: Box) -> None:
    box.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": value, "hard": value} for value in (0, 1)]
    box.refused()


# -- capabilities ------------------------------------------------------------------------------------------------------

BITS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18, "CAP_AUDIT_WRITE": 29}
SETS = {
    "bounding": ("CapBnd", ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"]),
    "permitted": ("CapPrm", ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_CHROOT"]),
    "effective": ("CapEff", ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]),
    "inheritable": ("CapInh", ["CAP_CHOWN", "CAP_KILL"]),
    "ambient": ("CapAmb", ["CAP_CHOWN"]),
}


def mask(names: list[str]) -> str:
    return f"{sum(1 << BITS[name] for name in names):016x}"


def test_capability_sets(box: Box) -> None:
    """Of the created process, before execve(2) changes them: the five sets as they are written, each its own."""
    box.process["capabilities"] = {name: names for name, (_, names) in SETS.items()}
    box.process["user"] = {"uid": 1000, "gid": 1000}
    found = status_of(program(box))
    assert {key: found[key] for key in ("CapBnd", "CapInh", "CapAmb")} == {
        key: mask(names) for key, names in SETS.values() if key in ("CapBnd", "CapInh", "CapAmb")
    }
    # capabilities(7): without privileges execve leaves of permitted and effective what is ambient
    assert (found["CapPrm"], found["CapEff"]) == (mask(["CAP_CHOWN"]),) * 2


def test_capabilities_of_root(box: Box) -> None:
    """execve(2) by root: permitted is inheritable or bounding."""
    names = ["CAP_CHOWN", "CAP_KILL"]
    box.process["capabilities"] = {"bounding": names, "permitted": names, "effective": names}
    found = status_of(program(box))
    assert (found["CapPrm"], found["CapEff"], found["CapBnd"]) == (mask(names),) * 3
    assert (found["CapInh"], found["CapAmb"]) == (mask([]),) * 2


def no_capabilities(box: Box) -> dict[str, str]:
    box.process.pop("capabilities")
    return status_of(program(box))


def test_without_capabilities_there_are_none(box: Box) -> None:
    """Not those of the caller."""
    found = no_capabilities(box)
    assert {found[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {mask([])}


UNKNOWN = "CAP_NOBODY_KNOWS"


def asking_for(box: Box, name: str) -> Result:
    """By a runtime that has not got CAP_SYS_TIME itself; its log and what it prints are in `err`."""
    names = ["CAP_KILL", name]
    box.process["capabilities"] = {"bounding": names, "permitted": names, "effective": names}
    box.args("sleep", "1000")
    box.save()
    log = box.directory / "log"
    log.touch()
    create = [PATH, "--root", box.root, "--log", log, "create", "--bundle", box.path, box.id]
    result = box.island.run("setpriv", "--bounding-set", "-sys_time", *create)
    result.err += log.read_text()
    return result


@pytest.mark.parametrize("name", [UNKNOWN, "CAP_SYS_TIME"])
def test_a_capability_that_cannot_be_granted_is_a_warning(box: Box, name: str) -> None:
    assert name in asking_for(box, name).ok().err


@pytest.mark.parametrize("name", [UNKNOWN, "CAP_SYS_TIME"])
def test_a_capability_that_cannot_be_granted_is_no_error(box: Box, name: str) -> None:
    """The container does without it."""
    asking_for(box, name).ok()
    pid = int(box.state()["pid"])
    box.start().ok()
    wait_until(lambda: cmdline(pid).startswith(b"sleep"))
    assert status_of(pid)["CapEff"] == mask(["CAP_KILL"])


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(box: Box, value: bool) -> None:
    box.process["noNewPrivileges"] = value
    assert status_of(program(box))["NoNewPrivs"] == str(int(value))


def test_oom_score_adj(box: Box) -> None:
    box.process["oomScoreAdj"] = 321
    assert Path(f"/proc/{program(box)}/oom_score_adj").read_text() == "321\n"


def test_oom_score_adj_is_left_alone(box: Box) -> None:
    assert "oomScoreAdj" not in box.process
    pid = created_under(box, "echo 123 > /proc/self/oom_score_adj")
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "123\n"


# -- scheduler, I/O priority, affinity ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", [{}, {"nice": 3}, {"policy": "SCHED_NOPE"}, {"policy": ""}])
def test_scheduler_policy_is_required(box: Box, scheduler: dict[str, Any]) -> None:
    box.process["scheduler"] = scheduler
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize(
    "priority",
    [
        {},
        {"priority": 4},
        {"class": "IOPRIO_CLASS_NOPE", "priority": 4},
        {"class": "IOPRIO_CLASS_BE", "priority": 8},
        {"class": "IOPRIO_CLASS_BE", "priority": -1},
    ],
)
def test_io_priority_is_complete(box: Box, priority: dict[str, Any]) -> None:
    box.process["ioPriority"] = priority
    box.refused_by_start_at_the_latest()


def test_scheduler_values_default_to_zero(box: Box) -> None:
    """Not to what the caller has: nice 7 here."""
    box.process["scheduler"] = {"policy": "SCHED_BATCH"}
    pid = created_under(box, "renice -n 7 $$ >/dev/null")
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == 0


def test_scheduler_is_applied(box: Box) -> None:
    box.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    pid = program(box)
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5


def test_affinity_of_exec_is_the_cgroups(box: Box) -> None:
    """Without execCPUAffinity.final nothing but the cgroup decides."""
    box.linux["resources"]["cpu"] = {"cpus": "0"}
    program(box)
    result = box("exec", box.id, "grep", "Cpus_allowed_list", "/proc/self/status")
    assert result.ok().out.split() == ["Cpus_allowed_list:", "0"]


# -- user --------------------------------------------------------------------------------------------------------------


def test_user(box: Box) -> None:
    box.process["user"] = {"uid": 1234, "gid": 4321}
    found = status_of(program(box))
    assert (found["Uid"].split(), found["Gid"].split()) == (["1234"] * 4, ["4321"] * 4)


def test_additional_groups(box: Box) -> None:
    """And none of the caller's."""
    box.process["user"] = {"uid": 1234, "gid": 4321, "additionalGids": [10, 70000, 11]}
    assert sorted(status_of(program(box))["Groups"].split()) == ["10", "11", "70000"]


@pytest.mark.parametrize("umask", [0o27, 0])
def test_umask(box: Box, umask: int) -> None:
    box.process["user"]["umask"] = umask
    assert int(status_of(program(box))["Umask"], 8) == umask


def test_umask_is_inherited(box: Box) -> None:
    assert int(status_of(created_under(box, "umask 0037"))["Umask"], 8) == 0o37


# -- terminal ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def console(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes the pty's descriptor."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "console"))
    listener.listen(1)
    listener.settimeout(5)
    yield listener
    listener.close()


def receive(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    return descriptors[0]


def test_console_is_the_terminal(box: Box, console: socket.socket, tmp_path: Path) -> None:
    """/dev/console is a bind mount of the pty that is the program's terminal."""
    box.process["terminal"] = True
    box.args("sleep", "1000")
    pid = box.created("--console-socket", tmp_path / "console")
    pty = receive(console)
    try:
        node = Path(f"/proc/{pid}/root/dev/console").stat()
        assert os.major(node.st_rdev) == 136  # Documentation/admin-guide/devices.txt: Unix98 PTY slaves
        assert node.st_rdev == os.stat(f"/proc/{pid}/fd/0").st_rdev
        assert box.mountinfo(pid, "/dev/console")[2] == "devpts"
    finally:
        os.close(pty)
