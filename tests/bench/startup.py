"""How long a start of the runtime takes, beside the bare interpreter: the least of many runs, in ms.

usage: startup.py RUNTIME
"""

from __future__ import annotations

import os
import resource
import sys
import time

RUNS = 60


def measure(command: list[str]) -> tuple[float, float]:
    """(wall clock, CPU) of the fastest run."""
    wall, processor = [], []
    for _ in range(RUNS):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        pid = os.posix_spawn(
            command[0], command, {}, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
        )
        os.waitpid(pid, 0)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(wall) * 1e3, min(processor) * 1e3


def main() -> None:
    runtime = os.path.realpath(sys.argv[1])
    rows = {
        "bare interpreter": ["/usr/bin/python3", "-ISBXutf8", "-c", "import posix; posix._exit(0)"],
        "--version": [runtime, "--version"],
        "state of no container": [runtime, "state", "no-such-container"],
    }
    print(f"{'':24}{'wall':>8}{'CPU':>8}   ms")
    for name, command in rows.items():
        wall, processor = measure(command)
        print(f"{name:24}{wall:8.2f}{processor:8.2f}")


if __name__ == "__main__":
    main()
