"""Where the LSM's label is written to, on the real procfs.  This kernel enforces none: what arrives is EINVAL."""

from __future__ import annotations

from errno import EINVAL, EUCLEAN, EXDEV
from typing import TYPE_CHECKING

import pytest

from ocispec.config import Process, User
from pyrunc.kernel.constants import CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, O_DIRECTORY, O_PATH
from pyrunc.kernel.host import Host
from pyrunc.process.procfs import emit_host_procfs
from pyrunc.program.builder import Program
from pyrunc.security.lsm import emit_label
from stage_process import encoded, run_stage

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=(), has_selinux=True)
PROCESS = Process(args=("x",), cwd="/", user=User(uid=0, gid=0), selinux_label="a:b:c:s0")


def written(stage: Path, covered: str = "", source: str = "", *, proc: int | None = None) -> tuple[str, int]:
    """(the failing operation's words, errno) with `source` mounted over a path, in a mount namespace of its own.

    `proc`: what the stage is to open the host's /proc as before that, as the runtime gives it.
    """
    p = Program()
    if proc is not None:
        before = p.result("openat", -100, "/proc", O_PATH | O_DIRECTORY)
        p.call("dup3", before, proc, 0)
    p.call("unshare", CLONE_NEWNS)
    p.call("mount", "", "/", "", MS_REC | MS_PRIVATE, "")
    if covered:
        p.call("mount", source, covered, "", MS_BIND, "")
    emit_label(p, PROCESS, HOST, lambda p: emit_host_procfs(p, proc))
    messages, _status = run_stage([stage], encoded(p))
    index, value = messages[-1]
    return p.operation(index).label.doing, -value


def test_it_arrives(stage: Path) -> None:
    """The control for the others: the attribute was opened, and the kernel has nobody for the label."""
    assert written(stage) == ("set the label", EINVAL)


@pytest.mark.parametrize("covered", ["/proc/self/attr/exec", "/proc/self/attr"])
def test_another_file_of_procfs_in_its_place(stage: Path, covered: str) -> None:
    """CVE-2025-52881: that is a procfs too, and its own check would not tell."""
    source = "/proc/self/sched" if covered.endswith("exec") else "/proc/self/task"
    assert written(stage, covered, source) == ("open /proc/self/attr/exec", EXDEV)


@pytest.mark.parametrize(
    ("source", "words"), [("/tmp", "check that /proc is procfs"), ("/proc/1", "check that /proc is procfs' root")]
)
def test_something_else_in_the_place_of_proc(stage: Path, source: str, words: str) -> None:
    assert written(stage, "/proc", source) == (words, EUCLEAN)


def test_somebody_elses_proc_is_not_asked(stage: Path) -> None:
    """As after joining a mount namespace by path, whose /proc may be anything."""
    assert written(stage, "/proc", "/tmp", proc=50) == ("set the label", EINVAL)
