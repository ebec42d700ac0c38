"""bpf(2), as far as it concerns programs that decide about devices for a cgroup of version 2."""

from __future__ import annotations

from errno import ENOENT

from pyrunc.kernel.constants import BPF_F_ALLOW_MULTI
from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper, unsigned_array

_MAX_ATTACHED = 64  # BPF_CGROUP_MAX_PROGS of the kernel's include/linux/bpf-cgroup.h


def load_device_program(instructions: bytes) -> Fd:
    """BPF_PROG_LOAD of struct bpf_insn[]; the verifier's refusal is EINVAL or EACCES."""
    return Fd(check(helper.pyrunc_load_device_program(instructions, len(instructions))))


def attach_device_program(cgroup: Fd, program: Fd, replaced: Fd | None = None) -> None:
    """BPF_PROG_ATTACH beside those of cgroups above and below (all must say yes), in the place of `replaced`."""
    number = replaced.number if replaced is not None else -1
    check(helper.pyrunc_attach_device_program(cgroup.number, program.number, BPF_F_ALLOW_MULTI, number))


def detach_device_program(cgroup: Fd, program: Fd) -> None:
    check(helper.pyrunc_detach_device_program(cgroup.number, program.number))


def attached_device_programs(cgroup: Fd) -> list[int]:
    """The ids of the programs attached to this cgroup itself."""
    ids = unsigned_array(_MAX_ATTACHED)
    count = check(helper.pyrunc_query_device_programs(cgroup.number, ids, _MAX_ATTACHED))
    return [ids[index] for index in range(count)]


def open_program(number: int) -> Fd | None:
    """The program of this id; None if it is gone."""
    try:
        return Fd(check(helper.pyrunc_open_program(number)))
    except OSError as error:
        if error.errno == ENOENT:
            return None
        raise
