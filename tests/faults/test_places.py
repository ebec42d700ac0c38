"""A state root in trouble: full, read-only, or crowded.  Each in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Result, Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle

CROWD = 10_000


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    runtime = Runtime(tmp_path)
    runtime.state_root.mkdir()
    return runtime


def script(runtime: Runtime, bundle: Bundle, text: str) -> Result:
    """Shell commands with the state root as $S, pyrunc on it as $P, and a create as $C; the mounts end with them."""
    bundle.args("true")
    bundle.save()
    program = f"{PATH} --root {runtime.state_root}"
    settings = f"S={runtime.state_root} P='{program}' C='{program} create --bundle {bundle.path}'; set -u\n"
    return runtime.raw(["unshare", "--mount", "--propagation", "private", "sh", "-c", settings + text])


@pytest.mark.parametrize("inodes", range(2, 8))
def test_no_inodes_left(runtime: Runtime, bundle: Bundle, inodes: int) -> None:
    """create fails or works; either way nothing is in the way afterwards.  5 are the root, the directory, the
    journal, the exec fifo and state.json.
    """
    name = runtime.new_id()
    text = f"""
        mount -t tmpfs -o nr_inodes={inodes} tmpfs $S
        $C {name}; echo $?
        $P delete --force {name} || echo delete
        ls $S
        mount -o remount,nr_inodes=100 $S
        $C {name} && $P delete --force {name} && ls $S
    """
    result = script(runtime, bundle, text).ok()
    assert result.lines == ["0" if inodes > 4 else "1"]
    assert ("ENOSPC" in result.err or "no space left" in result.err) == (inodes <= 4), result


@pytest.mark.parametrize("is_full", [True, False], ids=["journal", "state.json"])
def test_no_space_left(runtime: Runtime, bundle: Bundle, is_full: bool) -> None:
    """The journal's text and state.json are a page each, and there is one."""
    name = runtime.new_id()
    text = f"""
        mount -t tmpfs -o size=4096 tmpfs $S
        {"echo x >$S/.full" if is_full else ":"}
        $C {name}; echo $?
        $P delete --force {name} || echo delete
        rm -f $S/.full; mount -o remount,size=1m $S
        $C {name} && $P delete --force {name} && ls $S
    """
    result = script(runtime, bundle, text).ok()
    assert result.lines == ["1"]
    assert "ENOSPC" in result.err


def test_read_only(runtime: Runtime, bundle: Bundle) -> None:
    """create says so; what was created before can be asked for, and goes when the file system is well again."""
    name, other = runtime.new_id(), runtime.new_id()
    text = f"""
        mount -t tmpfs tmpfs $S
        $C {name} || echo create
        mount -o remount,ro $S
        $C {other} && echo created
        $P state {name} | grep -c '"status": "created"'
        $P delete --force {name} && echo deleted
        mount -o remount,rw $S
        $P delete --force {name}; ls $S
    """
    result = script(runtime, bundle, text).ok()
    assert result.lines == ["1"]
    assert len(result.err.splitlines()) == 2
    assert "EROFS" in result.err.splitlines()[0]
    assert "EROFS" in result.err.splitlines()[1]


def test_a_crowd(runtime: Runtime, bundle: Bundle) -> None:
    """Ten thousand directories that nobody removed: `list` names each, and nothing else looks at them."""
    for number in range(CROWD):
        os.mkdir(runtime.state_root / f"left{number}")
    bundle.args("true")
    name = runtime.create(bundle)
    runtime("start", name).ok()
    listed = runtime("list", "--quiet", timeout=60).ok()
    assert listed.lines == [name]
    assert len(listed.err.splitlines()) == CROWD
    runtime("delete", "--force", name).ok()
    trace = runtime.state_root.parent / "trace"
    argv = ["strace", "-f", "-o", str(trace), PATH, "--root", str(runtime.state_root), "delete", "--force", "left7"]
    subprocess.run(argv, check=True)
    assert "left8" not in trace.read_text()
    assert len(os.listdir(runtime.state_root)) == CROWD - 1
