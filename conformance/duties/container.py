"""One container under test, driven by the command line that every OCI runtime has: create, start, state, kill, delete.

RUNTIME names the runtime (default: build/pyrunc).  Everything runs in a private mount namespace (Island), with a
time limit, in directories of the test's own, and is taken away by pid afterwards, whatever the runtime left behind.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).resolve().parents[2]
RUNTIME = os.environ.get("RUNTIME", str(TOP / "build/pyrunc"))
PATH = os.path.abspath(shutil.which(RUNTIME) or RUNTIME)
# What the runtime is, when PATH is a wrapper around it (conformance/mutants).
NAME = os.environ.get("RUNTIME_NAME", Path(PATH).name)
IS_PYRUNC = NAME.startswith("pyrunc")
TIMEOUT_SECONDS = 10
CGROUPS = Path("/sys/fs/cgroup")

_numbers = itertools.count()


class Result:
    """How a command ended; status None: it did not end in time."""

    def __init__(self, status: int | None, out: bytes, err: bytes) -> None:
        self.status = status
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"status {self.status}\nstdout: {self.out[-2000:]}\nstderr: {self.err[-2000:]}"

    def ok(self) -> Result:
        assert self.status == 0, self
        return self

    def refused(self) -> Result:
        """An error of the runtime's own: not a signal, not a crash, not a time-out; and it says something."""
        assert self.status is not None, f"hangs\n{self}"
        assert self.status > 0, self
        assert self.err.strip(), f"an error without a word\n{self}"
        for crash in ("Traceback (most recent call last)", "panic:", "goroutine ", "Segmentation fault"):
            assert crash not in self.err, self
        return self


class Island:
    """A private mount namespace for the runtime, held by a sleeping process."""

    def __init__(self) -> None:
        # crun 1.8 takes a hybrid hierarchy with controllers on its v2 side for a v2-only one and cannot work there
        hide = "umount /sys/fs/cgroup/unified &&" if NAME.startswith("crun") else ""
        script = f"{hide} echo && exec sleep 1000000"
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.read(1) == b"\n"

    def command(self, *words: str | Path, cwd: Path | None = None) -> list[str]:
        prefix = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wdns={cwd or '/'}", "--"]
        return [*prefix, *map(str, words)]

    def run(self, *words: str | Path, cwd: Path | None = None, **options: Any) -> Result:
        """Output goes through files: a created container would keep a pipe open as long as it lives."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("timeout", TIMEOUT_SECONDS)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            status: int | None = None
            try:
                streams = {"stdout": out, "stderr": err} | options
                status = subprocess.run(self.command(*words, cwd=cwd), check=False, **streams).returncode
            except subprocess.TimeoutExpired:
                pass  # what it left is found by its cgroup
            out.seek(0)
            err.seek(0)
            return Result(status, out.read(), err.read())

    def mounts(self, below: Path) -> list[str]:
        """Mount points at or below a path."""
        lines = Path(f"/proc/{self.holder.pid}/mountinfo").read_text().splitlines()
        points = [line.split()[4] for line in lines]
        return [point for point in points if point == str(below) or point.startswith(f"{below}/")]

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()


class Box(Bundle):
    """A bundle, an id, and the operations on them."""

    def __init__(self, directory: Path, island: Island) -> None:
        super().__init__(directory / "bundle")
        self.directory = directory
        self.island = island
        self.root = directory / "state"
        self.id = f"duties-{os.getpid()}-{next(_numbers)}"
        self.linux["cgroupsPath"] = f"/{self.id}"
        self.others: list[str] = []  # more ids that a test made

    # -- commands ------------------------------------------------------------------------------------------------

    def __call__(self, *words: str | Path, **options: Any) -> Result:
        return self.island.run(PATH, "--root", self.root, *words, **options)

    def create(self, *flags: str | Path, container_id: str | None = None, save: bool = True, **options: Any) -> Result:
        if save:
            self.save()
        return self("create", "--bundle", self.path, *flags, container_id or self.id, **options)

    def start(self, **options: Any) -> Result:
        return self("start", self.id, **options)

    def kill(self, name: str = "KILL") -> Result:
        return self("kill", self.id, name)

    def delete(self, *flags: str) -> Result:
        return self("delete", *flags, self.id)

    def state(self, container_id: str | None = None) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("state", container_id or self.id).ok().out)
        return document

    def status(self) -> str:
        """The status word, or `absent`."""
        result = self("state", self.id)
        return "absent" if result.status else str(json.loads(result.out)["status"])

    # -- whole lives ---------------------------------------------------------------------------------------------

    def created(self, *flags: str | Path, **options: Any) -> int:
        """Create; the pid of the container's process."""
        self.create(*flags, **options).ok()
        return int(self.state()["pid"])

    def running(self, script: str = "exec sleep 1000", *flags: str | Path, **options: Any) -> int:
        """Create and start a shell script; the pid of the container's process."""
        self.shell(script)
        pid = self.created(*flags, **options)
        self.start().ok()
        return pid

    def stopped(self) -> int:
        """A container whose process came to its end; the pid it had."""
        self.shell("exit 0")
        pid = self.created()
        self.start().ok()
        self.wait(pid)
        return pid

    def output(self, script: str | None = None, *flags: str | Path, **options: Any) -> str:
        """What a shell script prints, out and err together; the container is deleted."""
        if script is not None:
            self.shell(script)
        with tempfile.TemporaryFile() as out:
            result = self.create(*flags, stdout=out, stderr=out, **options)
            assert result.status == 0, (result.status, told(out))
            pid = int(self.state()["pid"])
            started = self.start()
            assert started.status == 0, (started, told(out))
            self.wait(pid)
            text = told(out)
        self.delete().ok()
        return text

    def refused(self, words: str = "") -> Result:
        """Create must fail, and leave nothing."""
        result = self.create().refused()
        assert words in result.err, result
        assert self.status() == "absent"
        return result

    def refused_by_start_at_the_latest(self) -> None:
        """Either create or start must fail."""
        result = self.create()
        if result.status == 0:
            self.start().refused()
        else:
            result.refused()

    def wait(self, pid: int, seconds: float = TIMEOUT_SECONDS) -> None:
        """Until the process has ended."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([descriptor], [], [], seconds)[0], f"process {pid} of the container does not end"
        finally:
            os.close(descriptor)

    # -- what the kernel says --------------------------------------------------------------------------------------

    def cgroup(self, controller: str) -> Path:
        return CGROUPS / controller / self.id

    def mountinfo(self, pid: int, point: str) -> tuple[set[str], list[str], str, set[str]]:
        """The last mount at this point: options, propagation words, type, options of the file system."""
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        fields = [line.split() for line in lines if line.split()[4] == point][-1]
        dash = fields.index("-")
        return set(fields[5].split(",")), fields[6:dash], fields[dash + 1], set(fields[dash + 3].split(","))

    def processes(self) -> list[int]:
        """Processes in the container's cgroup."""
        found: set[int] = set()
        for folder in CGROUPS.glob(f"*/{self.id}"):
            for path in folder.rglob("cgroup.procs"):
                found |= {int(word) for word in path.read_text().split()}
        return sorted(found)

    def leftovers(self) -> list[str]:
        """Cgroups, processes, mounts and state of the container, after it should be gone."""
        found = [str(path) for path in CGROUPS.glob(f"*/{self.id}")]
        found += [f"process {pid}" for pid in self.processes()]
        found += [f"mount {point}" for point in self.island.mounts(self.directory)]
        # crun keeps a lock file of its own beside the containers
        return found + [str(path) for path in self.root.glob(f"{self.id}*")]

    # -- afterwards ------------------------------------------------------------------------------------------------

    def clean_up(self) -> None:
        for container_id in [self.id, *self.others]:
            if (self.root / container_id).exists():
                self("delete", "--force", container_id)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        wait_until(lambda: not self.processes())
        for folder in CGROUPS.glob(f"*/{self.id}"):
            for path, _children, _files in os.walk(folder, topdown=False):
                os.rmdir(path)
        for point in reversed(self.island.mounts(self.directory)):
            self.island.run("umount", "--lazy", point)


def told(out: Any) -> str:
    out.seek(0)
    text: bytes = out.read()
    return text.decode("utf-8", "replace")


def wait_until(condition: Callable[[], Any], seconds: float = TIMEOUT_SECONDS) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.005)
    return value


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def namespace(pid: int | str, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")
