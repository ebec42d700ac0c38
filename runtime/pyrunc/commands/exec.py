"""exec: run another process in a running container."""

from __future__ import annotations

from ocispec.config import Capabilities
from ocispec.record import replace
from pyrunc.commands.create import absolute
from pyrunc.container.execute import ExecOptions, execute, read_process_file
from pyrunc.container.store import Store
from pyrunc.errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Process, User
    from pyrunc.cli.parse import Arguments

_MAX_ID = (1 << 32) - 2


def run(arguments: Arguments) -> int:
    _check(arguments)
    options = ExecOptions(
        container_id=arguments.container_id,
        change=lambda config: process_of(arguments, config),
        detach=arguments.detach,
        pid_file=absolute(arguments.pid_file),
        console_socket=absolute(arguments.console_socket),
        pidfd_socket=absolute(arguments.pidfd_socket),
        preserve_fds=arguments.preserve_fds,
        cgroups=arguments.cgroup,
        ignore_paused=arguments.ignore_paused,
        subreaper=not arguments.no_subreaper,
    )
    return execute(Store(arguments.root), options)


def _check(arguments: Arguments) -> None:
    if not arguments.process and len(arguments.positional) < 2:
        raise UsageError("process args cannot be empty")
    if arguments.process and len(arguments.positional) > 1:
        raise UsageError("--process and arguments exclude each other")


def process_of(arguments: Arguments, config: Config) -> Process:
    """The process that is asked for: a file, or the container's own changed by flags."""
    base = config.process
    if base is None:
        raise ConfigError("process property must not be empty")
    if arguments.process:
        return _from_file(arguments.process, base)
    return _changed(arguments, base)


def _from_file(path: str, base: Process) -> Process:
    """A bare process.json; where it says nothing of capabilities, limits or labels the container's hold, as in runc."""
    process = read_process_file(path)
    return replace(
        process,
        capabilities=process.capabilities or base.capabilities,
        rlimits=process.rlimits or base.rlimits,
        apparmor_profile=process.apparmor_profile or base.apparmor_profile,
        selinux_label=process.selinux_label or base.selinux_label,
        oom_score_adj=base.oom_score_adj if process.oom_score_adj is None else process.oom_score_adj,
        scheduler=process.scheduler or base.scheduler,
        io_priority=process.io_priority or base.io_priority,
        exec_cpu_affinity=process.exec_cpu_affinity or base.exec_cpu_affinity,
    )


def _changed(arguments: Arguments, base: Process) -> Process:
    return replace(
        base,
        args=arguments.positional[1:],
        terminal=arguments.tty,
        cwd=arguments.cwd or base.cwd,
        env=(*base.env, *arguments.env),
        user=_user(arguments, base.user),
        capabilities=_capabilities(arguments.cap, base.capabilities),
        apparmor_profile=arguments.apparmor or base.apparmor_profile,
        selinux_label=arguments.process_label or base.selinux_label,
        no_new_privileges=base.no_new_privileges or arguments.no_new_privs,
    )


def _capabilities(names: tuple[str, ...], base: Capabilities | None) -> Capabilities | None:
    """--cap: never inheritable (CVE-2022-29162), and ambient only where the container has ambient ones."""
    if not names:
        return base
    base = base or Capabilities()
    return Capabilities(
        bounding=(*base.bounding, *names),
        effective=(*base.effective, *names),
        permitted=(*base.permitted, *names),
        inheritable=base.inheritable,
        ambient=(*base.ambient, *names) if base.ambient else (),
    )


def _user(arguments: Arguments, base: User) -> User:
    """--user uid[:gid] and --additional-gids; without a gid the container's stays, as in runc."""
    uid, gid = base.uid, base.gid
    if arguments.user:
        first, colon, second = arguments.user.partition(":")
        uid = parse_id(first, "user", "uid")
        if colon:
            gid = parse_id(second, "user", "gid")
    gids = tuple(parse_id(text, "additional-gids", "gid") for text in arguments.additional_gids)
    return replace(base, uid=uid, gid=gid, additional_gids=(*base.additional_gids, *gids))


def parse_id(text: str, flag: str, what: str) -> int:
    """Plain decimal digits, at most 2^32-2: int() would take "+1", " 1" and "1_0" (CVE-2016-3697, CVE-2026-30892)."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > _MAX_ID:
        raise UsageError(f"parsing {text!r} as a {what} for -{flag}: must be a number from 0 to {_MAX_ID}")
    return int(text)
