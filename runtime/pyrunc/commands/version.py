"""`--version`: go-runc and moby parse it (`<name> version `, `commit: `, `spec: ` at the start of a line)."""

from __future__ import annotations

from ocispec import SPEC_VERSION
from pyrunc import VERSION, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    try:  # written by `make build`
        from _pyrunc_build import COMMIT
    except ModuleNotFoundError:
        COMMIT = "unknown"  # noqa: N806
    log.say(f"{arguments.program} version {VERSION}\ncommit: {COMMIT}\nspec: {SPEC_VERSION}\n")
    return 0
