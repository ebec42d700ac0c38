"""The id maps of the user namespace, written by the parent: user_namespaces(7).

A privileged parent writes them itself.  An unprivileged one may write a map of just its own id; for more there are
newuidmap(1) and newgidmap(1), which know /etc/subuid and /etc/subgid.  A joined namespace has its maps already: when
config.json has some too, they are compared.
"""

from __future__ import annotations

import posix

from pyrunc.errors import ConfigError, PyruncError, Unsupported, during
from pyrunc.kernel.constants import O_CLOEXEC, O_RDWR
from pyrunc.kernel.files import Fd, exists, read_file, write_file
from pyrunc.kernel.processes import keep_from_children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.linux import IDMapping
    from pyrunc.kernel.host import Host
    from pyrunc.namespaces.plan import NamespacePlan

# Not $PATH: these programs are setuid or have file capabilities, and pyrunc trusts what they say.
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
_MAX_MESSAGE = 4096


def write_id_maps(pid: int, plan: NamespacePlan, host: Host) -> None:
    """Give `pid`'s user namespace its maps, or compare them if it was joined; a no-op without one.

    `pid` is our child and not yet waited for, so nobody else has that number.
    """
    if plan.is_new("user"):
        _write_map(pid, "gid", plan.gid_mappings, host.egid, plan.is_privileged)
        _write_map(pid, "uid", plan.uid_mappings, host.euid, plan.is_privileged)
    elif plan.needs_map_sync:
        _compare_map(pid, "uid", plan.uid_mappings)
        _compare_map(pid, "gid", plan.gid_mappings)


def format_map(mappings: Sequence[IDMapping]) -> str:
    """The text of /proc/PID/uid_map: one line a range, first id inside, first id outside, how many."""
    return "".join(f"{m.container_id} {m.host_id} {m.size}\n" for m in mappings)


def parse_map(content: bytes) -> list[tuple[int, int, int]]:
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in content.splitlines())]


def can_write_alone(mappings: Sequence[IDMapping], own_id: int) -> bool:
    """Whether an unprivileged process may write this map: a single range of a single id, its own."""
    return len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == own_id


def _write_map(pid: int, name: str, mappings: Sequence[IDMapping], own_id: int, privileged: bool) -> None:
    alone = can_write_alone(mappings, own_id)
    if not privileged and not alone:
        _run_map_program(pid, f"new{name}map", mappings)
        return
    if not privileged and name == "gid":
        # CVE-2014-8989: dropping a group could give access, so an unprivileged gid map forbids setgroups(2).
        with during("forbid setgroups in the user namespace"):
            write_file(f"/proc/{pid}/setgroups", "deny")
    with during(f"linux.{name}Mappings: write the {name} map of the user namespace"):
        write_file(f"/proc/{pid}/{name}_map", format_map(mappings))


def _compare_map(pid: int, name: str, mappings: Sequence[IDMapping]) -> None:
    with during(f"read the {name} map of the user namespace"):
        found = parse_map(read_file(f"/proc/{pid}/{name}_map"))
    wanted = [(m.container_id, m.host_id, m.size) for m in mappings]
    if sorted(found) != sorted(wanted):
        raise ConfigError(f"linux.{name}Mappings: not the mappings of the user namespace that linux.namespaces names")


def map_program(name: str) -> str:
    """Where newuidmap or newgidmap is, "" when it is not installed."""
    return next((f"{directory}/{name}" for directory in _DIRECTORIES if exists(f"{directory}/{name}")), "")


def _run_map_program(pid: int, name: str, mappings: Sequence[IDMapping]) -> None:
    path = map_program(name)
    if not path:
        raise Unsupported(
            f"{name} is needed to map more than one's own id, and is in none of {', '.join(_DIRECTORIES)}"
        )
    argv = [path, str(pid)]
    for m in mappings:
        argv += [str(m.container_id), str(m.host_id), str(m.size)]
    with during(f"run {path}"):
        status, said = _run(argv)
    if status != 0:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise PyruncError(f"{path}: {said or how}")


def _run(argv: list[str]) -> tuple[int, str]:
    """Exit status (negative: signal) and what it wrote to stderr, on one line.  Its environment is empty."""
    reading, writing = posix.pipe2(O_CLOEXEC)
    with Fd(reading) as ours, Fd(writing) as theirs:
        actions = [
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", O_RDWR, 0),
            (posix.POSIX_SPAWN_OPEN, 1, "/dev/null", O_RDWR, 0),
            (posix.POSIX_SPAWN_DUP2, theirs.number, 2),
        ]
        keep_from_children()
        child = posix.posix_spawn(argv[0], argv, {}, file_actions=actions)
        theirs.close()
        said = _read_message(ours)
    return posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]), said


def _read_message(source: Fd) -> str:
    """All of it, so that the program never blocks; the first 4 KiB of it are kept."""
    kept = b""
    while chunk := posix.read(source.number, _MAX_MESSAGE):
        kept = (kept + chunk)[:_MAX_MESSAGE]
    return "; ".join(kept.decode("utf-8", "replace").split("\n")).strip("; ")
