"""A created container before its start: how little of us it is, and what becomes of it when its maker dies."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only

LARGEST_RSS_KIB = 100
F_GET_SEALS = 1034  # <linux/fcntl.h>
ALL_SEALS = 0xF  # SEAL, SHRINK, GROW, WRITE
HOOK = "/bin/sleep"


def fields(path: str) -> dict[str, str]:
    """`Name: value` lines."""
    lines = Path(path).read_text().splitlines()
    return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in lines if ":" in line}


def test_memory(runtime: Runtime, bundle: Bundle) -> None:
    pid = runtime.state(runtime.create(bundle))["pid"]
    rss = int(fields(f"/proc/{pid}/smaps_rollup")["Rss"].split()[0])
    print(f"RSS {rss} KiB")
    assert rss < LARGEST_RSS_KIB


def test_executable_is_sealed(runtime: Runtime, bundle: Bundle) -> None:
    """CVE-2019-5736: there is nothing to overwrite."""
    pid = runtime.state(runtime.create(bundle))["pid"]
    path = f"/proc/{pid}/exe"
    assert os.readlink(path) == "/memfd:pyrunc (deleted)"
    with pytest.raises(OSError, match=r"Text file busy|Operation not permitted"):
        os.open(path, os.O_RDWR)
    with open(path, "rb") as image:
        assert fcntl.fcntl(image.fileno(), F_GET_SEALS) & ALL_SEALS == ALL_SEALS
        assert len(image.read()) < 8192


def test_nobody_may_look_into_it(runtime: Runtime, bundle: Bundle) -> None:
    """proc(5): what is in /proc/PID belongs to root as long as the process is not dumpable."""
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle.config["process"]["args"] = ["sleep", "100"]
    container_id = runtime.create(bundle)
    pid = runtime.state(container_id)["pid"]
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    runtime("start", container_id).ok()
    wait_until(lambda: os.stat(f"/proc/{pid}/environ").st_uid == 1000)


def test_no_signal_is_held_back(runtime: Runtime, bundle: Bundle) -> None:
    pid = runtime.state(runtime.create(bundle))["pid"]
    status = fields(f"/proc/{pid}/status")
    assert {int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}


def test_every_descriptor_but_the_first_three_is_closed_on_exec(runtime: Runtime, bundle: Bundle) -> None:
    pid = runtime.state(runtime.create(bundle))["pid"]
    kept = [number for number in os.listdir(f"/proc/{pid}/fdinfo") if not is_close_on_exec(pid, number)]
    assert sorted(kept) == ["0", "1", "2"]


def is_close_on_exec(pid: int, number: str) -> bool:
    return int(fields(f"/proc/{pid}/fdinfo/{number}")["flags"], 8) & os.O_CLOEXEC != 0


def test_a_killed_create_leaves_no_process(runtime: Runtime, bundle: Bundle) -> None:
    """The stage dies with its parent, in the middle of everything; what stays on disk is deleted by `delete`."""
    bundle.config["hooks"] = {"createRuntime": [{"path": HOOK, "args": ["sleep", "98765"]}]}
    bundle.save()
    container_id = runtime.new_id()
    command = [PATH, "--root", str(runtime.state_root), "create", "--bundle", str(bundle.path), container_id]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as maker:
        hook = wait_until(lambda: child_called(maker.pid, "sleep"))
        assert len(pids_of(container_id)) == 1
        maker.send_signal(signal.SIGKILL)
    os.kill(hook, signal.SIGKILL)
    wait_until(lambda: pids_of(container_id) == [])
    runtime("delete", "--force", container_id).ok()


def child_called(parent: int, name: str) -> int:
    """The pid of the parent's child of that name, or 0."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return int(pid)
    return 0
