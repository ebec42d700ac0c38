"""What a command costs, counted: nothing here looks at a clock."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rules.source import TOP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).resolve().parent
CGROUPS = "/sys/fs/cgroup"
SETTINGS = {"PATH": os.defpath, "LANG": "C.UTF-8"}

LINE = re.compile(r"^(?:(?P<pid>\d+) +)?(?P<call>\w+)\((?P<arguments>.*)$")
OPENING = re.compile(r'^(?:(?:AT_FDCWD|\d+)<(?P<directory>[^>]*)>(?:\(deleted\))?, )?"(?P<path>[^"]*)"')
OPENS = ("open", "openat", "openat2", "creat")
# The stage is pyrunc's as far as the container's own program.
EXECUTED = re.compile(r"^\d+ +execve\(")


class Names:
    """Puts names in the place of what is another one every time."""

    def __init__(self, known: dict[str, str]) -> None:
        """Path or word -> name; the longest first."""
        own = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
        self.known = dict(sorted(known.items(), key=lambda pair: -len(pair[0])))
        self.own_cgroups = sorted((path for path in own if path != "/"), key=len, reverse=True)

    def name(self, path: str) -> str:
        if path.startswith(CGROUPS):
            for own in self.own_cgroups:
                path = path.replace(own, "", 1)
        for word, name in self.known.items():
            path = path.replace(word, name)
        path = re.sub(r"^/proc/self/fd/\d+", "/proc/self/fd/N", path)
        path = re.sub(r"^/proc/\d+", "/proc/PID", path)
        return re.sub(r"\.json\.\d+$", ".json.PID", path)


class Trace:
    """The log of strace."""

    def __init__(self, text: str) -> None:
        self.lines = [line for line in text.splitlines() if LINE.match(line)]

    def counted(self) -> tuple[int, int]:
        """System calls, and of them those that are about cgroups: how many depends on the machine's hierarchies."""
        about = sum(CGROUPS in line for line in self.lines)
        # Into how many runs the pages of the image fall is another number in every build.
        image = sum("pread64(" in line and "/pyrunc>" in line for line in self.lines)
        return len(self.lines) - about - image, about

    def opened(self, names: Names) -> dict[str, int]:
        """Name of a path -> how often opening it was tried."""
        found: Counter[str] = Counter()
        for line in self.lines:
            match = LINE.match(line)
            if match and match["call"] in OPENS:
                found[names.name(opened_path(match["arguments"]))] += 1
        return dict(sorted(found.items()))

    def of_children(self, parent: int) -> Trace:
        """What the stage did, from its birth until it executed the container's program."""
        lines: list[str] = []
        ended: set[str] = set()
        for line in self.lines:
            pid = line.split(maxsplit=1)[0]
            if int(pid) == parent or pid in ended:
                continue
            lines.append(line)
            if EXECUTED.match(line):
                ended.add(pid)
        return Trace("\n".join(lines))


def opened_path(arguments: str) -> str:
    match = OPENING.match(arguments)
    assert match, arguments
    return os.path.normpath(os.path.join(match["directory"] or "/", match["path"]))


class Machine:
    """One launcher, started in all the ways there are to count something."""

    def __init__(self, launcher: Path, directory: Path) -> None:
        self.launcher = launcher
        self.directory = directory

    def run(self, command: Sequence[str | Path], failure: str = "") -> None:
        """Output goes to a file: a created container would keep a pipe open.  `failure`: it must fail, and say so."""
        with (self.directory / "output").open("w+") as output:
            result = subprocess.run(
                [str(part) for part in command], cwd=self.directory, env=SETTINGS, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, check=False, timeout=60,
            )  # fmt: skip
            output.seek(0)
            text = output.read()
            assert (result.returncode == 0) == (not failure), (command, text)
            assert failure in text, (command, text)

    def trace(self, words: Iterable[str]) -> Trace:
        """Of the launcher alone: its children live on, and strace would wait for them."""
        log = self.directory / "trace"
        self.run(["strace", "-y", "-s", "4096", "-o", log, self.launcher, *words])
        return Trace(log.read_text(errors="replace"))

    def trace_of_children(self, words: Iterable[str]) -> Trace:
        log = self.directory / "trace"
        self.run(["strace", "-f", "-y", "-s", "4096", "-o", log, self.launcher, *words])
        text = log.read_text(errors="replace")
        return Trace(text).of_children(int(text.split(maxsplit=1)[0]))

    def faults(self, words: Iterable[str]) -> int:
        """Pages that the process had to ask for (ru_minflt), from before its execve(2) on: getrusage(2)."""
        argv = [str(self.launcher), *words]
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
        pid = os.posix_spawn(argv[0], argv, SETTINGS, file_actions=actions)
        os.close(null)
        _, status, usage = os.wait4(pid, 0)
        assert status == 0, argv
        return usage.ru_minflt

    def instructions(self, words: Iterable[str], failure: str = "") -> int:
        """Of the process in user space, by callgrind.

        valgrind 3.19 answers clone3, openat2, open_tree, close_range and pidfd_send_signal with ENOSYS: `state` can be
        counted as a whole, `create` up to the birth of the stage, where it fails; start, kill, delete and exec open a
        pidfd before they do anything.  Bytecodes are exact for all of them.
        """
        log = self.directory / "callgrind"
        self.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={log}", "-q", self.launcher, *words], failure)
        (total,) = re.findall(r"^(?:summary|totals): (\d+)$", log.read_text(), re.MULTILINE)[:1]
        return int(total)

    def bytecodes(self, words: Iterable[str]) -> int:
        """What pyrunc's own functions execute, from `main` on: exact for every command (bytecodes.py)."""
        out = self.directory / "bytecodes"
        roots = [TOP / "build/lib", TOP / "runtime", TOP / "spec"]
        self.run(["/usr/bin/python3", "-ISBXutf8", HERE / "bytecodes.py", out, *roots, "--", *words])
        return int(out.read_text())
