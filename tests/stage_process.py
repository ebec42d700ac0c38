"""The real stage, built from csrc/stage.c and run by the tests without the runtime around it."""

from __future__ import annotations

import os
import socket
import subprocess
from _struct import Struct
from pathlib import Path
from platform import machine

from pyrunc.program.encode import encode
from pyrunc.program.numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.program.builder import Program

TOP = Path(__file__).resolve().parent.parent
BUILD_SCRIPT = TOP / "csrc/build_stage.sh"
MESSAGE = Struct("<Ii")
ANSWER = Struct("<II")
MALFORMED = 0xFFFFFFFF
SOCKET = 3
PATIENCE = 20.0  # seconds; everything here takes milliseconds


def build_stage(out: Path, compiler: str = "gcc") -> Path:
    subprocess.run(["/bin/sh", str(BUILD_SCRIPT), str(out), compiler], check=True)
    return out


def encoded(program: Program, architecture: str = "") -> bytes:
    return encode(program, NUMBERS[architecture or machine()])


class StageProcess:
    """A running stage.  Leaving the block closes the socket and waits for it."""

    def __init__(self, command: Sequence[str | Path], fds: Mapping[int, int] | None = None) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        words = [str(word) for word in command]
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET)]
        actions += [(os.POSIX_SPAWN_DUP2, given, number) for number, given in (fds or {}).items()]
        with theirs:
            self.pid = os.posix_spawn(words[0], words, {}, file_actions=actions)
        self.socket = ours
        self.status: int | None = None

    def __enter__(self) -> StageProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()
        self.wait()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def message(self) -> tuple[int, int] | None:
        """(operation index, value), or None at the end."""
        try:
            got = self.socket.recv(MESSAGE.size, socket.MSG_WAITALL)
        except ConnectionResetError:  # unix(7): it ended without having read all that we sent
            return None
        return MESSAGE.unpack(got) if len(got) == MESSAGE.size else None

    def answer(self, payload: bytes = b"") -> None:
        self.send(ANSWER.pack(len(payload), 0) + payload)

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def run_stage(command: Sequence[str | Path], content: bytes) -> tuple[list[tuple[int, int]], int]:
    """All messages and the exit code; every sync point is answered with nothing."""
    messages = []
    with StageProcess(command) as stage:
        stage.send(content)
        while (message := stage.message()) is not None:
            messages.append(message)
            if message[1] >= 0:
                stage.answer()
        return messages, stage.wait()
