"""Programs without patterns (builder.py): for controls that change the paths which operations are emitted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def replacements() -> list[tuple[Any, str, Callable[..., None]]]:
    """(module, name of a function in it, what does the same for each mount or path alone)."""
    from pyrunc.rootfs import binds, masks

    def emit_bind(m: Any, _mount: object, *words: Any) -> None:
        binds._emit_one(m, -1, *words)

    def emit_each(p: Any, place: str, listed: Any, emit: Callable[[str], None]) -> None:
        for index, path in masks._once(listed):
            with p.at(f"{place}[{index}]", path):
                emit(path)

    return [(binds, "_emit_like_others", emit_bind), (masks, "_emit_each", emit_each)]
