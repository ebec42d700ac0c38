"""process/procfs.py: a new procfs, or the one that is there if it is one."""

from __future__ import annotations

from errno import EACCES, EPERM
from typing import Any

import pytest

from pretended_procfs import PROCFS, of_its_root, of_procfs
from pyrunc.process.procfs import emit_host_procfs, emit_procfs
from pyrunc.program.builder import Program
from pyrunc.program.simulator import simulate


def run(kernel: dict[str, Any]) -> Any:
    p = Program()
    emit_procfs(p)
    return simulate(p, kernel)


def test_a_new_one_needs_no_path() -> None:
    ran = run(PROCFS)
    assert ran.ended == "end"
    assert len(ran.calls("fsmount")) == 1
    assert ran.calls("openat") == []


@pytest.mark.parametrize("call", ["fsopen", "fsconfig", "fsmount"])
@pytest.mark.parametrize("errno", [EPERM, EACCES])
def test_where_none_may_be_made_it_is_the_hosts(call: str, errno: int) -> None:
    ran = run({**PROCFS, call: [0, -errno] if call == "fsconfig" else -errno})  # first its source, then it is made
    assert ran.ended == "end"
    assert [words[1] for words in ran.calls("openat")] == ["/proc"]


@pytest.mark.parametrize("lacking", [{"fstatfs": of_procfs}, {"statx": of_its_root}, {}])
def test_what_is_not_the_root_of_a_procfs_is_refused(lacking: dict[str, Any]) -> None:
    assert run({**lacking, "fsopen": -EPERM}).ended == "failed"
    p = Program()
    emit_host_procfs(p)
    assert simulate(p, lacking).ended == "failed"


@pytest.mark.parametrize("emit", [emit_procfs, emit_host_procfs])
def test_in_a_joined_mount_namespace_the_name_is_not_used(emit: Any) -> None:
    p = Program()
    emit(p, 7)
    ran = simulate(p, {**PROCFS, "fsopen": -EPERM})
    assert [words[:2] for words in ran.calls("openat")] == [(7, ".")]
