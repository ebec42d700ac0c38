"""What each command costs, beside the bare interpreter: the least of many runs, in ms of wall clock and of CPU.

usage: startup.py RUNTIME...        as root, with busybox-static installed
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 40
COMMANDS = ("create", "state", "start", "kill", "delete", "run")
BARE = ["/usr/bin/python3", "-ISBXutf8", "-c", "import posix; posix._exit(0)"]


def measure(command: list[str]) -> tuple[float, float]:
    """(wall clock, CPU of the command and of what it waited for) of one run, in ms."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def make_bundle(top: Path, runtime: str) -> None:
    """The runtime's own default config, with a process that sleeps."""
    (top / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", top / "rootfs/bin/busybox")
    subprocess.run([runtime, "spec", "--bundle", str(top)], check=True)
    config = json.loads((top / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/busybox", "sleep", "100"])
    (top / "config.json").write_text(json.dumps(config))
    (top / "short").mkdir()
    (top / "short/rootfs").symlink_to("../rootfs")
    config["process"]["args"] = ["/bin/busybox", "true"]
    config["root"]["path"] = str(top / "rootfs")
    (top / "short/config.json").write_text(json.dumps(config))


def cycles(runtime: str, top: Path) -> dict[str, list[tuple[float, float]]]:
    """Command -> its measurements, over RUNS containers."""
    found: dict[str, list[tuple[float, float]]] = {command: [] for command in COMMANDS}
    for number in range(RUNS):
        name = f"bench-{os.getpid()}-{number}"
        arguments = {
            "create": ["--bundle", str(top), name],
            "kill": [name, "KILL"],
            "delete": ["--force", name],
            "run": ["--bundle", str(top / "short"), name],
        }
        for command in COMMANDS:
            found[command].append(measure([runtime, command, *arguments.get(command, [name])]))
    return found


def show(name: str, measured: list[tuple[float, float]]) -> None:
    walls, processors = zip(*measured, strict=True)
    print(f"{name:20}{min(walls):8.2f}{min(processors):8.2f}")


def main() -> None:
    show("bare interpreter", [measure(BARE) for _ in range(RUNS)])
    for argument in sys.argv[1:]:
        runtime = shutil.which(argument) or argument
        print(f"{Path(runtime).name:20}{'wall':>8}{'CPU':>8}   ms, least of {RUNS}")
        with tempfile.TemporaryDirectory() as directory:
            top = Path(directory)
            make_bundle(top, str(Path(runtime).resolve()))
            for command, measured in cycles(str(Path(runtime).resolve()), top).items():
                show(command, measured)


if __name__ == "__main__":
    main()
