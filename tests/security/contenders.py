"""Whom the attacks are tried on: pyrunc, other runtimes, and pyrunc without one of its defences (weakened.py)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from errno import EBUSY
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.runtime import ROOT_OF_PROJECT, Result, Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle

HERE = Path(__file__).resolve().parent
PYRUNC = str(ROOT_OF_PROJECT / "build/pyrunc")
HUNG = 124  # as timeout(1) says it
PEERS = ("runc", "crun")


class Contender(Runtime):
    """A runtime by its path.  A command that does not end in time has the status HUNG."""

    is_inspected = False

    def __init__(self, directory: Path, command: list[str], patience: float = 20) -> None:
        super().__init__(directory)
        self.command = command
        self.patience = patience

    def raw(self, argv: list[str], **options: Any) -> Result:
        options.setdefault("timeout", self.patience)
        try:
            result = super().raw([*self.command, *argv[1:]], **options)
        except subprocess.TimeoutExpired:
            return Result(HUNG, b"", b"it did not end in time")
        assert "Traceback" not in result.err, result  # a control that is broken shows nothing
        return result

    def attempt(self, bundle: Bundle, *flags: str, **options: Any) -> Result:
        """run, and whatever comes of it."""
        result = self.run(bundle, *flags, **options)
        self.clean_up()
        return result

    def clean_up(self) -> None:
        super().clean_up()
        for container_id in self.ids:
            _remove_traces(container_id)
        self.ids.clear()


def _remove_traces(container_id: str) -> None:
    """What a runtime that hung, and was killed, has left: processes and cgroups."""
    for pid in pids_of(container_id):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    wait_until(lambda: not pids_of(container_id))
    for path in cgroups_of(container_id):
        wait_until(lambda path=path: _is_removed(path))  # type: ignore[misc]


def _is_removed(path: Path) -> bool:
    """Not yet (EBUSY) while a process that was killed still gives its memory back: then /proc says it is in "/"."""
    try:
        path.rmdir()
    except OSError as error:
        if error.errno != EBUSY:
            raise
        return False
    return True


def pyrunc(directory: Path) -> Contender:
    return Contender(directory, [PYRUNC])


def peer(directory: Path, name: str) -> Contender:
    path = shutil.which(name, path=os.defpath + ":/usr/sbin:/sbin")
    assert path, f"{name} is not installed: tests/packages.txt"
    return Contender(directory, [path], patience=5)


def weakened(directory: Path, defence: str) -> Contender:
    """pyrunc, but for one defence."""
    return Contender(directory, ["/usr/bin/python3", "-I", "-B", str(HERE / "weakened.py"), defence], patience=5)
