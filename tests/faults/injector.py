"""inject.c, and the command lines that are disturbed by it."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from cli.runtime import PATH, Result
from faults.world import bury, children
from pyrunc.program.numbers import NUMBERS

NAMES = {number: name for name, number in NUMBERS["x86_64"].items()}
TIMEOUT_SECONDS = 8
# The first call of the runtime's own: before it there is libc's start and the launcher's image.
FIRST_OWN_CALL = "rt_sigaction"


def build(directory: Path) -> Path:
    source, program = Path(__file__).with_name("inject.c"), directory / "inject"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source)], check=True)
    return program


class Injector:
    """Runs pyrunc with one call of one of its processes disturbed."""

    def __init__(self, program: Path, state_root: Path) -> None:
        self.program = program
        self.state_root = state_root
        self.user: int | None = None  # whose commands they are; None: ours
        self.known = children()

    def plain(self, *words: str) -> Result:
        return self._run([], words)

    def disturbed(self, who: int, call: int, what: str, *words: str) -> Result:
        return self._run([str(self.program), str(who), str(call), what], words)

    def calls(self, who: int, *words: str) -> list[tuple[int, str]]:
        """(which, name) of every call of that process, without those of its own start."""
        with tempfile.NamedTemporaryFile() as out:
            Path(out.name).chmod(0o666)
            self.disturbed(who, 0, f"list:{out.name}", *words).ok()
            content = out.read()
        names = [NAMES.get(number, f"call {number}") for (number,) in struct.iter_unpack("i", content)]
        first = names.index(FIRST_OWN_CALL) if who == 0 else 0
        return list(enumerate(names, 1))[first:]

    def _run(self, before: list[str], words: tuple[str, ...]) -> Result:
        argv = [*before, PATH, "--root", str(self.state_root), *words]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={"PATH": os.defpath},
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            ) as process:
                status = self._wait(process)
            out.seek(0)
            err.seek(0)
            return Result(status, out.read(), err.read())

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Meanwhile we are what init is to orphans.  Not Popen.wait, which sleeps longer each time it looks."""
        end = time.monotonic() + TIMEOUT_SECONDS
        pidfd, poller = os.pidfd_open(process.pid), select.poll()
        try:
            poller.register(pidfd, select.POLLIN)
            while not poller.poll(100):
                if time.monotonic() > end:
                    process.kill()
                    raise subprocess.TimeoutExpired(process.args, TIMEOUT_SECONDS)
                bury({*self.known, process.pid})
        finally:
            os.close(pidfd)
        return process.wait()
