"""The one place that turns an exception into a line."""

from __future__ import annotations

from ocispec.reader import SpecError
from pyrunc import log
from pyrunc.errors import PyruncError, go_strerror
from pyrunc.hints import hint_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments

# Engines and their tests look for `runc create failed: ...`.
PREFIXED = ("create", "run")


def report(arguments: Arguments, error: Exception) -> None:
    """Log one line: the prefix engines know, what was being done, what went wrong, and a hint if there is one."""
    if isinstance(error, (PyruncError, SpecError, OSError)):
        log.error(prefix_of(arguments) + failure_line(error))
        return
    log.error(f"{prefix_of(arguments)}internal error: {type(error).__name__}: {error}")
    if arguments.debug:
        for line in trace_of(error):
            log.debug(line)


def trace_of(error: Exception) -> list[str]:
    """Where it came from, outermost first; the module traceback is not in the launcher."""
    lines = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f"  {code.co_filename}:{step.tb_lineno} in {code.co_qualname}")
        step = step.tb_next
    return lines


def failure_line(error: Exception) -> str:
    line = os_error_line(error) if isinstance(error, OSError) else str(error)
    hint = "" if getattr(error, "hint", "") else hint_for(getattr(error, "errno", None), line)
    return f"{line} (hint: {hint})" if hint else line


def os_error_line(error: OSError) -> str:
    """An OSError nobody has put words around: the name of the file, if it has one, and Go's words."""
    words = str(error) if error.errno is None else go_strerror(error.errno)
    return f"{error.filename}: {words}" if error.filename is not None else words


def prefix_of(arguments: Arguments) -> str:
    is_usage = arguments.usage_error is not None
    if is_usage:
        return ""
    if arguments.command == "exec":
        return "exec failed: "  # runc's own words are without its name here
    return f"{arguments.program} {arguments.command} failed: " if arguments.command in PREFIXED else ""
