"""What is inside a container before its program: looked at after every `create` of every test, with pyrunc.

The sealed stage, what it needs, and nothing else: issue 6.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

F_GET_SEALS = 1034  # <linux/fcntl.h>
ALL_SEALS = 0xF  # SEAL, SHRINK, GROW, WRITE
MAPPED = ("/memfd:pyrunc (deleted)", "[stack]", "[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]", "[heap]", "")


def fields(path: str) -> dict[str, str]:
    """`Name: value` lines."""
    lines = Path(path).read_text().splitlines()
    return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in lines if ":" in line}


def intruders(pid: int, preserved: int = 0) -> list[str]:
    """What a container that waits for `start` should not have; `preserved` descriptors are its caller's."""
    return [*_image(pid), *_signals(pid), *_descriptors(pid, preserved), *_surroundings(pid)]


def _image(pid: int) -> list[str]:
    found = []
    with open(f"/proc/{pid}/exe", "rb") as image:
        if fcntl.fcntl(image.fileno(), F_GET_SEALS) & ALL_SEALS != ALL_SEALS:
            found.append("its executable is not sealed")
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        name = line.split(None, 5)[5:]
        if (name[0].strip() if name else "") not in MAPPED:
            found.append(f"it has mapped {name[0]}")
    return found


def _signals(pid: int) -> list[str]:
    status = fields(f"/proc/{pid}/status")
    names = ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd")
    return [f"{name} is {status[name]}" for name in names if int(status[name], 16)]


def _descriptors(pid: int, preserved: int) -> list[str]:
    """Those that execve(2) will not close."""
    found = []
    for number in map(int, os.listdir(f"/proc/{pid}/fd")):
        flags = int(fields(f"/proc/{pid}/fdinfo/{number}")["flags"], 8)
        if number > 2 + preserved and not flags & os.O_CLOEXEC:
            found.append(f"descriptor {number} would stay open: {os.readlink(f'/proc/{pid}/fd/{number}')}")
    return found


def _surroundings(pid: int) -> list[str]:
    found = [f"environment: {text!r}" for text in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if text]
    if Path(f"/proc/{pid}/task/{pid}/children").read_text():
        found.append("it has children")
    if len(os.listdir(f"/proc/{pid}/task")) != 1:
        found.append("it has threads")
    return found
