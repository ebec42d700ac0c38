"""The systemd driver: a container is a transient scope (org.freedesktop.systemd1(5)).

A scope cannot be without a process.  The caller has one to hold it open, which ends when the container's own is there:
so the cgroup exists before the container, with its limits, as with the cgroupfs driver.
"""

from __future__ import annotations

import posix
from errno import ENOENT

from ocispec.record import replace
from pyrunc import log
from pyrunc.cgroups import fs
from pyrunc.cgroups.dbus import open_manager
from pyrunc.cgroups.dbus_message import body_of
from pyrunc.cgroups.place import ContainerCgroup, is_only_v2, planned
from pyrunc.cgroups.systemd_properties import parse_version, since
from pyrunc.errors import BusError, ConfigError, StateError, UsageError, during
from pyrunc.kernel.files import exists, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.dbus import Manager
    from pyrunc.cgroups.systemd_names import ScopeName
    from pyrunc.cgroups.systemd_properties import Property
    from pyrunc.kernel.host import CgroupHierarchy, Host

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
RUNNING = "/run/systemd/system"  # sd_booted(3)
PRIVATE = "/run/systemd/private"
_USER_SERVICE = "user@{uid}.service"
MODE = "replace"  # of jobs: what is queued for the unit gives way


def check_running() -> None:
    """runc's words, which engines look for."""
    if not exists(RUNNING):
        raise UsageError("systemd not running on this host, cannot use systemd cgroups manager")


def is_of_user(host: Host) -> bool:
    """Whose manager it is: a user's own for a user, and for the root of a namespace that a user made.

    Root of a namespace in which systemd runs as root too finds its socket to be root's.
    """
    if host.euid != 0:
        return True
    if not host.in_user_namespace:
        return False
    try:
        return posix.stat(PRIVATE).st_uid != 0
    except OSError as error:
        if error.errno != ENOENT:
            raise
    return True


def plan(hierarchies: Sequence[CgroupHierarchy], scope: ScopeName) -> ContainerCgroup:
    """Where systemd will put the scope; `create` looks where it did."""
    if scope.of_user and not is_only_v2(hierarchies):
        raise ConfigError("cannot use rootless systemd cgroups manager on cgroup v1")
    base = _base_of_user(hierarchies) if scope.of_user else ""
    cgroup = planned(hierarchies, [base + scope.path] * len(hierarchies))
    return _as_unit(cgroup, scope)


def _as_unit(cgroup: ContainerCgroup, scope: ScopeName) -> ContainerCgroup:
    """Its directories are all the container's: those that systemd does not remove, we do."""
    made = tuple(joined.path for joined in cgroup.hierarchies)
    return replace(cgroup, made=made, unit=scope.unit, unit_of_user=scope.of_user)


def _base_of_user(hierarchies: Sequence[CgroupHierarchy]) -> str:
    """The cgroup of the user's manager, as it usually is; above ours, if we are one of its own."""
    outer = _outer_uid()
    service = _USER_SERVICE.format(uid=outer)
    own_path = hierarchies[-1].own_path
    before, found, _rest = f"{own_path}/".partition(f"/{service}/")
    return f"{before}/{service}" if found else f"/user.slice/user-{outer}.slice/{service}"


def _outer_uid() -> int:
    """Our uid as the namespace above has it: user_namespaces(7)."""
    euid = posix.geteuid()
    for line in read_file("/proc/self/uid_map").splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= euid < inside + count:
            return outside + euid - inside
    return euid


def create(
    hierarchies: Sequence[CgroupHierarchy], scope: ScopeName, properties: Sequence[Property], holder: int
) -> ContainerCgroup:
    """Start the scope with the process `holder` in it.  Raises StateError when there is such a unit already."""
    with during("unable to apply cgroup configuration"):
        with open_manager(of_user=scope.of_user) as manager:
            _start(manager, scope.unit, [*_known(manager, properties), ("PIDs", ("au", [holder]))])
        try:
            return _find(hierarchies, scope, holder)
        except BaseException:
            stop(scope.unit, of_user=scope.of_user)
            raise


def _known(manager: Manager, properties: Sequence[Property]) -> list[Property]:
    """Those that this systemd has; for the others there are the files of the cgroup alone."""
    if not any(since(one) for one in properties):
        return list(properties)
    version = parse_version(manager.version())
    for one in properties:
        if since(one) > version:
            log.debug(f"systemd {version} is not told of {one[0]}, which came with {since(one)}")
    return [one for one in properties if since(one) <= version]


def _start(manager: Manager, unit: str, properties: Sequence[Property]) -> None:
    waiting_for = f"start the unit {unit}"
    arguments: tuple[object, ...] = (unit, MODE, properties, [])
    signature = "ssa(sv)a(sa(sv))"
    with during(waiting_for):
        try:
            answer = manager.call("StartTransientUnit", signature, arguments, waiting_for)
        except BusError as error:
            if error.name != UNIT_EXISTS:
                raise
            # One that failed is kept for people to look at (systemctl --failed).  Nothing happens to one that runs.
            _reset(manager, unit)
            try:
                answer = manager.call("StartTransientUnit", signature, arguments, waiting_for)
            except BusError as again:
                if again.name != UNIT_EXISTS:
                    raise
                raise StateError(again.text) from again
        result = manager.wait_for_job(body_of(answer, "o")[0], waiting_for)
        if result != "done":
            _reset(manager, unit)
            raise StateError(f"the job ended as {result!r}")


def _reset(manager: Manager, unit: str) -> None:
    """What failed is forgotten; a unit that is gone has nothing to forget."""
    try:
        manager.call("ResetFailedUnit", "s", (unit,), f"reset the unit {unit}")
    except BusError as error:
        if error.name != NO_SUCH_UNIT:
            raise


def _find(hierarchies: Sequence[CgroupHierarchy], scope: ScopeName, holder: int) -> ContainerCgroup:
    """Where the scope is, asked of the kernel; made in the hierarchies that systemd leaves to others (version 1)."""
    path = path_of(read_file(f"/proc/{holder}/cgroup").decode("utf-8", "surrogateescape"))
    if path.rpartition("/")[2] != scope.unit:
        raise StateError(f"systemd has not moved process {holder} to {scope.unit} but to {path}")
    cgroup = planned(hierarchies, [path] * len(hierarchies))
    for joined in cgroup.hierarchies:
        fs.make_joined(joined)
    return _as_unit(cgroup, scope)


def path_of(memberships: str) -> str:
    """The path in the hierarchy that is systemd's own, of the content of /proc/PID/cgroup."""
    found = ""
    for line in memberships.splitlines():
        _number, names, path = line.split(":", 2)
        if names == "name=systemd":
            return path
        if not names:
            found = path
    return found


def remove(cgroup: ContainerCgroup) -> None:
    """The unit, with what runs in it, and then those directories that are not systemd's."""
    stop(cgroup.unit, of_user=cgroup.unit_of_user)
    fs.remove(cgroup)


def stop(unit: str, *, of_user: bool) -> None:
    """Does nothing for a unit that is gone: a scope ends with its last process."""
    waiting_for = f"stop the unit {unit}"
    with during(waiting_for), open_manager(of_user=of_user) as manager:
        try:
            answer = manager.call("StopUnit", "ss", (unit, MODE), waiting_for)
            manager.wait_for_job(body_of(answer, "o")[0], waiting_for)
        except BusError as error:
            if error.name != NO_SUCH_UNIT:
                raise
        _reset(manager, unit)


def set_properties(cgroup: ContainerCgroup, properties: Sequence[Property]) -> None:
    """Until the next boot, as the unit itself.  Returns when systemd has written what comes of them."""
    from pyrunc.cgroups.systemd_devices import DevicesKept  # update alone

    waiting_for = f"change the unit {cgroup.unit}"
    with during(waiting_for), open_manager(of_user=cgroup.unit_of_user) as manager, DevicesKept(cgroup):
        arguments = (cgroup.unit, True, _known(manager, properties))
        manager.call("SetUnitProperties", "sba(sv)", arguments, waiting_for)
        # It writes when it comes back to its event loop (manager_dispatch_cgroup_realize_queue), that is before it
        # answers another call.
        manager.call("GetUnit", "s", (cgroup.unit,), waiting_for)


def attach(cgroup: ContainerCgroup, pid: int) -> None:
    """Have systemd move a process into the unit: a user may not move one out of the session by himself."""
    waiting_for = f"move process {pid} to the unit {cgroup.unit}"
    with during(waiting_for), open_manager(of_user=cgroup.unit_of_user) as manager:
        manager.call("AttachProcessesToUnit", "ssau", (cgroup.unit, "", [pid]), waiting_for)
