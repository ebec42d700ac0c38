"""What the native launcher starts with: `main`, and, if it can be completed, a finder that does so when it must."""

from __future__ import annotations

import sys

from pyrunc.cli.main import main as main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class OnDemand:
    """Last in sys.meta_path: whoever asks here wants a module that is neither built in nor frozen."""

    completed = False

    @classmethod
    def find_spec(cls, _name: str, _path: object = None, _target: object = None) -> None:
        """None always: sys.meta_path has become longer, and the search goes on with those who can find it."""
        if not cls.completed:
            cls.completed = True
            launcher: Any = sys
            launcher._pyrunc_complete()
            sys.path.append(f"{launcher.pyrunc_library}/site-packages")


if hasattr(sys, "_pyrunc_complete"):
    sys.meta_path.append(OnDemand)  # type: ignore[arg-type]  # typeshed: find_spec that finds something
