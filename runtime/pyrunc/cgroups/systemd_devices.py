"""The device rules of a scope while systemd changes something else of it: it writes all that it knows again.

Version 1: for a moment everything is denied, and what a hook has allowed since is lost; where everything is allowed but
what is denied, everything is.  So the container is frozen, as runc does, and then has its rules again.
Version 2: systemd attaches a program of its own beside ours, and both have to say yes; it is taken off again.
"""

from __future__ import annotations

from pyrunc import log
from pyrunc.cgroups.apply import apply
from pyrunc.cgroups.device_transition import CONTROLLER, differences, rules_of
from pyrunc.cgroups.devices import PLACE
from pyrunc.cgroups.freezer import freeze, thaw
from pyrunc.cgroups.processes import freezer_state
from pyrunc.cgroups.writes import Write
from pyrunc.errors import StateError, during
from pyrunc.kernel.bpf import attached_device_programs, detach_device_program, open_program
from pyrunc.kernel.files import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.devices import DeviceAccess
    from pyrunc.cgroups.place import ContainerCgroup

# A container that cannot be frozen in time is not: then an open may be refused for a moment.  One that may have all but
# what is denied is not changed.
FREEZING_SECONDS = 1.0


class DevicesKept:
    """What is allowed after its `with` block is what was allowed before.

    A user's manager knows of no devices: nobody without privileges may forbid any.
    """

    def __init__(self, cgroup: ContainerCgroup) -> None:
        self._cgroup = cgroup
        self._rules: DeviceAccess | None = None
        self._programs: list[int] = []
        self._is_frozen = False

    def __enter__(self) -> None:
        if self._cgroup.unit_of_user:
            return
        self._rules = rules_of(self._cgroup)
        if self._rules is None:
            self._programs = _programs_of(self._cgroup)
        elif (not self._rules.allow or self._cgroup.denied) and freezer_state(self._cgroup) == "THAWED":
            try:
                freeze(self._cgroup, FREEZING_SECONDS)
                self._is_frozen = True
            except StateError as error:
                if self._rules.allow:  # for a moment nothing would be denied
                    raise
                log.debug(f"devices are denied for a moment: {error}")

    def __exit__(self, *_error: object) -> None:
        if self._cgroup.unit_of_user:
            return
        try:
            if self._rules is None:
                _detach_others(self._cgroup, self._programs)
            elif not self._rules.allow:
                now = rules_of(self._cgroup)
                apply(self._cgroup, list(differences(now.exceptions if now else {}, self._rules.exceptions)))
            elif self._cgroup.denied:
                apply(self._cgroup, [Write(CONTROLLER, "devices.deny", one, PLACE) for one in self._cgroup.denied])
        finally:
            if self._is_frozen:
                thaw(self._cgroup)


def _programs_of(cgroup: ContainerCgroup) -> list[int]:
    joined = cgroup.find("")
    if joined is None:
        return []
    with during(f"device programs of {joined.path}"), open_directory(joined.path) as directory:
        return attached_device_programs(directory)


def _detach_others(cgroup: ContainerCgroup, kept: list[int]) -> None:
    """What has come since.  Where nothing was, systemd attaches nothing: then everything is allowed."""
    joined = cgroup.find("")
    if joined is None or not kept:
        return
    with during(f"device programs of {joined.path}"), open_directory(joined.path) as directory:
        for number in attached_device_programs(directory):
            program = open_program(number) if number not in kept else None
            if program is not None:
                with program:
                    detach_device_program(directory, program)
