"""The first process of an island: makes it a place of its own, then waits for everybody's orphans.

usage, as the first process of new network, mount and pid namespaces: caretaker.py DIRECTORY USER RUNTIME

Whatever an engine keeps outside of its own directories goes to DIRECTORY or to memory, not to the machine: /run and
/var/lib are empty, changes of /etc and /usr/local stay below DIRECTORY.  USER has uid 60000 and ranges of subordinate
ids.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

UID = 60000
FIRST_SUBORDINATE = 100_000_000  # above what useradd(8) gives out
ONE_USER = 65536


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def own_directories(directory: Path) -> None:
    for changing in ("/etc", "/usr/local"):
        own = directory / "changed" / changing[1:].replace("/", "-")
        for name in ("upper", "work"):
            (own / name).mkdir(parents=True)
        options = f"lowerdir={changing},upperdir={own}/upper,workdir={own}/work"
        mount("-t", "overlay", "-o", options, "overlay", changing)
    for path in ("/run", "/var/lib"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    Path("/run/lock").mkdir()


def add_user(name: str, home: Path) -> None:
    """By hand: useradd(8) wants to lock files, and to know the machine."""
    home.mkdir()
    os.chown(home, UID, UID)
    lines = {
        "passwd": f"{name}:x:{UID}:{UID}::{home}:/bin/sh",
        "group": f"{name}:x:{UID}:",
        "subuid": f"{name}:{FIRST_SUBORDINATE}:{ONE_USER}",
        "subgid": f"{name}:{FIRST_SUBORDINATE}:{ONE_USER}",
    }
    for file, line in lines.items():
        path = Path("/etc") / file
        present = path.read_text().splitlines() if path.exists() else []
        kept = [other for other in present if not other.startswith(f"{name}:")]
        path.write_text("\n".join([*kept, line, ""]))


def open_the_way(path: Path) -> None:
    """USER can reach the runtime, also below a home directory that is its owner's alone."""
    closed = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
    if not closed:
        return
    project = path.parents[1]  # PROJECT/build/pyrunc
    kept = os.open(project, os.O_PATH | os.O_DIRECTORY)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(closed[0]))
    project.mkdir(parents=True)
    subprocess.run(["mount", "--rbind", f"/proc/self/fd/{kept}", project], check=True, pass_fds=(kept,))


def serve() -> None:
    """wait(2) for ever: every daemon and shim that loses its parent becomes a child of the first process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue


def main(directory: Path, user: str, runtime: Path) -> None:
    own_directories(directory)
    add_user(user, directory / "home")
    open_the_way(runtime)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print("ready", flush=True)
    serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
