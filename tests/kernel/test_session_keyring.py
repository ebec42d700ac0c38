"""security/keyring.py on the real kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyrunc.program.builder import Program
from pyrunc.security.keyring import emit_session_keyring
from stage_process import StageProcess, encoded

if TYPE_CHECKING:
    from pathlib import Path

KEYCTL_DESCRIBE = 6
KEY_SPEC_SESSION_KEYRING = -3


def described(stage: Path, *names: str) -> str:
    """What the kernel says of the session keyring after joining these in turn: `type;uid;gid;permissions;name`."""
    p = Program()
    for name in names:
        emit_session_keyring(p, name)
    text = p.scratch(256)
    length = p.result("keyctl", KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, 256)
    p.call("write", 1, text, length)
    reading, writing = os.pipe()
    with StageProcess([stage], {1: writing}) as running, open(reading) as output:
        os.close(writing)
        running.send(encoded(p))
        assert running.message() is None
        assert running.wait() == 0
        return output.read().rstrip("\0")


def test_the_keyring_is_named_after_the_container_and_its_owner_may_search_it(stage: Path) -> None:
    assert described(stage, f"box-{os.getpid()}") == f"keyring;0;0;3f1b0000;_ses.box-{os.getpid()}"


def test_a_keyring_of_that_name_is_joined_again(stage: Path) -> None:
    name = f"twice-{os.getpid()}"
    assert described(stage, name, name) == f"keyring;0;0;3f1b0000;_ses.{name}"
