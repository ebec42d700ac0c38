"""The device program of a cgroup of version 2 is loaded and attached: the doer of device_program.py.

The cgroup holds the program: nothing is pinned, and it goes with the cgroup.
"""

from __future__ import annotations

from pyrunc.cgroups.devices import PLACE
from pyrunc.errors import ConfigError, during
from pyrunc.kernel.bpf import (
    attach_device_program,
    attached_device_programs,
    detach_device_program,
    load_device_program,
    open_program,
)
from pyrunc.kernel.files import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.kernel.files import Fd


def set_device_program(cgroup: ContainerCgroup, instructions: bytes) -> None:
    """From now on this program alone decides for the cgroup, apart from those of cgroups above; b"" is none.

    What was attached before, by whoever had this cgroup (a runtime that was killed, systemd), is replaced at one stroke
    when it is one program, and when there are several it goes after the new one has come: at no moment is more allowed
    than by the old or by the new.
    """
    joined = cgroup.find("")
    if joined is None:
        raise ConfigError(f"{PLACE}: cannot set devices limit: container could not join or create cgroup")
    with during(f"{PLACE}: device program of {joined.path}"), open_directory(joined.path) as directory:
        old = [program for number in attached_device_programs(directory) if (program := open_program(number))]
        try:
            _change(directory, instructions, old)
        finally:
            for program in old:
                program.close()


def _change(directory: Fd, instructions: bytes, old: list[Fd]) -> None:
    if instructions:
        with load_device_program(instructions) as program:
            if len(old) == 1:
                attach_device_program(directory, program, old[0])
                return
            attach_device_program(directory, program)
    for one in old:
        detach_device_program(directory, one)
