"""Help texts, made from the table of flags.  Callers read the first two lines: `NAME:`, `   pyrunc create - …`."""

from __future__ import annotations

from pyrunc import VERSION
from pyrunc.cli.flags import COMMANDS, GLOBAL_FLAGS, HIDDEN, SWITCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cli.flags import Flag

ABOUT = """\
{program} makes and runs containers as the Open Container Initiative's runtime specification describes them: a
bundle is a directory with a file config.json and a root filesystem, and

    # {program} run -b BUNDLE ID

runs what its config.json says under a name of your choice.  Container engines call create, start, state, kill
and delete one by one."""

DETAILS = {
    "checkpoint": """\
This build has no support of CRIU yet: every call is answered with an error.  The options are known, because engines
look for them.""",
    "create": """\
Everything is prepared as the bundle's config.json says; the user's process waits for `{program} start`.
Later changes of config.json do not matter to the container.""",
    "delete": """\
A container that still runs is not deleted, unless --force is given.  A container that was created but never
started is killed and deleted.""",
    "events": """\
A line of JSON each: of type stats every --interval, of type oom when the memory ran out.  It ends when the container
does.""",
    "exec": """\
Options stand before the id: what follows it is the command's.  The process has the container's own environment,
user, capabilities and limits, changed by the options, or is what the file of --process says.  The exit code is the
process's own, and 255 when there was none:

    # {program} exec ID ps""",
    "explain": """\
Nothing is executed: this compiles the bundle's config.json and prints what `{program} create` would do on this
machine, step by step, with the place in config.json each step comes from.""",
    "features": "The document is described in features.md of the runtime specification.",
    "kill": "The signal is a name with or without SIG, or a number:\n\n    # {program} kill ID KILL",
    "list": "All containers below --root are listed, whatever their status.",
    "pause": "It returns when every process has stopped; `{program} resume` lets them go on.",
    "ps": """\
What follows the id are options of ps(1), -ef without any; the container's processes are picked out of its output,
which must have a column PID.  As JSON it is the process ids alone:

    # {program} ps ID -o pid,comm""",
    "restore": "This build has no support of CRIU yet: every call is answered with an error.",
    "resume": "The container must be paused.",
    "run": """\
Terminal, signals and exit status are those of the container's process.  With --detach the command returns once
the process runs, and the container has to be deleted by hand.""",
    "spec": """\
The file describes a container with a shell and an own set of namespaces.  Put a root filesystem beside it, in a
directory rootfs.  An existing config.json is never overwritten.""",
    "start": "The process that `{program} create` prepared is released: it becomes the user's program.",
    "state": "The status is creating, created, running, paused or stopped; pid is 0 once it has stopped.",
    "update": """\
What is not named stays as it is, and so does everything when one value is refused.  The file of --resources holds the
object linux.resources of the runtime specification; in it 0 means "as it is".  Devices are left alone:

    # {program} update --memory 50M --pids-limit 100 ID""",
    "validate": "The document is checked against the JSON Schema and by all checks that need no container.",
}


def program_help(program: str) -> str:
    """What `pyrunc --help` prints."""
    commands = [(name, COMMANDS[name][3]) for name in sorted(COMMANDS)] + [("help, h", "show this or a command's help")]
    return "\n".join(
        (
            f"NAME:\n   {program} - Open Container Initiative runtime\n",
            ABOUT.format(program=program),
            f"\nUSAGE:\n   {program} [global options] command [command options] [arguments...]",
            f"\nVERSION:\n   {VERSION}",
            "\nCOMMANDS:",
            *columns(commands),
            "\nGLOBAL OPTIONS:",
            *columns(spellings(GLOBAL_FLAGS)),
            "",
        )
    )


def command_help(program: str, command: str) -> str:
    """What `pyrunc COMMAND --help` prints."""
    synopsis, _fewest, _most, line, flags = COMMANDS[command]
    return "\n".join(
        (
            f"NAME:\n   {program} {command} - {line}",
            f"\nUSAGE:\n   {program} {command} [command options] {synopsis}".rstrip(),
            f"\nDESCRIPTION:\n{DETAILS[command].format(program=program)}",
            "\nOPTIONS:",
            *columns(spellings(flags)),
            "",
        )
    )


def spellings(flags: Iterable[Flag]) -> list[tuple[str, str]]:
    """(`--bundle value, -b value`, what it does, with the default) of every flag that is shown."""
    rows = []
    for names, kind, default, words in flags:
        if words != HIDDEN:
            value = "" if kind == SWITCH else " value"
            spelled = ", ".join([f"{'-' if len(name) == 1 else '--'}{name}{value}" for name in names])
            rows.append((spelled, words if not default else f"{words} (default: {default})"))
    return rows


def columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max([len(left) for left, _right in rows])
    return [f"   {left:<{width}}  {right}" for left, right in rows]
