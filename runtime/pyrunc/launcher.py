"""Which launcher started this process, for people who ask: --version and features."""

from __future__ import annotations

import sys


def launcher() -> str:
    """What the launcher says of itself (csrc/launcher.c); `library` when Python imported us."""
    found: str = getattr(sys, "pyrunc_launcher", "library")
    return found
