"""linux.intelRdt: classes of the resctrl file system (config-linux.md#intelrdt, the kernel's filesystems/resctrl.rst).

    <root>/<closID>/            a class: cache and memory bandwidth for the tasks in it
        schemata                its share, a line a resource:  L3:0=ff;1=f
        tasks                   who is in it; children of tasks are
        mon_groups/<id>/        a group in it that is counted by itself

Not a cgroup, but what a cgroup is for, and made, joined and removed at the same moments.
"""

from __future__ import annotations

import posix
from errno import EEXIST, ENOENT

from ocispec.record import Record
from pyrunc.errors import ConfigError, PyruncError, Unsupported, during, errno_words
from pyrunc.kernel.files import exists, read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ocispec.linux import IntelRdt

ROOT_CLASS = "/"
_MASKS = ("L2", "L2CODE", "L2DATA", "L3", "L3CODE", "L3DATA")  # bit masks in hexadecimal; other values are decimal


class Group(Record):
    """Where a container's tasks go.  Paths are absolute; it is kept in state.json."""

    path: str  # the class's directory
    monitor: str = ""  # the monitoring group's
    is_own: bool = False  # named after the container: made with it and removed with it, as nothing else is

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "monitor": self.monitor, "own": self.is_own}


def from_json(document: Mapping[str, Any]) -> Group:
    return Group(path=document["path"], monitor=document["monitor"], is_own=document["own"])


def mount_point() -> str:
    """Where resctrl is mounted.  Raises Unsupported."""
    for line in read_file("/proc/self/mounts").split(b"\n"):
        fields = line.split(b" ")
        if len(fields) > 2 and fields[2] == b"resctrl":
            return fields[1].decode("utf-8", "surrogateescape")
    # runc's words
    words = "intelRdt is specified in config, but Intel RDT is not supported or enabled"
    raise Unsupported(
        f"linux.intelRdt: {words}", hint="no resctrl file system is mounted, on /sys/fs/resctrl as a rule"
    )


def group_of(rdt: IntelRdt, container_id: str, root: str) -> Group:
    """Pure: where this container belongs."""
    path = root if rdt.clos_id == ROOT_CLASS else f"{root}/{rdt.clos_id or container_id}"
    monitor = f"{path}/mon_groups/{container_id}" if rdt.enable_monitoring else ""
    return Group(path=path, monitor=monitor, is_own=not rdt.clos_id)


def writes_of(rdt: IntelRdt) -> tuple[str, ...]:
    """What is written to `schemata`, one string a write(2): the old two keys together, then the list.  Pure."""
    old = [line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema) if line]
    return tuple("".join(f"{line}\n" for line in lines) for lines in (old, rdt.schemata) if lines)


def make(rdt: IntelRdt, group: Group, root: str, make_directory: Callable[[str], None] = posix.mkdir) -> None:
    """The class and its monitoring group, as far as they are not there.  What was made and then fails is removed.

    Raises ConfigError for a named class that is missing or different, PyruncError with the kernel's own reason.
    """
    writes = writes_of(rdt)
    made: list[str] = []
    try:
        if exists(group.path) and not group.is_own:
            _compare(writes, group.path)
        elif rdt.clos_id and not writes:
            raise ConfigError(
                f"linux.intelRdt.closID: there is no class {rdt.clos_id}, and no schemata to make it with"
            )
        else:
            _make_directory(group.path, made, make_directory, "linux.intelRdt.closID")
            for text in writes:
                write_schemata(group.path, text, root)
        if group.monitor:
            _make_directory(group.monitor, made, make_directory, "linux.intelRdt.enableMonitoring")
    except BaseException:
        for path in reversed(made):
            remove_directory(path)
        raise


def join(group: Group, pid: int) -> None:
    """Put a process in; it has one thread."""
    for path in filter(None, (group.path, group.monitor)):
        with during(f"linux.intelRdt: write {path}/tasks"):
            write_file(f"{path}/tasks", str(pid))


def remove(group: Group) -> None:
    """What is the container's own, and no class that config.json named."""
    if group.monitor:
        remove_directory(group.monitor)
    if group.is_own:
        remove_directory(group.path)


def remove_directory(path: str) -> None:
    """rmdir; the kernel moves tasks that are left to the class above."""
    try:
        posix.rmdir(path)
    except OSError as error:
        if error.errno != ENOENT:
            with during(f"rmdir {path}"):
                raise


def read_schemata(path: str) -> str:
    with during(f"linux.intelRdt: read {path}/schemata"):
        return read_file(f"{path}/schemata").decode()


def write_schemata(path: str, text: str, root: str) -> None:
    try:
        write_file(f"{path}/schemata", text)
    except OSError as error:
        shown = text.strip().replace("\n", ", ")
        reason = _last_status(root)
        words = f"linux.intelRdt: write '{shown}' to {path}/schemata: {errno_words(error.errno or 0)}"
        raise PyruncError(f"{words}: {reason}" if reason else words) from error


def _last_status(root: str) -> str:
    """Why the kernel refused (resctrl.rst, "info/last_cmd_status"); "" where it does not say."""
    try:
        said = read_file(f"{root}/info/last_cmd_status").decode("utf-8", "replace").strip()
    except FileNotFoundError:  # ENOENT
        return ""
    return "" if said == "ok" else said


def _make_directory(path: str, made: list[str], make_directory: Callable[[str], None], place: str) -> None:
    try:
        make_directory(path)
    except OSError as error:
        if error.errno == EEXIST:  # what a runtime that was killed left
            return
        with during(f"{place}: mkdir {path}"):
            raise
    made.append(path)


def _compare(writes: Sequence[str], path: str) -> None:
    """A class that is there already must be what was asked for: it is not changed."""
    if not writes:
        return
    found = parse_schemata(read_file(f"{path}/schemata").decode("utf-8", "replace"))
    for resource, domains in parse_schemata("".join(writes)).items():
        for domain, value in domains.items():
            if found.get(resource, {}).get(domain) != value:
                raise ConfigError(f"linux.intelRdt: the class {path} has another {resource} schema than config.json")


def parse_schemata(text: str) -> dict[str, dict[str, int | str]]:
    """Resource -> domain -> value, of lines such as "L3:0=ff;1=0f"; masks and numbers compare as what they mean."""
    found: dict[str, dict[str, int | str]] = {}
    for line in text.splitlines():
        resource, colon, rest = line.strip().partition(":")
        if not colon:
            continue
        domains = found.setdefault(resource, {})
        for piece in rest.split(";"):
            domain, _equals, value = piece.strip().partition("=")
            domains[domain.strip()] = _value(value.strip(), 16 if resource in _MASKS else 10)
    return found


def _value(text: str, base: int) -> int | str:
    try:
        return int(text, base)
    except ValueError:
        return text
