"""Every option of every command, as one table: parsing, help texts and their tests all read it.

A flag is (names, kind, default, what it does).  The first name is the attribute of `Arguments` (`pid-file` is
`pid_file`); the kinds are SWITCH (a boolean), WORD (any text), COUNT (an integer that is not negative) and MANY (any
text, each time it is given).
A command is (synopsis, fewest, most positional arguments, one line about it, flags); HIDDEN flags are not in the
help texts.  Only what works is here.
"""

from __future__ import annotations

SWITCH = "switch"
WORD = "word"
COUNT = "count"
MANY = "many"

TYPE_CHECKING = False
if TYPE_CHECKING:
    Flag = tuple[tuple[str, ...], str, bool | str | int | tuple[str, ...], str]
    Command = tuple[str, int, int, str, tuple[Flag, ...]]

HIDDEN = ""
MOST_WORDS = 1 << 20  # positional arguments of a command that passes them on
# After the container id everything belongs to somebody else: flags end there.
FLAGS_FIRST = frozenset(("exec", "ps"))

HELP: Flag = (("help", "h"), SWITCH, False, "show this help")

GLOBAL_FLAGS: tuple[Flag, ...] = (
    (("debug",), SWITCH, False, "log every step taken"),
    (("log",), WORD, "", "append log lines to this file (default: standard error)"),
    (("log-format",), WORD, "text", "text or json"),
    (("root",), WORD, "", "directory that holds the state of the containers; best on a tmpfs"),
    (("criu",), WORD, "criu", HIDDEN),  # go-runc may send it; runc dropped it in 1.4
    (("systemd-cgroup",), SWITCH, False, "let systemd make the cgroups; cgroupsPath is then slice:prefix:name"),
    (("rootless",), WORD, "auto", "go on without cgroups that may not be changed: true, false or auto"),
    HELP,
    (("version", "v"), SWITCH, False, "print the version"),
)

_BUNDLE: Flag = (("bundle", "b"), WORD, "", "directory of the bundle (default: the current directory)")
_MAKING: tuple[Flag, ...] = (
    _BUNDLE,
    (("console-socket",), WORD, "", "AF_UNIX socket that is sent the container's terminal (its master side)"),
    (("pidfd-socket",), WORD, "", "AF_UNIX socket that is sent a pidfd of the container's first process"),
    (("pid-file",), WORD, "", "write the process id of the container's first process to this file"),
    (("no-pivot",), SWITCH, False, "move the root instead of pivot_root: for a root filesystem on a ramdisk"),
    (("no-new-keyring",), SWITCH, False, "keep the caller's session keyring"),
    (("preserve-fds",), COUNT, 0, "hand on this many descriptors after the standard ones and $LISTEN_FDS"),
)

COMMANDS: dict[str, Command] = {
    "create": ("<container-id>", 1, 1, "create a container that waits to be started", (*_MAKING, HELP)),
    "delete": (
        "<container-id>",
        1,
        1,
        "delete a stopped container and everything kept for it",
        ((("force", "f"), SWITCH, False, "kill it first; no error when there is no such container"), HELP),
    ),
    "exec": (
        "<container-id> <command> [argument ...]",
        1,
        MOST_WORDS,
        "run another process in a running container",
        (
            (("console-socket",), WORD, "", "AF_UNIX socket that is sent the process's terminal (its master side)"),
            (("pidfd-socket",), WORD, "", "AF_UNIX socket that is sent a pidfd of the process"),
            (("cwd",), WORD, "", "its working directory in the container"),
            (("env", "e"), MANY, (), "a NAME=value for its environment; may be repeated"),
            (("tty", "t"), SWITCH, False, "give it a terminal"),
            (("user", "u"), WORD, "", "its uid or uid:gid"),
            (("additional-gids", "g"), MANY, (), "another group id for it; may be repeated"),
            (("process", "p"), WORD, "", "a file with the process as JSON"),
            (("detach", "d"), SWITCH, False, "return once it runs"),
            (("pid-file",), WORD, "", "write its process id to this file"),
            (("process-label",), WORD, "", "its SELinux label"),
            (("apparmor",), WORD, "", "its AppArmor profile"),
            (("no-new-privs",), SWITCH, False, "set no_new_privs for it"),
            (("cap", "c"), MANY, (), "a capability to add; may be repeated"),
            (("preserve-fds",), COUNT, 0, "hand on this many descriptors after the standard ones and $LISTEN_FDS"),
            (("cgroup",), MANY, (), "run it in [controller,...:]path below the container's cgroup"),
            (("ignore-paused",), SWITCH, False, "also in a paused container"),
            (("no-subreaper",), SWITCH, False, HIDDEN),
            HELP,
        ),
    ),
    "explain": (
        "",
        0,
        0,
        "show the steps that creating a container would take",
        (
            _BUNDLE,
            (("json",), SWITCH, False, "as JSON"),
            (("no-pivot",), SWITCH, False, "as create --no-pivot would"),
            (("no-new-keyring",), SWITCH, False, "as create --no-new-keyring would"),
            (("preserve-fds",), COUNT, 0, "as create --preserve-fds would"),
            HELP,
        ),
    ),
    "features": ("", 0, 0, "print what this build can do, as JSON", (HELP,)),
    "kill": (
        "<container-id> [signal]",
        1,
        2,
        "send a signal (default: SIGTERM) to the container's first process",
        ((("all", "a"), SWITCH, False, "send it to all processes of the container"), HELP),
    ),
    "list": (
        "",
        0,
        0,
        "list the containers",
        (
            (("format", "f"), WORD, "table", "table or json"),
            (("quiet", "q"), SWITCH, False, "only the ids"),
            HELP,
        ),
    ),
    "run": (
        "<container-id>",
        1,
        1,
        "create a container, start it, wait for it and delete it",
        (
            *_MAKING,
            (("detach", "d"), SWITCH, False, "return once it runs"),
            (("keep",), SWITCH, False, "leave the stopped container to be looked at"),
            (("no-subreaper",), SWITCH, False, "do not adopt the orphans of the container's first process"),
            HELP,
        ),
    ),
    "spec": (
        "",
        0,
        0,
        "write a config.json to start from",
        (_BUNDLE, (("rootless",), SWITCH, False, "one that works without root"), HELP),
    ),
    "start": ("<container-id>", 1, 1, "run the user's process in a created container", (HELP,)),
    "state": ("<container-id>", 1, 1, "print the state of a container, as JSON", (HELP,)),
    "validate": ("[file]", 0, 1, "check a bundle's config.json, or a file, or - for stdin", (_BUNDLE, HELP)),
}
