"""Every option of every command, as one table: parsing, help texts and their tests all read it.

A flag is (names, kind, default, what it does).  The first name is the attribute of `Arguments` (`pid-file` is
`pid_file`); the kinds are SWITCH (a boolean), WORD (any text), COUNT (an integer that is not negative), NUMBER (any
integer; None when it is not given) and MANY (any text, each time it is given).
A command is (synopsis, fewest, most positional arguments, one line about it, flags); HIDDEN flags are not in the
help texts.  Only what works is here.
"""

from __future__ import annotations

SWITCH = "switch"
WORD = "word"
COUNT = "count"
NUMBER = "number"
MANY = "many"

TYPE_CHECKING = False
if TYPE_CHECKING:
    Flag = tuple[tuple[str, ...], str, bool | str | int | tuple[str, ...] | None, str]
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
    (("cgroup-manager",), WORD, "", "who makes the cgroups: cgroupfs, systemd or disabled"),
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

_CRIU: tuple[Flag, ...] = (
    (("image-path",), WORD, "", "directory of CRIU's image files"),
    (("work-path",), WORD, "", "directory for CRIU's logs and other files"),
    (("tcp-established",), SWITCH, False, "with open TCP connections"),
    (("ext-unix-sk",), SWITCH, False, "with AF_UNIX sockets whose other end is outside"),
    (("shell-job",), SWITCH, False, "with a terminal that is the caller's"),
    (("file-locks",), SWITCH, False, "with file locks"),
    (("lazy-pages",), SWITCH, False, "memory pages are fetched when they are used (userfaultfd)"),
    (("manage-cgroups-mode",), WORD, "", "soft, full or strict"),
    (("empty-ns",), MANY, (), "a namespace (network) whose content is left to others"),
    (("auto-dedup",), SWITCH, False, "remove pages that are in a parent image too"),
    (("link-remap",), SWITCH, False, "with deleted files that have other names"),
    (("tcp-skip-in-flight",), SWITCH, False, "without TCP connections that are being made"),
)

COMMANDS: dict[str, Command] = {
    "checkpoint": (
        "<container-id>",
        1,
        1,
        "save a running container to disk (not in this build)",
        (
            *_CRIU,
            (("parent-path",), WORD, "", "directory of an earlier pre-dump's image files"),
            (("leave-running",), SWITCH, False, "the container runs on"),
            (("pre-dump",), SWITCH, False, "save the memory only and let it run on"),
            (("page-server",), WORD, "", "ADDRESS:PORT that memory pages are sent to"),
            (("status-fd",), NUMBER, None, "a NUL byte is written to this descriptor when pages can be fetched"),
            HELP,
        ),
    ),
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
    "events": (
        "<container-id>",
        1,
        1,
        "print what a container uses, again and again, and when it runs out of memory",
        (
            (("interval",), WORD, "5s", "time between two lines, such as 500ms or 1m30s"),
            (("stats",), SWITCH, False, "one line, now"),
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
    "pause": ("<container-id>", 1, 1, "stop all processes of a container until it is resumed", (HELP,)),
    "ps": (
        "<container-id> [ps options]",
        1,
        MOST_WORDS,
        "print the processes of a container",
        ((("format", "f"), WORD, "table", "table or json"), HELP),
    ),
    "restore": (
        "<container-id>",
        1,
        1,
        "bring a saved container back (not in this build)",
        (
            *_CRIU,
            _BUNDLE,
            (("console-socket",), WORD, "", "AF_UNIX socket that is sent the container's terminal (its master side)"),
            (("detach", "d"), SWITCH, False, "return once it runs"),
            (("pid-file",), WORD, "", "write the process id of the container's first process to this file"),
            (("no-subreaper",), SWITCH, False, "do not adopt the orphans of the container's first process"),
            (("no-pivot",), SWITCH, False, "move the root instead of pivot_root"),
            (("lsm-profile",), WORD, "", "TYPE:NAME of the security profile to have instead"),
            (("lsm-mount-context",), WORD, "", "SELinux context to mount with instead"),
            HELP,
        ),
    ),
    "resume": ("<container-id>", 1, 1, "let the processes of a paused container go on", (HELP,)),
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
    "update": (
        "<container-id>",
        1,
        1,
        "change the limits of a container",
        (
            (("resources", "r"), WORD, "", "a file with linux.resources as JSON, - for stdin; other flags are ignored"),
            (("blkio-weight",), NUMBER, None, "share of the block devices, from 10 to 1000"),
            (("cpu-period",), WORD, "", "length of a period, in microseconds"),
            (("cpu-quota",), WORD, "", "CPU time in a period, in microseconds"),
            (("cpu-burst",), WORD, "", "CPU time that may be saved up for later periods, in microseconds"),
            (("cpu-share",), WORD, "", "share of the CPUs, beside other containers"),
            (("cpu-rt-period",), WORD, "", "length of a real-time period, in microseconds"),
            (("cpu-rt-runtime",), WORD, "", "real-time CPU time in a period, in microseconds"),
            (("cpu-idle",), WORD, "", "1: run only when nobody else wants to"),
            (("cpuset-cpus",), WORD, "", "CPUs to run on, such as 0-3,7"),
            (("cpuset-mems",), WORD, "", "memory nodes to use"),
            (("kernel-memory",), WORD, "", HIDDEN),
            (("kernel-memory-tcp",), WORD, "", HIDDEN),
            (("memory",), WORD, "", "most memory, such as 50M; -1 is no limit"),
            (("memory-reservation",), WORD, "", "memory that is not taken away lightly"),
            (("memory-swap",), WORD, "", "most memory and swap together; -1 is no limit"),
            (("pids-limit",), NUMBER, None, "most processes; -1 is no limit"),
            (("l3-cache-schema",), WORD, "", "Intel RDT: level 3 cache"),
            (("mem-bw-schema",), WORD, "", "Intel RDT: memory bandwidth"),
            HELP,
        ),
    ),
    "validate": (
        "[file]",
        0,
        1,
        "check a bundle's config.json, or a file, or - for stdin; 1: it is wrong, 2: it would not run here",
        (
            _BUNDLE,
            (("format", "f"), WORD, "text", "text or json"),
            (("no-host",), SWITCH, False, "do not ask whether it would run on this machine"),
            HELP,
        ),
    ),
}
