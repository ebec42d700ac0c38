"""What stands in the last line of --version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyrunc.launcher import launcher

if TYPE_CHECKING:
    import pytest

EMBEDDED = f"libpython{sys.version_info[0]}.{sys.version_info[1]}"


def test_imported_by_python() -> None:
    assert launcher() == f"library {EMBEDDED}"


def test_started_by_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """csrc/launcher.c sets the one name, csrc/warm.py the other."""
    monkeypatch.setattr(sys, "pyrunc_launcher", "static", raising=False)
    assert launcher() == f"static {EMBEDDED}"
    monkeypatch.setattr(sys, "pyrunc_image", True, raising=False)
    assert launcher() == f"static {EMBEDDED}, from an image"
