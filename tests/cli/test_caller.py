"""What engines do to the processes they start: bare environments, leaked descriptors, blocked signals, odd stdio."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.bundle import Bundle

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "podman": {"XDG_RUNTIME_DIR": ""},
    "shim": {"LD_LIBRARY_PATH": "/opt/containerd/lib:"},
    "empty": {"PATH": "", "HOME": "", "LD_LIBRARY_PATH": ""},
    "python": {"PYTHONPATH": ".", "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": "x.py", "PYTHONINSPECT": "1"},
}
ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
NOTHING_BLOCKED = "SigBlk:\t0000000000000000\n"


def write_process(path: Path, *args: str) -> Path:
    """A process.json for `exec --process`, as shims write it."""
    document = {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_whole_life_with_an_odd_environment(runtime: Runtime, bundle: Bundle, tmp_path: Path, name: str) -> None:
    """In the bundle, as shims are, with files there that an interpreter might take for its own."""
    for module in ("pyrunc", "ocispec", "posix", "errno", "_struct", "sitecustomize", "encodings"):
        (bundle.path / f"{module}.py").write_text("raise SystemExit('taken from the current directory')\n")
    bundle.args("sleep", "1000")
    bundle.save()
    options = {"env": ENVIRONMENTS[name], "cwd": bundle.path}
    container_id = runtime.new_id()
    runtime("create", "--bundle", bundle.path, container_id, **options).ok()
    runtime("start", container_id, **options).ok()
    file = write_process(tmp_path / "process.json", "true")
    runtime("exec", "--process", file, container_id, **options).ok()
    for command in ("pause", "resume", "state"):
        runtime(command, container_id, **options).ok()
    runtime("kill", container_id, "9", **options).ok()
    runtime.wait_for(container_id, "stopped")
    runtime("kill", "--all", container_id, "9", **options).ok()
    runtime("delete", "--force", container_id, **options).ok()
    runtime("delete", "--force", container_id, **options).ok()


def leak() -> None:
    """Before exec: many descriptors that nobody meant for the runtime."""
    for number in (3, 4, 5, 6, 7, 8, 9, 20, 100, 500):
        os.dup2(os.open("/etc/passwd", os.O_RDONLY), number)
        os.set_inheritable(number, True)


LEAKING = {"preexec_fn": leak, "close_fds": False}


def leaked(pid: int) -> list[str]:
    return [link for entry in os.listdir(f"/proc/{pid}/fd") if (link := read_link(pid, entry)).endswith("/etc/passwd")]


def read_link(pid: int, entry: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{entry}")
    except (FileNotFoundError, PermissionError):  # closed meanwhile; a process that is nobody's to look at
        return ""


def test_leaked_descriptors(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.args("sleep", "1000")
    container_id = runtime.create(bundle, **LEAKING)
    pid = runtime.state(container_id)["pid"]
    assert leaked(pid) == []
    runtime("start", container_id, **LEAKING).ok()
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    assert leaked(pid) == []
    list_them = write_process(tmp_path / "process.json", "ls", "/proc/self/fd")
    result = runtime("exec", "--process", list_them, container_id, **LEAKING).ok()
    assert result.out.split() == ["0", "1", "2", "3"]  # 3: the directory that ls reads


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)


@pytest.mark.pyrunc_only("runc 1.1 hands them on")
def test_blocked_signals(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.shell("grep SigBlk /proc/self/status; exec sleep 1000")
    options = {"preexec_fn": block}
    bundle.save()
    container_id = runtime.new_id()
    with (tmp_path / "out").open("w+") as out:
        argv = [PATH, "--root", str(runtime.state_root), "create", "-b", str(bundle.path), container_id]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=20, **options)
    runtime("start", container_id, **options).ok()
    wait_until(lambda: (tmp_path / "out").read_text() == NOTHING_BLOCKED)
    file = write_process(tmp_path / "process.json", "grep", "SigBlk", "/proc/self/status")
    assert runtime("exec", "--process", file, container_id, **options).ok().out == NOTHING_BLOCKED


def holders(pipe: int) -> set[int]:
    """Processes, but for us, that have this pipe open."""
    name = os.readlink(f"/proc/self/fd/{pipe}")
    pids = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()} - {os.getpid()}
    return {pid for pid in pids if name in links_of(pid)}


def links_of(pid: int) -> set[str]:
    try:
        return {read_link(pid, entry) for entry in os.listdir(f"/proc/{pid}/fd")}
    except (FileNotFoundError, ProcessLookupError):
        return set()


def read_to_end(number: int, seconds: float = 10) -> bytes:
    """What comes until nobody can write any more."""
    os.set_blocking(number, False)
    content = b""

    def at_end() -> bool:
        nonlocal content
        try:
            chunk = os.read(number, 65536)
        except BlockingIOError:
            return False
        content += chunk
        return not chunk

    wait_until(at_end, seconds)
    os.close(number)
    return content


def call(runtime: Runtime, *words: str) -> int:
    """A command whose stdout and stderr are one pipe, as go-runc has it; the end to read from."""
    read_end, write_end = os.pipe()
    argv = [PATH, "--root", str(runtime.state_root), *words]
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end, check=True, timeout=20)
    os.close(write_end)
    return read_end


def test_nobody_keeps_the_callers_pipes(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Callers read to the end: besides the container itself nobody may hold what they gave us."""
    bundle.args("sleep", "1000")
    bundle.save()
    container_id = runtime.new_id()
    pipe = call(runtime, "create", "--bundle", str(bundle.path), container_id)
    pid = runtime.state(container_id)["pid"]
    assert holders(pipe) == {pid}
    for words in (["start"], ["state"], ["pause"], ["resume"], ["ps", "--format", "json"]):
        read_to_end(call(runtime, *words, container_id))
    file, pid_file = write_process(tmp_path / "process.json", "sleep", "1000"), tmp_path / "pid"
    words = ("exec", "--process", str(file), "--detach", "--pid-file", str(pid_file), container_id)
    exec_pipe = call(runtime, *words)
    assert holders(exec_pipe) == {int(pid_file.read_text())}
    assert holders(pipe) == {pid}
    assert read_to_end(call(runtime, "delete", "--force", container_id)) == b""
    assert (read_to_end(pipe), read_to_end(exec_pipe)) == (b"", b"")


def test_callers_who_are_gone(runtime: Runtime, bundle: Bundle) -> None:
    """go-runc asks that we die with it (PR_SET_PDEATHSIG); what we have made must not."""
    bundle.args("sleep", "1000")
    bundle.save()
    container_id = runtime.new_id()
    dying = "import subprocess, sys; subprocess.run(['setpriv', '--pdeathsig', 'KILL', *sys.argv[1:]], check=True)"
    for words in (["create", "--bundle", str(bundle.path), container_id], ["start", container_id]):
        argv = [sys.executable, "-c", dying, PATH, "--root", str(runtime.state_root), *words]
        runtime.raw(argv).ok()
    assert runtime.state(container_id)["status"] == "running"


def test_listen_fds_of_create(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Podman hands a socket to conmon, and conmon to us."""
    bundle.shell("echo $LISTEN_FDS $LISTEN_PID; cat <&3")
    bundle.save()
    container_id = runtime.new_id()
    words = [PATH, "--root", str(runtime.state_root), "create", "-b", str(bundle.path), container_id]
    argv = ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *words]
    (tmp_path / "given").write_text("through descriptor 3\n")
    given = os.open(tmp_path / "given", os.O_RDONLY)

    def hand_over() -> None:
        os.dup2(given, 3)
        os.set_inheritable(3, True)

    with (tmp_path / "out").open("w") as out:
        subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=20, preexec_fn=hand_over, close_fds=False
        )
    os.close(given)
    runtime("start", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    assert (tmp_path / "out").read_text() == "1 1\nthrough descriptor 3\n"


def files(directory: Path) -> tuple[int, int, int]:
    (directory / "in").write_bytes(b"hello")
    made = [os.open(directory / name, os.O_RDWR | os.O_CREAT) for name in ("in", "out", "err")]
    return made[0], made[1], made[2]


def pipes(_directory: Path) -> tuple[int, int, int]:
    (read_end, write_end), (out, out_end), (err, err_end) = os.pipe(), os.pipe(), os.pipe()
    os.write(write_end, b"hello")
    os.close(write_end)
    OTHER_ENDS[out_end], OTHER_ENDS[err_end] = out, err
    return read_end, out_end, err_end


def sockets(_directory: Path) -> tuple[int, int, int]:
    ends = []
    for _number in range(3):
        ours, theirs = socket.socketpair()
        ends.append(theirs.detach())
        OTHER_ENDS[ends[-1]] = ours.detach()
    os.write(OTHER_ENDS[ends[0]], b"hello")
    os.close(OTHER_ENDS.pop(ends[0]))
    return ends[0], ends[1], ends[2]


OTHER_ENDS: dict[int, int] = {}


def content(number: int) -> bytes:
    """What was written to a descriptor of `files`, `pipes` or `sockets`."""
    if number in OTHER_ENDS:
        os.close(number)
        return read_to_end(OTHER_ENDS.pop(number))
    text = os.pread(number, 65536, 0)
    os.close(number)
    return text


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("make", [files, pipes, sockets])
def test_standard_streams(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, make: Callable[[Path], tuple[int, int, int]], user: int
) -> None:
    bundle.process["user"] = {"uid": user, "gid": user}
    bundle.shell("cat; echo to stderr >&2; exit 3")
    bundle.save()
    stdin, stdout, stderr = make(tmp_path)
    argv = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]
    result = subprocess.run(argv, stdin=stdin, stdout=stdout, stderr=stderr, check=False, timeout=20)
    os.close(stdin)
    assert result.returncode == 3
    assert (content(stdout), content(stderr)) == (b"hello", b"to stderr\n")


@pytest.mark.parametrize("user", [0, 1000])
def test_null_streams_that_cannot_be_written(runtime: Runtime, bundle: Bundle, tmp_path: Path, user: int) -> None:
    """`podman create --null-io`, so to speak: all three are /dev/null, opened for reading."""
    bundle.process["user"] = {"uid": user, "gid": user}
    bundle.shell("test -e /proc/self/fd/2 && exit 3")
    bundle.save()
    argv = [PATH, "--root", str(runtime.state_root), "--log", str(tmp_path / "log")]
    with open(os.devnull, "rb") as null:
        options = {"stdin": null, "stdout": null, "stderr": null, "check": False, "timeout": 20}
        done = subprocess.run([*argv, "run", "-b", str(bundle.path), runtime.new_id()], **options)
        assert done.returncode == 3
        refused = subprocess.run([*argv, "start", "nobody"], **options)
    assert refused.returncode == 1
    assert "container does not exist" in (tmp_path / "log").read_text()


def test_closed_streams(runtime: Runtime, bundle: Bundle) -> None:
    """Whoever closes 0, 1 and 2 must not get the runtime's own files there."""
    bundle.shell("test ! -e /proc/self/fd/3 && exit 3")
    bundle.save()
    with tempfile.TemporaryFile() as out:
        script = 'exec "$@" 0<&- 1>&- 2>&-'
        argv = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]
        result = subprocess.run(["sh", "-c", script, "sh", *argv], stdout=out, check=False, timeout=20)
    assert result.returncode == 3


@pytest.mark.pyrunc_only("it is said of pyrunc's own ways to start programs of the host")
def test_leaked_descriptors_do_not_reach_hooks(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """A hook gets descriptors 0 to 2 and nothing that somebody left open, whatever its moment."""
    seen = tmp_path / "seen"
    script = f"readlink /proc/$$/fd/* >> {seen}; echo ran >> {seen}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    bundle.config["hooks"] = {kind: [hook] for kind in kinds}
    bundle.args("true")
    assert runtime.run(bundle, **LEAKING).status == 0
    lines = seen.read_text().splitlines()
    assert lines.count("ran") == len(kinds)
    assert [line for line in lines if line.endswith("/etc/passwd")] == []
