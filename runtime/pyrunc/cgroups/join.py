"""The stage joins the version 1 hierarchies itself; version 2 it is born into (CLONE_INTO_CGROUP, clone(2))."""

from __future__ import annotations

from errno import EACCES, ENOENT, EPERM, EROFS

from pyrunc.kernel.constants import AT_FDCWD, O_CLOEXEC, O_WRONLY

REFUSED = (ENOENT, EACCES, EPERM, EROFS)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer


def emit_join(p: Program, cgroup: ContainerCgroup) -> None:
    """Write "0", the writing thread, to `tasks` in every v1 hierarchy.

    With `cgroup.optional`, where the directory could not be made, or lets nobody in, the process stays where it is.

    To `tasks`, not cgroup.procs: the kernel need not stop forks of a whole process then, which is what waits for an
    RCU grace period (0.25 ms for nine hierarchies instead of 10 ms each).  Host paths, so before pivot_root.
    """
    v1 = [joined for joined in cgroup.hierarchies if joined.version == 1]
    if v1:
        zero = p.constant(b"0")
    for joined in v1:
        _emit_join_one(p, joined, zero, REFUSED if cgroup.optional else ())


def _emit_join_one(p: Program, joined: JoinedHierarchy, zero: Pointer, refused: Sequence[int]) -> None:
    left_out = p.target()
    with p.at("linux.cgroupsPath", joined.path):
        tasks = p.result(
            "openat",
            AT_FDCWD,
            joined.path + "/tasks",
            O_WRONLY | O_CLOEXEC,
            doing="open tasks",
            tolerate=refused,
            otherwise=left_out,
        )
        p.call("write", tasks, zero, 1, doing=f"join the {','.join(joined.controllers)} cgroup", tolerate=refused)
        p.close(tasks)
    p.here(left_out)
