"""run: foreground and detached, stdio, exit statuses, signals, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, PATH, Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle


@pytest.mark.parametrize("status", [0, 1, 2, 7, 126, 127, 255])
def test_exit_status(runtime: Runtime, bundle: Bundle, status: int) -> None:
    bundle.shell(f"exit {status}")
    result = runtime.run(bundle)
    assert (result.status, result.out, result.err) == (status, "", "")


def test_killed_by_a_signal(runtime: Runtime, bundle: Bundle) -> None:
    """Only KILL ends the first process of a pid namespace that does not handle signals (pid_namespaces(7))."""
    bundle.shell("touch /ready; exec sleep 100")
    bundle.save()
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root), "run", "--bundle", str(bundle.path), container_id]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        wait_until((bundle.rootfs / "ready").exists)
        os.kill(runtime.state(container_id)["pid"], signal.SIGKILL)
        assert process.wait(20) == 128 + signal.SIGKILL


def test_stdio(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("cat; echo error >&2")
    result = runtime.run(bundle, input=b"in\x00put\xff\n").ok()
    assert (result.out, result.err) == ("in\x00put\ufffd\n", "error\n")


def test_much_output(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("head", "-c", "3000000", "/dev/zero")
    assert len(runtime.run(bundle).ok().out) == 3_000_000


def test_deleted_afterwards(runtime: Runtime, bundle: Bundle) -> None:
    runtime.run(bundle).ok()
    container_id = runtime.ids[-1]
    runtime("state", container_id).failed("container does not exist")
    assert not cgroups_of(container_id)


def test_keep(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("exit 3")
    assert runtime.run(bundle, "--keep").status == 3
    assert runtime.state(runtime.ids[-1])["status"] == "stopped"
    runtime("delete", runtime.ids[-1]).ok()


def test_detach(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    runtime.run(bundle, "--detach").ok()
    assert runtime.state(runtime.ids[-1])["status"] == "running"


def test_detached_process_is_handed_to_the_subreaper(runtime: Runtime, bundle: Bundle) -> None:
    """The shim that called create is the container's parent once create has ended."""
    bundle.args("sleep", "100")
    bundle.save()
    container_id = runtime.new_id()
    script = """if 1:
        import ctypes, subprocess, sys
        assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
        subprocess.run(sys.argv[1:], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        sys.stdin.read()
        """
    argv = [PATH, "--root", str(runtime.state_root), "run", "-d", "-b", str(bundle.path), container_id]
    with subprocess.Popen([sys.executable, "-c", script, *argv], stdin=subprocess.PIPE) as shim:
        wait_until((runtime.state_root / container_id / "state.json").exists)
        pid = runtime.wait_for(container_id, "running")["pid"]
        wait_until(lambda: f"\nPPid:\t{shim.pid}\n" in Path(f"/proc/{pid}/status").read_text())


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1", "HUP"])
def test_signals_are_passed_on(runtime: Runtime, bundle: Bundle, name: str) -> None:
    bundle.shell(f"trap 'echo got; exit 5' {name}; touch /ready; while :; do sleep 0.05; done")
    bundle.save()
    argv = [PATH, "--root", str(runtime.state_root), "run", "--bundle", str(bundle.path), runtime.new_id()]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        wait_until((bundle.rootfs / "ready").exists)
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.communicate(timeout=20)[0] == "got\n"
        assert process.returncode == 5


def test_orphans_do_not_outlive_a_pid_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 100 >/dev/null 2>&1 & exit 0")
    start = time.monotonic()
    runtime.run(bundle).ok()
    assert time.monotonic() - start < 20
    assert not pids_of(runtime.ids[-1])


def test_in_use(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    words = f"{NAME} run failed: container with given ID already exists"
    runtime("run", "--bundle", bundle.path, container_id).failed(words)
    assert runtime.state(container_id)["status"] == "created"


def test_failure_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("/nope")
    runtime.run(bundle).failed(f"{NAME} run failed: unable to start container process: ")
    assert not (runtime.state_root / runtime.ids[-1]).exists()


def test_binary_that_cannot_be_executed(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "bin/bad").write_bytes(b"\x7fELF" + b"\0" * 60)
    (bundle.rootfs / "bin/bad").chmod(0o755)
    bundle.args("/bin/bad")
    result = runtime.run(bundle)
    assert result.status != 0
    assert "exec format error" in result.err
    assert "Traceback" not in result.err


def test_script_whose_interpreter_is_missing(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "run.sh").write_text("#!/nope/sh\n")
    (bundle.rootfs / "run.sh").chmod(0o755)
    bundle.args("/run.sh")
    result = runtime.run(bundle)
    assert result.status != 0
    assert "exec /run.sh: no such file or directory" in result.err


def test_script(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "run.sh").write_text("#!/bin/sh\necho script $1\n")
    (bundle.rootfs / "run.sh").chmod(0o755)
    bundle.args("/run.sh", "x")
    assert runtime.run(bundle).ok().out == "script x\n"


def test_relative_args_and_path(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/bin"
    bundle.args("./echo", "here")
    assert runtime.run(bundle).ok().out == "here\n"
    (bundle.rootfs / "work/mine").symlink_to("/bin/busybox")
    bundle.process["env"] = ["PATH=/nope:/work:/bin"]
    (bundle.rootfs / "work/echo").symlink_to("/bin/busybox")
    bundle.args("echo", "found")
    assert runtime.run(bundle).ok().out == "found\n"
