"""kill: every spelling of a signal, and the sentences engines take for "it is gone"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.runtime import Runtime, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle

TRAP = "trap 'echo {0} > /got; exit' {0}; touch /ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    ("words", "got"),
    [
        ([], "TERM"), (["TERM"], "TERM"), (["SIGTERM"], "TERM"), (["15"], "TERM"), (["term"], "TERM"),
        (["sigint"], "INT"), (["USR1"], "USR1"), (["10"], "USR1"), (["SIGHUP"], "HUP"), (["2"], "INT"),
    ],
)  # fmt: skip
def test_signal(runtime: Runtime, bundle: Bundle, words: list[str], got: str) -> None:
    bundle.shell(TRAP.format(got))
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "ready").exists)
    runtime("kill", container_id, *words).ok()
    runtime.wait_for(container_id, "stopped")
    assert (bundle.rootfs / "got").read_text() == f"{got}\n"


def test_real_time_signal(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime("kill", container_id, "64").ok()


def test_kill(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    assert runtime("kill", container_id, "KILL").ok().err == ""
    runtime.wait_for(container_id, "stopped")


def test_created_container(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    runtime("kill", container_id, "9").ok()
    runtime.wait_for(container_id, "stopped")


def test_signal_0(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime("kill", container_id, "0").ok()
    assert runtime.state(container_id)["status"] == "running"


def test_stopped_container(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    runtime("kill", container_id, "KILL").failed("container not running")
    runtime("kill", container_id, "0").failed("container not running")
    runtime("kill", "--all", container_id, "KILL").ok()


@pytest.mark.parametrize(("signal", "words"), [("BOGUS", 'unknown signal "BOGUS"'), ("1.5", 'unknown signal "1.5"')])
def test_unknown_signal(runtime: Runtime, bundle: Bundle, signal: str, words: str) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime("kill", container_id, signal).failed(words)
    assert runtime.state(container_id)["status"] == "running"


@pytest.mark.parametrize("signal", ["99", "-1"])
def test_signal_out_of_range(runtime: Runtime, bundle: Bundle, signal: str) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    runtime("kill", container_id, signal).failed()
    assert runtime.state(container_id)["status"] == "running"


def test_absent(runtime: Runtime) -> None:
    runtime("kill", "nobody", "KILL").failed("container does not exist")
    runtime("kill", "--all", "nobody", "KILL").failed("container does not exist")
    runtime("kill", "nobody", "BOGUS").failed("container does not exist")


def test_all_processes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 100 & sleep 100 & touch /ready; wait")
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "ready").exists)
    runtime("kill", "-a", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")
    wait_until(lambda: not pids_of(container_id))


@pytest.mark.parametrize(
    "words",
    [
        ("--all", "ID", "9"), ("-a", "ID", "9"), ("ID", "9", "--all"), ("ID", "KILL", "-a"),
        ("-all", "ID", "9"), ("--all=true", "ID", "9"), ("-a=1", "ID", "SIGKILL"),
    ],
)  # fmt: skip
def test_spellings_of_all(runtime: Runtime, bundle: Bundle, words: tuple[str, ...]) -> None:
    """go-runc: kill --all ID 9; CRI-O: kill -a ID 9.  Of a stopped container it is no error."""
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    spelled = [container_id if word == "ID" else word for word in words]
    runtime("kill", *spelled).ok()
    runtime.wait_for(container_id, "stopped")
    runtime("kill", *spelled).ok()


def test_not_all(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    runtime("kill", "--all=false", container_id, "9").failed("container not running")


def test_shared_pid_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """KILL of a container without its own pid namespace must not leave its children behind."""
    bundle.without_namespace("pid")
    bundle.mounts[0] = {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.shell("sleep 100 & touch /ready; wait")
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "ready").exists)
    runtime("kill", "--all", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")
    wait_until(lambda: not pids_of(container_id))
