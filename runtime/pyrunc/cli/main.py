"""From argv to an exit code; errors are told by failures.py."""

from __future__ import annotations

import posix
from errno import EBADF

from pyrunc import VERSION, log
from pyrunc.cli.flags import COMMANDS
from pyrunc.cli.parse import parse_arguments
from pyrunc.errors import UsageError, go_strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from pyrunc.cli.parse import Arguments

FAILED = 1
EXEC_FAILED = 255  # exec's other codes are the process's own
NO_SUCH_COMMAND = 3  # as runc's command line library
HELP_NAMES = ("", "help", "h")
INTERRUPTED = 130  # 128 + SIGINT, as a shell has it

MAKING = ("create", "exec", "run")
COLD = ("validate",)  # they import from Python's library on disk


def main(argv: Sequence[str]) -> int:
    """Run the command in argv (argv[0] is the program's name) and return the exit code."""
    try:
        open_standard_descriptors()
    except OSError as error:
        log.error(f"open /dev/null: {go_strerror(error.errno or 0)}")
        return FAILED
    arguments = parse_arguments(argv, posix.environ, posix.geteuid())
    try:
        missing = missing_descriptor(arguments)
        open_log(arguments)
        if missing is not None:
            raise missing
        if arguments.debug:
            log.debug(f"{arguments.program} {VERSION}: {' '.join(argv[1:])}")
        return dispatch(arguments, argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from pyrunc.cli.failures import report  # with what only failures need

        report(arguments, error)
        return EXEC_FAILED if arguments.command == "exec" and arguments.usage_error is None else FAILED


def open_standard_descriptors() -> None:
    """/dev/null for those the caller closed: else what we open takes their numbers, and the container gets it."""
    for number in (0, 1, 2):
        try:
            posix.fstat(number)
        except OSError as error:
            if error.errno != EBADF:
                continue  # there, but its file system is in trouble: EIO, EACCES, ESTALE
            # The lowest free number is this one; open(2) as Python has it closes on exec (PEP 446).
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)  # noqa: FBT003


def missing_descriptor(arguments: Arguments) -> UsageError | None:
    """A descriptor that is to be handed on and is not there, looked for before we open any ourselves."""
    if arguments.command not in MAKING or arguments.usage_error is not None:
        return None
    if not arguments.preserve_fds and b"LISTEN_FDS" not in posix.environ:
        return None
    from pyrunc.container.inherited import check_inherited

    try:
        check_inherited(arguments.preserve_fds)
    except UsageError as error:
        return error
    return None


def open_log(arguments: Arguments) -> None:
    """First of all, so that whoever reads the log finds every later complaint in it."""
    try:
        log.set_up(path=arguments.log, json=arguments.log_format == "json", debug=arguments.debug)
    except OSError as error:
        raise UsageError(f"open {arguments.log}: {go_strerror(error.errno or 0)}") from error
    if arguments.log_format not in ("text", "json"):
        raise UsageError(f"invalid log-format: {arguments.log_format}")


def dispatch(arguments: Arguments, argv: Sequence[str]) -> int:
    """Mistakes first, then --help, --version, and at last the command."""
    name = arguments.command
    if arguments.usage_error is not None:
        load_command("help").show_usage(arguments, arguments.usage_error.text)
        raise arguments.usage_error
    if arguments.help or (name in HELP_NAMES and not arguments.version):
        return run_command("help", arguments)
    if arguments.version:
        return run_command("version", arguments)
    if name not in COMMANDS:
        log.error(f"No help topic for '{name}'")
        return NO_SUCH_COMMAND
    if name in COLD:
        from pyrunc.cli.cold import leave, must_leave

        if must_leave():
            leave(argv)
    return run_command(name, arguments)


def run_command(name: str, arguments: Arguments) -> int:
    status: int = load_command(name).run(arguments)
    return status


def load_command(name: str) -> ModuleType:
    """The module of one command and of no other; `fromlist` makes __import__ return the module itself."""
    return __import__(f"pyrunc.commands.{name}", fromlist=("run",))
