"""100 containers at once, each updated 100 times, then deleted: what is left, and what an update takes beside runc's.

CONTAINERS and UPDATES make it shorter.  A tenth as many containers are runc's, and their updates take turns with ours;
the figures go to /run/vm-out/endurance.json.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import struct
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))
from units import CGROUPS, systemctl

from cli.runtime import PATH, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

CONTAINERS = int(os.environ.get("CONTAINERS", "100"))
UPDATES = int(os.environ.get("UPDATES", "100"))
HAS_SYSTEMD = Path("/run/systemd/system").is_dir()
BEFORE = ("--systemd-cgroup",) if HAS_SYSTEMD else ()
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_GET_NEXT_ID = 11


def program_ids() -> set[int]:
    """Every BPF program of the kernel (bpf(2)); the kernel writes behind an attribute that is shorter."""
    libc = ctypes.CDLL(None, use_errno=True)
    attribute = ctypes.create_string_buffer(256)
    found: set[int] = set()
    while libc.syscall(BPF, BPF_PROG_GET_NEXT_ID, attribute, 128) == 0:
        found.add(struct.unpack_from("=II", attribute)[1])
        struct.pack_into("=II", attribute, 0, max(found), 0)
    assert ctypes.get_errno() == 2  # ENOENT: that was the last one
    return found


def what_is_there() -> dict[str, object]:
    """That a container could leave behind."""
    units = systemctl("list-units", "--all", "--plain", "--no-legend", "*.scope") if HAS_SYSTEMD else ""
    return {
        "cgroups": sorted(str(path) for path in CGROUPS.glob("**/*endurance*")),
        "programs": len(program_ids()),
        "descriptors of pid 1": len(os.listdir("/proc/1/fd")),
        "processes": sum(b"endurance" in path.read_bytes() for path in command_lines()),
        "units": [line.split()[0] for line in units.splitlines()],
    }


def command_lines() -> list[Path]:
    return [path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit() and path.is_dir()]


class Side:
    """A runtime, its containers, and how long its updates took (milliseconds)."""

    def __init__(self, runtime: Runtime, bundle: Bundle, program: str, count: int) -> None:
        self.runtime = runtime
        self.name = Path(program).name
        self.call = [program, "--root", str(runtime.state_root.parent / self.name), *BEFORE]
        self.ids = [f"endurance-{self.name}-{number}" for number in range(count)]
        self.took: list[float] = []
        for one in self.ids:
            bundle.args("sleep", f"1000{len(one)}")
            bundle.linux["cgroupsPath"] = f"system.slice:endurance:{one}" if HAS_SYSTEMD else f"/endurance/{one}"
            bundle.save()
            self("create", "--bundle", str(bundle.path), one)
            self("start", one)

    def __call__(self, *words: str) -> None:
        self.runtime.raw([*self.call, *words], timeout=60).ok()

    def update(self, number: int, value: int) -> None:
        one = self.ids[number % len(self.ids)]
        words = ("update", "--pids-limit", str(value), "--cpu-quota", str(20_000 + 1_000 * (value % 50)), one)
        began = time.monotonic()
        self(*words)
        self.took.append((time.monotonic() - began) * 1000)

    def limits(self) -> set[str]:
        return {path.read_text().strip() for one in self.ids for path in CGROUPS.glob(f"**/*{one}*/pids.max")}

    def delete(self) -> None:
        for one in self.ids:
            self("delete", "--force", one)

    def figures(self) -> dict[str, float]:
        return {"updates": len(self.took), "least": round(min(self.took), 1), "median": round(median(self.took), 1)}


def test_nothing_is_left(runtime: Runtime, bundle: Bundle) -> None:
    runc = shutil.which("runc", path="/usr/sbin:/usr/bin")
    assert runc is not None
    before = what_is_there()
    ours = Side(runtime, bundle, PATH, CONTAINERS)
    theirs = Side(runtime, bundle, runc, max(1, CONTAINERS // 10))
    programs = len(program_ids())
    assert programs >= int(str(before["programs"])) + len(ours.ids) + len(theirs.ids)
    for value in range(10, 10 + UPDATES):
        for number in range(len(ours.ids)):
            ours.update(number, value)
            if number % 10 == 0:
                theirs.update(number // 10, value)
        assert ours.limits() == {str(value)}
    assert len(program_ids()) == programs  # none more after all updates
    ours.delete()
    theirs.delete()
    for one in CGROUPS.glob("endurance"):
        one.rmdir()  # runc leaves the parent that was asked for
    wait_until(lambda: what_is_there() == before)  # the kernel frees programs a little later
    Path("/run/vm-out/endurance.json").write_text(json.dumps({"pyrunc": ours.figures(), "runc": theirs.figures()}))
