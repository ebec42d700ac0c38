"""Drives the runtime under test, by its command line only."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import driver
from cli.inspection import intruders

if TYPE_CHECKING:
    from cli.bundle import Bundle

ROOT_OF_PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = os.environ.get("RUNTIME", str(ROOT_OF_PROJECT / "build/pyrunc"))
PATH = os.path.abspath(shutil.which(RUNTIME) or RUNTIME)
NAME = Path(PATH).name
IS_PYRUNC = NAME != "runc"
TIMEOUT_SECONDS = 20

_numbers = itertools.count()


OF_USERS = "may fail if you don't have the full access to cgroups"  # a warning of runc's, to whoever is not root


def without_warnings(text: str) -> list[str]:
    """Its lines, without what runc tells every user."""
    return [line for line in text.splitlines() if OF_USERS not in line]


class Result:
    """How a command ended."""

    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status = status
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"status {self.status}\nstdout: {self.out}\nstderr: {self.err}"

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def ok(self) -> Result:
        assert self.status == 0, self
        return self

    def failed(self, words: str = "", status: int = 1) -> Result:
        """Exactly one line, with these words in it."""
        assert self.status == status, self
        assert len(without_warnings(self.err)) == 1, self
        assert "Traceback" not in self.err + self.out, self
        assert words in self.err.replace('\\"', '"'), self
        return self


class Runtime:
    """The runtime with its own state root and the containers made below it."""

    is_inspected = IS_PYRUNC and driver.IS_ROOT  # every container that waits for its start

    def __init__(self, directory: Path) -> None:
        self.state_root = directory / "state"
        self.ids: list[str] = []

    def __call__(self, *words: str | Path, before: tuple[str | Path, ...] = (), **options: Any) -> Result:
        """`before` are global flags; stdin is /dev/null unless given."""
        return self.raw([*self.beginning, *map(str, before), *map(str, words)], **options)

    @property
    def beginning(self) -> list[str]:
        """What every call begins with."""
        return [PATH, "--root", str(self.state_root), *driver.FLAGS]

    def raw(self, argv: list[str], **options: Any) -> Result:
        """Output goes through files: a created container would keep a pipe open as long as it lives."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("timeout", TIMEOUT_SECONDS)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            status = subprocess.run(argv, stdout=out, stderr=err, check=False, **options).returncode
            out.seek(0)
            err.seek(0)
            return Result(status, out.read(), err.read())

    def new_id(self) -> str:
        """An id for a container that is cleaned up after the test; unique on the machine (it names a cgroup)."""
        container_id = f"clitest-{os.getpid()}-{next(_numbers)}"
        self.ids.append(container_id)
        return container_id

    def create(self, bundle: Bundle, *flags: str | Path, **options: Any) -> str:
        """The id of a created container."""
        container_id = self.new_id()
        bundle.save(container_id)
        self("create", "--bundle", bundle.path, *flags, container_id, **options).ok()
        if self.is_inspected:
            preserved = int(flags[flags.index("--preserve-fds") + 1]) if "--preserve-fds" in flags else 0
            record = json.loads((self.state_root / container_id / "state.json").read_text())
            assert intruders(record["pid"], preserved + int(options.get("env", {}).get("LISTEN_FDS", 0))) == []
        return container_id

    def run(self, bundle: Bundle, *flags: str | Path, **options: Any) -> Result:
        """Run the bundle in the foreground."""
        container_id = self.new_id()
        bundle.save(container_id)
        return self("run", "--bundle", bundle.path, *flags, container_id, **options)

    def run_detached(self, bundle: Bundle, *flags: str | Path, **options: Any) -> str:
        container_id = self.create(bundle, *flags, **options)
        self("start", container_id).ok()
        return container_id

    def script(self, bundle: Bundle, script: str, **options: Any) -> str:
        """What a shell script prints in the container; it must succeed."""
        bundle.shell(script)
        return self.run(bundle, **options).ok().out

    def state(self, container_id: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("state", container_id).ok().out)
        return document

    def wait_for(self, container_id: str, status: str) -> dict[str, Any]:
        return wait_until(lambda: (state := self.state(container_id))["status"] == status and state)

    def clean_up(self) -> None:
        for container_id in self.ids:
            if (self.state_root / container_id).exists():
                self("delete", "--force", container_id)


def wait_until(condition: Any, seconds: float = 10) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)
    return value


def pids_of(container_id: str) -> list[int]:
    """Processes whose cgroup is the container's, or below it.  In one that was removed there are zombies alone."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cgroup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            lines = [line for line in text.splitlines() if not line.endswith(" (deleted)")]
            if any(driver.is_in_cgroup(line, container_id) for line in lines):
                found.append(int(entry.name))
    return found


def cgroups_of(container_id: str) -> list[Path]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "cgroup" in line.split()[2]]
    # os.walk passes over directories that other tests remove meanwhile
    return [
        Path(path)
        for mount in mounts
        for path, _children, _files in os.walk(mount)
        if driver.is_cgroup(path, container_id)
    ]
