"""Hints change what engines read: they must not contain what engines look for."""

from __future__ import annotations

from errno import EPERM, errorcode

import pytest

from pyrunc.hints import HINTS, hint_for

# reference: docs/compat.md, "matched texts" (moby, docker CLI, podman, containerd's shim, CRI-O)
MATCHED = (
    "executable file not found", "no such file or directory", "permission denied", "is a directory",
    "operation not permitted", "not a directory", "does not exist", "no such process", "container not running",
    "process already finished", "invalid process", "/attr/",
)  # fmt: skip


@pytest.mark.parametrize("row", HINTS, ids=lambda row: f"{errorcode[row[0]]} {' '.join(row[1])}")
def test_hint(row: tuple[int, tuple[str, ...], str]) -> None:
    errno, words, advice = row
    assert not [text for text in MATCHED if text in advice.lower()]
    assert "\n" not in advice
    assert not advice.endswith(".")
    line = "create: " + " ".join(words)
    assert hint_for(errno, line) == advice, "an earlier row hides this one"


def test_no_hint_without_an_errno() -> None:
    assert hint_for(None, "mount proc") == ""
    assert hint_for(EPERM, "something else") == ""
