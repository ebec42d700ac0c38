"""argv to `Arguments`, spelled as Go programs take it: `-root x`, `--root=x`, `--root x`, `--debug=false`, `--`.

Flags of the program stand before the command; flags of a command may stand behind its positional arguments
(`delete c1 --force`), which engines rely on.  What is not a flag of the command there is a positional argument
(`kill c1 -9`).  Messages are those of Go's flag package: podman looks for `flag needs an argument`.
"""

from __future__ import annotations

import posix
from errno import ENOENT

from pyrunc.cli.flags import COMMANDS, COUNT, FLAGS_FIRST, GLOBAL_FLAGS, MANY, NUMBER, SWITCH
from pyrunc.errors import UsageError
from pyrunc.log import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.cli.flags import Flag

    Value = bool | str | int | tuple[str, ...] | None

BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
CGROUP_MANAGERS = ("cgroupfs", "systemd", "disabled")
LARGEST_COUNT = (1 << 31) - 1


class Arguments:
    """What was asked.  `root` is resolved, the rest is as given; the flags of other commands do not exist.

    `command` is "" without one; `usage_error` is the first complaint about the spelling, None if there is none.
    """

    program: str
    command: str
    positional: tuple[str, ...]
    usage_error: UsageError | None
    root_given: bool

    debug: bool
    log: str
    log_format: str
    root: str
    criu: str
    systemd_cgroup: bool
    cgroup_manager: str
    rootless: str
    help: bool
    version: bool

    bundle: str
    console_socket: str
    pidfd_socket: str
    pid_file: str
    no_pivot: bool
    no_new_keyring: bool
    preserve_fds: int
    detach: bool
    keep: bool
    no_host: bool
    no_subreaper: bool
    force: bool
    all: bool
    format: str
    quiet: bool
    json: bool
    rootless_spec: bool

    process: str
    cwd: str
    env: tuple[str, ...]
    tty: bool
    user: str
    additional_gids: tuple[str, ...]
    process_label: str
    apparmor: str
    no_new_privs: bool
    cap: tuple[str, ...]
    cgroup: tuple[str, ...]
    ignore_paused: bool

    interval: str
    stats: bool

    resources: str
    blkio_weight: int | None
    cpu_period: str
    cpu_quota: str
    cpu_burst: str
    cpu_share: str
    cpu_rt_period: str
    cpu_rt_runtime: str
    cpu_idle: str
    cpuset_cpus: str
    cpuset_mems: str
    kernel_memory: str
    kernel_memory_tcp: str
    memory: str
    memory_reservation: str
    memory_swap: str
    pids_limit: int | None
    l3_cache_schema: str
    mem_bw_schema: str

    image_path: str
    work_path: str
    parent_path: str
    leave_running: bool
    pre_dump: bool
    tcp_established: bool
    tcp_skip_in_flight: bool
    ext_unix_sk: bool
    shell_job: bool
    file_locks: bool
    link_remap: bool
    lazy_pages: bool
    page_server: str
    status_fd: int | None
    manage_cgroups_mode: str
    empty_ns: tuple[str, ...]
    auto_dedup: bool
    lsm_profile: str
    lsm_mount_context: str

    @property
    def container_id(self) -> str:
        return self.positional[0]

    @property
    def cgroup_driver(self) -> str:
        """crun's flag says it in full and decides; runc's is short for one of its values."""
        return self.cgroup_manager or ("systemd" if self.systemd_cgroup else "cgroupfs")


def parse_arguments(argv: Sequence[str], environment: Mapping[bytes, bytes], effective_uid: int) -> Arguments:
    """`argv[0]` is the name the program was called by.  Never raises: see `usage_error`.

    The whole of argv is read even after a mistake, so that --log is known to whoever reports it.
    """
    arguments = Arguments()
    arguments.program = program_name(argv[0] if argv else "")
    values, rest, problem = parse_flags(GLOBAL_FLAGS, argv[1:], interspersed=False)
    arguments.root_given = bool(values["root"])
    values["root"] = values["root"] or default_root(environment, effective_uid)
    _set(arguments, values)
    arguments.command = rest[0] if rest else ""
    arguments.positional = tuple(rest[1:])
    if problem is None and arguments.rootless not in BOOLEANS and arguments.rootless != "auto":
        problem = f"invalid value {quote(arguments.rootless)} for flag -rootless: must be true, false or auto"
    if problem is None and arguments.cgroup_manager not in ("", *CGROUP_MANAGERS):
        words = f"must be {', '.join(CGROUP_MANAGERS[:-1])} or {CGROUP_MANAGERS[-1]}"
        problem = f"invalid value {quote(arguments.cgroup_manager)} for flag -cgroup-manager: {words}"
    if arguments.help or arguments.version:  # about the program, whatever follows
        arguments.command, arguments.positional = "", ()
    if problem is None and arguments.command in COMMANDS:
        problem = _parse_command(arguments)
    arguments.usage_error = UsageError(problem) if problem else None
    return arguments


def _parse_command(arguments: Arguments) -> str | None:
    _synopsis, fewest, most, _line, flags = COMMANDS[arguments.command]
    interspersed = arguments.command not in FLAGS_FIRST
    values, rest, problem = parse_flags(flags, arguments.positional, interspersed=interspersed)
    if "rootless" in values:  # `spec --rootless` is not the program's --rootless
        values["rootless_spec"] = values.pop("rootless")
    _set(arguments, values)
    arguments.positional = tuple(rest)
    if problem is None and not arguments.help and not fewest <= len(rest) <= most:
        return wrong_count(arguments, fewest, most)
    return problem


def wrong_count(arguments: Arguments, fewest: int, most: int) -> str:
    if fewest == most:
        wanted = f"exactly {fewest}"
    elif len(arguments.positional) < fewest:
        wanted = f"a minimum of {fewest}"
    else:
        wanted = f"a maximum of {most}"
    return f'{arguments.program}: "{arguments.command}" requires {wanted} argument(s)'


def _set(arguments: Arguments, values: dict[str, Value]) -> None:
    for name, value in values.items():
        setattr(arguments, name.replace("-", "_"), value)


def parse_flags(
    flags: tuple[Flag, ...], words: Sequence[str], *, interspersed: bool
) -> tuple[dict[str, Value], list[str], str | None]:
    """(value of every flag by its first name, positional arguments, first complaint or None)."""
    named = {name: flag for flag in flags for name in flag[0]}
    values = {flag[0][0]: flag[2] for flag in flags}
    positional: list[str] = []
    problem: str | None = None
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            positional += words[at:]
            break
        name, equals, value = split_flag(word)
        if name not in named:
            if not positional and word.startswith("-") and word != "-":
                problem = problem or unknown_flag(word, name)
                continue
            if not interspersed:
                positional = list(words[at - 1 :])
                break
            positional.append(word)
            continue
        if not equals and named[name][1] != SWITCH:
            if at == len(words):
                problem = problem or f"flag needs an argument: -{name}"
                break
            value = words[at]
            at += 1
        complaint = _store(values, named[name], name, value if equals or named[name][1] != SWITCH else "true")
        problem = problem or complaint
    return values, positional, problem


def split_flag(word: str) -> tuple[str, str, str]:
    """`--name=value` to ("name", "=", "value"); ("", "", "") for what cannot be a flag."""
    if len(word) < 2 or word[0] != "-":
        return "", "", ""
    name, equals, value = word[2 if word[1] == "-" else 1 :].partition("=")
    return ("", "", "") if not name or name[0] == "-" else (name, equals, value)


def unknown_flag(word: str, name: str) -> str:
    return f"flag provided but not defined: -{name}" if name else f"bad flag syntax: {word}"


def _store(values: dict[str, Value], flag: Flag, spelled: str, value: str) -> str | None:
    """Put the value where it belongs, or say what is wrong with it."""
    names, kind, _default, _words = flag
    if kind == SWITCH:
        if value not in BOOLEANS:
            return f"invalid boolean value {quote(value)} for -{spelled}: parse error"
        values[names[0]] = BOOLEANS[value]
    elif kind in (COUNT, NUMBER):
        count = parse_count(value)
        if count is None:
            return f"invalid value {quote(value)} for flag -{spelled}: parse error"
        if not (0 if kind == COUNT else -LARGEST_COUNT) <= count <= LARGEST_COUNT:
            return f"invalid value {quote(value)} for flag -{spelled}: value out of range"
        values[names[0]] = count
    elif kind == MANY:
        before = values[names[0]]
        values[names[0]] = (*(before if isinstance(before, tuple) else ()), value)
    else:
        values[names[0]] = value
    return None


def parse_count(value: str) -> int | None:
    """An integer as Go writes it: 3, -3, 0x3, 0o3, 03."""
    if not value.isascii() or value != value.strip():
        return None
    try:
        return int(value, 8 if value.lstrip("+-").isdigit() and value.lstrip("+-")[0] == "0" else 0)
    except ValueError:
        return None


def program_name(called_as: str) -> str:
    """The base name; `python -m pyrunc` and an empty argv[0] are pyrunc."""
    name = called_as.rpartition("/")[2]
    return "pyrunc" if name in ("", "__main__.py", "-m", "-c") else name


def default_root(environment: Mapping[bytes, bytes], effective_uid: int) -> str:
    """/run/pyrunc, or $XDG_RUNTIME_DIR/pyrunc for users; podman gives root an empty XDG_RUNTIME_DIR.

    Root inside a user namespace that a user made still has that user's environment: USER is not root there.
    """
    runtime_directory = environment.get(b"XDG_RUNTIME_DIR", b"")
    if runtime_directory and (effective_uid != 0 or _is_users_namespace(environment)):
        return runtime_directory.decode("utf-8", "surrogateescape") + "/pyrunc"
    return "/run/pyrunc"


def _is_users_namespace(environment: Mapping[bytes, bytes]) -> bool:
    """Whether root is only root of a user namespace, and USER says whose."""
    if environment.get(b"USER", b"") == b"root":
        return False
    try:
        map_fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        if error.errno == ENOENT:  # no /proc: nothing says that we are inside one
            return False
        raise
    first_line = posix.read(map_fd, 4096).partition(b"\n")[0]
    posix.close(map_fd)
    return first_line.split() != [b"0", b"0", b"4294967295"]
