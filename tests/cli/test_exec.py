"""exec: another process in a running container."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from cli.bundle import CAPABILITIES, Bundle
from cli.limits import IS_V2, TOP, freeze
from cli.runtime import PATH, Result, Runtime, pids_of, wait_until

PROCESS: dict[str, Any] = {
    "args": ["true"],
    "cwd": "/",
    "user": {"uid": 0, "gid": 0},
    "env": ["PATH=/bin"],
    "noNewPrivileges": True,
}


@pytest.fixture
def box(runtime: Runtime, bundle: Bundle) -> str:
    bundle.args("sleep", "1000")
    return runtime.run_detached(bundle)


def shell(runtime: Runtime, box: str, script: str, *flags: str, **options: Any) -> Result:
    return runtime("exec", *flags, box, "sh", "-c", script, **options)


def by_file(runtime: Runtime, box: str, tmp_path: Path, *flags: str, **changes: Any) -> Result:
    path = tmp_path / "process.json"
    path.write_text(json.dumps({**PROCESS, **changes}))
    return runtime("exec", "--process", path, *flags, box)


@pytest.mark.parametrize("status", [0, 1, 7, 126, 254, 255])
def test_exit_status(runtime: Runtime, box: str, status: int) -> None:
    result = shell(runtime, box, f"echo out; echo err >&2; exit {status}")
    assert (result.status, result.out, result.err) == (status, "out\n", "err\n")


def test_killed_by_a_signal(runtime: Runtime, box: str) -> None:
    assert shell(runtime, box, "kill -KILL $$").status == 128 + signal.SIGKILL


def test_where_it_is(runtime: Runtime, box: str) -> None:
    """All of init's namespaces, its root and its cgroups."""
    pid = runtime.state(box)["pid"]
    names = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    script = "; ".join(f"readlink /proc/self/ns/{name}" for name in names) + "; hostname; cat /proc/self/cgroup"
    lines = shell(runtime, box, script).ok().lines
    assert lines[: len(names)] == [os.readlink(f"/proc/{pid}/ns/{name}") for name in names]
    assert lines[len(names)] == "box"
    assert sorted(lines[len(names) + 1 :]) == sorted(Path(f"/proc/{pid}/cgroup").read_text().splitlines())


def test_stdin(runtime: Runtime, box: str) -> None:
    assert runtime("exec", box, "cat", input=b"in\n").ok().out == "in\n"


def test_flags(runtime: Runtime, box: str) -> None:
    flags = ("--user", "1000:1001", "-g", "5", "-g", "6", "--env", "A=b", "--env", "C=d=e", "--cwd", "/tmp")
    script = "id -u; id -g; grep ^Groups /proc/self/status; pwd; echo $A $C $TERM"
    lines = shell(runtime, box, script, *flags).ok().lines
    assert [line.split() for line in lines] == [
        ["1000"],
        ["1001"],
        ["Groups:", "5", "6"],
        ["/tmp"],
        ["b", "d=e", "xterm"],
    ]


def test_user_without_a_group(runtime: Runtime, box: str) -> None:
    assert "uid=1000" in shell(runtime, box, "id", "-u", "1000").ok().out


@pytest.mark.pyrunc_only("CVE-2026-30892 and its kind: runc 1.1 takes some of these")
@pytest.mark.parametrize(
    "user", ["1:", ":1", ":", "+1", "-1", " 1", "1 ", "1_0", "٣", "0x1", "1:2:3", "4294967295", "a"]
)
def test_user_that_is_none(runtime: Runtime, box: str, user: str) -> None:
    runtime("exec", "--user", user, box, "id").failed("must be a number", 255)


def test_capabilities(runtime: Runtime, box: str) -> None:
    """CVE-2022-29162: what is added is not inheritable."""
    script = "grep ^Cap /proc/self/status"
    before = dict(line.split(":\t") for line in shell(runtime, box, script).ok().lines)
    after = dict(line.split(":\t") for line in shell(runtime, box, script, "--cap", "CAP_SYS_ADMIN").ok().lines)
    assert int(after["CapInh"], 16) == int(after["CapAmb"], 16) == 0
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(after[name], 16) == int(before[name], 16) | 1 << 21


def test_no_new_privileges(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "1000")
    bundle.process["noNewPrivileges"] = False
    box = runtime.run_detached(bundle)
    script = "grep NoNewPrivs /proc/self/status"
    assert shell(runtime, box, script).ok().out.split() == ["NoNewPrivs:", "0"]
    assert shell(runtime, box, script, "--no-new-privs").ok().out.split() == ["NoNewPrivs:", "1"]


def test_limits_and_umask_are_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "1000")
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 111, "hard": 222}]
    bundle.process["user"]["umask"] = 0o27
    bundle.process["oomScoreAdj"] = 77
    box = runtime.run_detached(bundle)
    script = "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj"
    assert shell(runtime, box, script).ok().lines == ["111", "222", "77"]


def test_process_file(runtime: Runtime, box: str, tmp_path: Path) -> None:
    changes = {"args": ["sh", "-c", "id -u; pwd; env"], "cwd": "/tmp", "user": {"uid": 1000, "gid": 1000}}
    lines = by_file(runtime, box, tmp_path, **changes, env=["PATH=/bin", "X=1"]).ok().lines
    assert lines[:2] == ["1000", "/tmp"]
    assert {"PATH=/bin", "X=1", "HOME=/home/user"} <= set(lines)


def test_process_file_with_some_capabilities(runtime: Runtime, box: str, tmp_path: Path) -> None:
    sets = {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]}
    args = ["grep", "^Cap", "/proc/self/status"]
    found = dict(line.split(":\t") for line in by_file(runtime, box, tmp_path, args=args, capabilities=sets).ok().lines)
    assert {name: int(value, 16) for name, value in found.items()} == {
        "CapInh": 0, "CapPrm": 1, "CapEff": 1, "CapBnd": 1, "CapAmb": 0,
    }  # fmt: skip


def test_process_file_without_capabilities_has_the_containers(runtime: Runtime, box: str, tmp_path: Path) -> None:
    out = by_file(runtime, box, tmp_path, args=["grep", "CapEff", "/proc/self/status"]).ok().out
    assert int(out.split()[1], 16).bit_count() == len(CAPABILITIES)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["/nonexistent"], 'exec: "/nonexistent": stat /nonexistent: no such file or directory'),
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
        pytest.param(
            ["/etc"],
            'exec: "/etc": is a directory',
            marks=pytest.mark.pyrunc_only("runc 1.1 says permission denied, later ones this"),
        ),
    ],
)
def test_what_cannot_be_executed(runtime: Runtime, box: str, words: list[str], text: str) -> None:
    runtime("exec", box, *words).failed(text, 255)


def test_not_executable(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc/file").write_text("x")
    bundle.args("sleep", "1000")
    box = runtime.run_detached(bundle)
    runtime("exec", box, "/etc/file").failed("permission denied", 255)
    runtime("exec", "--cwd", "/nope", box, "true").failed("no such file or directory", 255)


def test_detached(runtime: Runtime, box: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    runtime("exec", "--detach", "--pid-file", pid_file, box, "sleep", "1000").ok()
    pid = int(pid_file.read_text())
    assert not pid_file.read_text().endswith("\n")
    assert pid in pids_of(box)
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"


def test_detached_and_impossible(runtime: Runtime, box: str, tmp_path: Path) -> None:
    runtime("exec", "-d", "--pid-file", tmp_path / "pid", box, "nosuch").failed("executable file not found", 255)
    wait_until(lambda: len(pids_of(box)) == 1)


def test_created_container(runtime: Runtime, bundle: Bundle) -> None:
    box = runtime.create(bundle)
    assert runtime("exec", box, "echo", "early").ok().out == "early\n"


def test_stopped_container(runtime: Runtime, bundle: Bundle) -> None:
    box = runtime.run_detached(bundle)
    runtime.wait_for(box, "stopped")
    runtime("exec", box, "true").failed("cannot exec in a stopped container", 255)


def test_absent_container(runtime: Runtime) -> None:
    runtime.state_root.mkdir()
    runtime("exec", "nobody", "true").failed("container does not exist", 255)


def test_paused_container(runtime: Runtime, box: str) -> None:
    freeze(box, frozen=True)
    try:
        wait_until(lambda: runtime.state(box)["status"] == "paused")
        runtime("exec", box, "true").failed("cannot exec in a paused container (use --ignore-paused to override)", 255)
    finally:
        freeze(box, frozen=False)
    assert runtime("exec", "--ignore-paused", box, "echo", "x").ok().out == "x\n"


@pytest.mark.pyrunc_only("runc 1.1 wants the directories above the bundle open to the mapped root")
def test_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    bundle.args("sleep", "1000")
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 100000, 100000, follow_symlinks=False)
    box = runtime.run_detached(bundle)
    lines = shell(runtime, box, "id -u; cat /proc/self/uid_map; touch /x; stat -c %u /x").ok().lines
    assert [lines[0], lines[1].split(), lines[2]] == ["0", ["0", "100000", "65536"], "0"]
    assert "uid=1000" in shell(runtime, box, "id", "-u", "1000:1000").ok().out


@pytest.mark.pyrunc_only("Debian's runc knows no time namespaces")
def test_time_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    bundle.args("sleep", "1000")
    box = runtime.run_detached(bundle)
    assert float(shell(runtime, box, "cat /proc/uptime").ok().out.split()[0]) > 1_000_000


def test_seccomp_is_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }
    bundle.args("sleep", "1000")
    for no_new_privileges in (True, False):
        bundle.process["noNewPrivileges"] = no_new_privileges
        box = runtime.run_detached(bundle)
        result = shell(runtime, box, "grep Seccomp: /proc/self/status; mkdir /tmp/a")
        assert result.out.split() == ["Seccomp:", "2"]
        assert "Function not implemented" in result.err


def test_preserved_descriptors(runtime: Runtime, box: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"kept\n")
        file.seek(0)

        def arrange() -> None:
            os.dup2(file.fileno(), 3)

        script = "cat <&3; ls /proc/self/fd | tr '\\n' ' '"
        result = shell(runtime, box, script, "--preserve-fds", "1", pass_fds=(3,), preexec_fn=arrange).ok()
    assert result.lines[0] == "kept"
    assert result.lines[1].split()[:4] == ["0", "1", "2", "3"]
    assert len(result.lines[1].split()) == 5  # and ls's own


def test_leaked_descriptors_are_gone(runtime: Runtime, box: str) -> None:
    with open("/etc/passwd") as leaked:
        result = shell(runtime, box, "ls /proc/self/fd | wc -l", pass_fds=(leaked.fileno(),)).ok()
    assert result.out == "4\n"  # 0 to 2, and ls's own


def test_terminal(runtime: Runtime, box: str, tmp_path: Path) -> None:
    """--console-socket: one message with one descriptor, no acknowledgement; the size is what the caller sets."""
    path = tmp_path / "console"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        runtime("exec", "-t", "-d", "--console-socket", path, box, "sh", "-c", "read x; tty; stty size; echo end").ok()
        connection, _address = server.accept()
        with connection:
            data, descriptors, _flags, _from = socket.recv_fds(connection, 4096, 4)
            assert data
            assert len(descriptors) == 1
            assert connection.recv(1) == b""
    master = descriptors[0]
    import fcntl
    import struct
    import termios

    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    os.write(master, b"\n")
    found = b""
    while b"end" not in found:
        found += os.read(master, 4096)
    os.close(master)
    assert b"/dev/pts/" in found
    assert b"33 99" in found


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--tty", "--detach"], "cannot allocate tty if runc will detach without setting console socket"),
        (["--console-socket", "/x"], "cannot use console socket if runc will not detach or allocate tty"),
    ],
)
def test_console_flags_that_contradict(runtime: Runtime, box: str, words: list[str], text: str) -> None:
    runtime("exec", *words, box, "true").failed(text, 255)


def test_signals_are_passed_on(runtime: Runtime, box: str) -> None:
    argv = [
        PATH,
        "--root",
        str(runtime.state_root),
        "exec",
        box,
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo on; sleep 10 & wait",
    ]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.terminate()
        assert process.wait(20) == 9


def test_many_short_ones(runtime: Runtime, box: str) -> None:
    """runc's "stuck exec" (5208): nothing hangs, nothing is lost, nothing is left."""
    for number in range(30):
        assert runtime("exec", box, "echo", str(number)).ok().out == f"{number}\n"
    assert len(pids_of(box)) == 1


@pytest.mark.pyrunc_only("the text is that of later runcs")
def test_cgroup_outside(runtime: Runtime, box: str) -> None:
    for path in ("../x", "pids:../x", "a/../../x"):
        runtime("exec", "--cgroup", path, box, "true").failed("bad sub cgroup path", 255)
    runtime("exec", "--cgroup", "bogus:x", box, "true").failed("unknown controller ", 255)


def test_cgroup_below(runtime: Runtime, box: str) -> None:
    below, flag, line = TOP / "pids" / box / "below", "pids:below", "pids"
    if IS_V2:
        below, flag, line = TOP / box / "below", "below", "^0:"
    below.mkdir()
    try:
        out = shell(runtime, box, f"grep {line} /proc/self/cgroup", "--cgroup", flag).ok().out
        assert out.strip().endswith(f"/{box}/below")
    finally:
        wait_until(lambda: (below / "cgroup.procs").read_text() == "")
        below.rmdir()


def test_missing_arguments(runtime: Runtime, box: str) -> None:
    result = runtime("exec", box)
    assert result.status != 0
    assert "process args cannot be empty" in result.err


def test_nothing_takes_long(runtime: Runtime, box: str) -> None:
    """No polling step anywhere: an exec of true is a matter of milliseconds, even on a busy machine."""
    begin = time.monotonic()
    runtime("exec", box, "true").ok()
    assert time.monotonic() - begin < 5


@pytest.mark.pyrunc_only("Debian's runc sees the v1 hierarchies all the same")
def test_init_that_moved_its_cgroup(bundle: Bundle, tmp_path: Path) -> None:
    """On version 2 a cgroup whose children have controllers takes no processes: exec goes where init has gone."""
    bundle.args("sleep", "1000")
    bundle.save()
    script = """
        mount -t cgroup2 none /sys/fs/cgroup
        "$@" run -d -b "$bundle" "$id" 2>/dev/null
        top=/sys/fs/cgroup/$id
        mkdir $top/moved
        cat $top/cgroup.procs > $top/moved/cgroup.procs
        controller=$(tr ' ' '\\n' <$top/cgroup.controllers | grep -E 'hugetlb|memory' | head -n 1)
        echo "+$controller" > $top/cgroup.subtree_control
        "$@" exec "$id" grep ^0: /proc/self/cgroup
        "$@" delete --force "$id"
        test ! -e $top && echo gone
    """
    environment = {"PATH": os.environ["PATH"], "bundle": str(bundle.path), "id": f"moved-{os.getpid()}"}
    argv = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-ec",
        script,
        "sh",
        PATH,
        "--root",
        str(tmp_path / "root"),
    ]
    found = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.splitlines() == [f"0::/moved-{os.getpid()}/moved", "gone"], found
