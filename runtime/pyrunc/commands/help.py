"""`help`, `help COMMAND`, `COMMAND --help`, `--help`, no command at all, and the usage after a mistake."""

from __future__ import annotations

from pyrunc import log
from pyrunc.cli.flags import COMMANDS
from pyrunc.cli.help import command_help, program_help

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments

NO_SUCH_TOPIC = 3


def run(arguments: Arguments) -> int:
    topic = arguments.command
    if topic in ("help", "h") and arguments.positional:
        topic = arguments.positional[0]
        if topic not in COMMANDS:
            log.error(f"No help topic for '{topic}'")
            return NO_SUCH_TOPIC
    log.say(help_for(arguments.program, topic))
    return 0


def show_usage(arguments: Arguments, complaint: str) -> None:
    """On stdout, as runc has it: the error itself goes to stderr alone."""
    log.say(f"Incorrect Usage: {complaint}\n\n{help_for(arguments.program, arguments.command)}")


def help_for(program: str, topic: str) -> str:
    return command_help(program, topic) if topic in COMMANDS else program_help(program)
