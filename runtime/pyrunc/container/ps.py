"""ps: which processes a container has, and the lines of ps(1) about them."""

from __future__ import annotations

import posix
from errno import ENOENT
from posix import POSIX_SPAWN_DUP2 as DUP2

from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.processes import processes
from pyrunc.errors import PyruncError, go_strerror
from pyrunc.kernel.constants import MFD_CLOEXEC
from pyrunc.kernel.files import Fd
from pyrunc.kernel.processes import keep_from_children, reap
from pyrunc.process.hooks import describe_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyrunc.container.store import Store

# Not searched in PATH: podman calls us without one, and it could lead anywhere.
PS = ("/usr/bin/ps", "/bin/ps")


def processes_of(store: Store, container_id: str) -> list[int]:
    """Sorted; none when it has stopped."""
    record = store.load(container_id)
    return processes(from_json(record.cgroup)) if record.cgroup else []


def table(pids: Collection[int], options: Sequence[str]) -> str:
    """The heading of ps(1) with these options, and the lines of these processes."""
    wanted = frozenset([str(pid) for pid in pids])
    heading, *lines = output_of_ps(options).split("\n")
    try:
        column = heading.split().index("PID")
    except ValueError:
        raise PyruncError("couldn't find PID field in ps output") from None
    chosen = [line for line in lines if line.split()[column : column + 1] and line.split()[column] in wanted]
    return "\n".join([heading, *chosen, ""])


def output_of_ps(options: Sequence[str]) -> str:
    """What ps(1) prints.  Raises PyruncError, in runc's words, when it fails."""
    with Fd(posix.memfd_create("ps", MFD_CLOEXEC)) as output:
        status = reap(_spawn(options, output)) or 0
        size = posix.fstat(output.number).st_size
        text = posix.pread(output.number, size, 0).decode("utf-8", "surrogateescape")
    if status:
        raise PyruncError(f"{describe_status(status)}: {text}")
    return text


def _spawn(options: Sequence[str], output: Fd) -> int:
    # Its output depends on COLUMNS, LANG, TZ and PS_FORMAT; the dynamic linker is given nothing.
    environment = {name: value for name, value in posix.environ.items() if not name.startswith(b"LD_")}
    actions = [(DUP2, output.number, 1), (DUP2, output.number, 2)]
    keep_from_children()
    for path in PS:
        try:
            return posix.posix_spawn(path, ("ps", *options), environment, file_actions=actions)
        except OSError as error:
            if error.errno != ENOENT:
                raise PyruncError(f"fork/exec {path}: {go_strerror(error.errno or 0)}") from error
    raise PyruncError('exec: "ps": executable file not found in /usr/bin and /bin')
