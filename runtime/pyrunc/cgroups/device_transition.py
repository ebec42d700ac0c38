"""Version 1, a cgroup that has device rules already: what is to be written so that those of the plan are in force.

A cgroup with children refuses another default (`a`: EINVAL, devcgroup_update_access() of the kernel's
security/device_cgroup.c), and one that systemd has made has most of the rules.  So devices.list is read and the
difference alone is written, what is allowed first: at no moment is anything denied that both lists allow, or allowed
that neither does.
"""

from __future__ import annotations

from errno import EINVAL

from pyrunc.cgroups.devices import ANY, PLACE, DeviceAccess, ordered, spell
from pyrunc.cgroups.writes import Write
from pyrunc.errors import during
from pyrunc.kernel.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyrunc.cgroups.devices import Exceptions, Key
    from pyrunc.cgroups.place import ContainerCgroup

CONTROLLER = "devices"
DENIED_BEFORE = "the cgroup has children: what was denied before stays denied"


def only_changes(cgroup: ContainerCgroup, writes: Sequence[Write]) -> list[Write]:
    """The writes, with those of device rules (devices.v1_writes) replaced by what they change here."""
    full = [write for write in writes if write.controller == CONTROLLER]
    present = rules_of(cgroup) if full else None
    if present is None:
        return list(writes)
    others = [write for write in writes if write.controller != CONTROLLER]
    return [*changes(present, full), *others]


def rules_of(cgroup: ContainerCgroup) -> DeviceAccess | None:
    """None without version 1's controller."""
    joined = cgroup.find(CONTROLLER)
    if joined is None:
        return None
    path = f"{joined.path}/devices.list"
    with during(f"read {path}"):
        return parse_list(read_file(path).decode().splitlines())


def parse_list(lines: Iterable[str]) -> DeviceAccess:
    """What devices.list says: `a *:* rwm` where everything is allowed but what it does not tell, or what is allowed."""
    exceptions: Exceptions = {}
    for line in lines:
        if line[0] == "a":
            return DeviceAccess(allow=True, exceptions={})
        key, letters = _parse(line)
        exceptions[key] = ordered({*exceptions.get(key, ""), *letters})
    return DeviceAccess(allow=False, exceptions=exceptions)


def changes(present: DeviceAccess, full: Sequence[Write]) -> Iterator[Write]:
    """`full`: a write of the default and then one for each of its exceptions."""
    default, *exceptions = full
    if default.file == "devices.allow":
        # What is denied beside "everything" cannot be read, so nothing can be left out.
        may_not = (EINVAL,) if present.allow else ()
        yield Write(CONTROLLER, default.file, default.value, default.place, tolerate=may_not, because=DENIED_BEFORE)
        yield from exceptions
    elif present.allow:
        yield from full
    else:
        yield from differences(present.exceptions, dict([_parse(write.value) for write in exceptions]))


def differences(present: Exceptions, wanted: Exceptions) -> Iterator[Write]:
    """Where the default is to deny.

    A deny takes away from an exception that is spelled the same, and from no other (dev_exception_rm()).
    """
    for file, those, than in (("devices.allow", wanted, present), ("devices.deny", present, wanted)):
        for key, letters in those.items():
            more = set(letters) - set(than.get(key, ""))
            if more:
                yield Write(CONTROLLER, file, spell(key, ordered(more)), PLACE)


def _parse(line: str) -> tuple[Key, str]:
    """`c 136:* rwm`, the inverse of devices.spell."""
    kind, numbers, letters = line.split()
    major, minor = [ANY if number == "*" else int(number) for number in numbers.split(":")]
    return (kind, major, minor), letters
