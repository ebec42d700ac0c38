"""`--version`: go-runc and moby parse it (`<name> version `, `commit: `, `spec: ` at the start of a line).

The fourth line is ours; moby looks for the word `version` in every line, so it stands in the first one only.
"""

from __future__ import annotations

from ocispec import SPEC_VERSION
from pyrunc import VERSION, log
from pyrunc.launcher import launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    try:  # written by `make build`
        from _pyrunc_build import COMMIT
    except ModuleNotFoundError:
        COMMIT = "unknown"  # noqa: N806
    lines = (
        f"{arguments.program} version {VERSION}",
        f"commit: {COMMIT}",
        f"spec: {SPEC_VERSION}",
        f"launcher: {launcher()}",
    )
    log.say("\n".join(lines) + "\n")
    return 0
