"""exec into a container whose processes look into what joins them, stop it, kill it, freeze it, or move its cgroup.

Nothing leaks, and nothing hangs: a command that cannot go on says who is in its way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.inspection import intruders
from cli.runtime import pids_of, wait_until
from security import contenders
from security.canaries import programs
from security.contenders import HUNG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from security.contenders import Contender

HERE = Path(__file__).resolve().parent
ROUNDS = 40
MANY_ROUNDS = 2000
GIVEN = {"descriptors": "0 1 2", "blocked": "0", "ignored": "0", "securebits": "0", "death": "0", "no_new_privs": "1"}


@pytest.fixture(scope="session")
def spy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("spy") / "spy"
    command = ["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(HERE / "spy.c")]
    subprocess.run(command, check=True)
    return program


@pytest.fixture
def pyrunc(tmp_path: Path) -> Iterator[Contender]:
    contender = contenders.pyrunc(tmp_path)
    yield contender
    contender.clean_up()


class Hostile:
    """A container whose init is the spy, as its root; what it says goes to a file."""

    def __init__(self, runtime: Contender, bundle: Bundle, spy: Path, *words: str) -> None:
        (bundle.rootfs / "spy").write_bytes(spy.read_bytes())
        (bundle.rootfs / "spy").chmod(0o755)
        bundle.args("/spy", *words)
        bundle.save()
        self.runtime = runtime
        self.output = bundle.path / "said"
        self.container_id = runtime.new_id()
        with self.output.open("wb") as output:
            argv = [*runtime.command, "--root", str(runtime.state_root), "run", "-d", "-b", str(bundle.path)]
            null = subprocess.DEVNULL
            subprocess.run([*argv, self.container_id], stdin=null, stdout=output, stderr=output, check=True, timeout=20)
        wait_until(lambda: "ready" in self.output.read_text())

    def said(self) -> set[str]:
        return set(self.output.read_text().split()) - {"ready"}


def leaks(runtime: Contender, bundle: Bundle, spy: Path, rounds: int, user: str) -> set[str]:
    """What the spy got of the stage during so many execs."""
    bundle.process["capabilities"] = {}  # CAP_DAC_OVERRIDE is not what it should need
    hostile = Hostile(runtime, bundle, spy, "look")
    for _round in range(rounds):
        runtime("exec", "--user", user, hostile.container_id, "true")
        if hostile.said():
            break
    return hostile.said()


@pytest.mark.parametrize("user", ["0", "1000"])
def test_nobody_looks_into_an_exec(pyrunc: Contender, bundle: Bundle, spy: Path, user: str) -> None:
    """CVE-2016-9962 (S17): memory, descriptors, executable and ptrace(2) of what joins the container."""
    assert leaks(pyrunc, bundle, spy, ROUNDS, user) == set()


def test_somebody_looks_into_one_that_is_dumpable(tmp_path: Path, bundle: Bundle, spy: Path) -> None:
    """The control."""
    runtime = contenders.weakened(tmp_path, "dumpable")
    try:
        assert leaks(runtime, bundle, spy, 200, "0") != set()
    finally:
        runtime.clean_up()


@pytest.mark.slow
def test_no_program_of_ours_is_changed(pyrunc: Contender, bundle: Bundle, spy: Path) -> None:
    """CVE-2019-5736 (S16), 2000 execs, half of which are of /proc/self/exe itself."""
    before = programs()
    hostile = Hostile(pyrunc, bundle, spy, "look")
    for number in range(MANY_ROUNDS):
        pyrunc("exec", hostile.container_id, "true" if number % 2 else "/proc/self/exe")
    assert programs() == before
    assert not hostile.said()


def test_the_entry_point_is_the_runtime(pyrunc: Contender, bundle: Bundle, spy: Path) -> None:
    """CVE-2019-5736: who executes /proc/self/exe has our stage, and may not write it."""
    before = programs()
    hostile = Hostile(pyrunc, bundle, spy, "look")
    for words in (["/proc/self/exe"], ["/link"]):
        (bundle.rootfs / "link").unlink(missing_ok=True)
        (bundle.rootfs / "link").symlink_to("/proc/self/exe")
        assert pyrunc("exec", hostile.container_id, *words).status != HUNG
    assert programs() == before


def test_an_image_that_is_not_sealed_is_seen(tmp_path: Path, bundle: Bundle) -> None:
    """The control of what tests/cli looks at in every container that it creates."""
    for runtime, expected in (
        (contenders.weakened(tmp_path, "seals"), ["its executable is not sealed"]),
        (contenders.pyrunc(tmp_path), []),
    ):
        pid = runtime.state(runtime.create(bundle))["pid"]
        assert intruders(pid) == expected
        runtime.clean_up()


def attacked(runtime: Contender, bundle: Bundle, spy: Path, what: str, words: str) -> list[str]:
    """How execs ended in a container that does this to them, up to the first that ended with these words."""
    hostile = Hostile(runtime, bundle, spy, what)
    ends: list[str] = []
    while len(ends) < ROUNDS and not (ends and words in ends[-1]):
        ends.append(exec_fails(runtime, hostile.container_id))
    return ends


def exec_fails(runtime: Contender, container_id: str, *words: str) -> str:
    begin = time.monotonic()
    result = runtime("exec", "-d", *words, container_id, "true")
    if result.status == HUNG:
        return "hung"
    assert time.monotonic() - begin < 14
    return result.err if result.status else "done"


def test_a_stopped_exec_names_the_culprit(tmp_path: Path, bundle: Bundle, spy: Path) -> None:
    runtime = contenders.weakened(tmp_path, "impatient")
    try:
        words = "did nothing for 1 s: it is stopped by a signal"
        ends = attacked(runtime, bundle, spy, "stop", words)
        assert words in ends[-1], ends
        assert "hung" not in ends
    finally:
        runtime.clean_up()


def test_without_a_deadline_a_stopped_exec_hangs(tmp_path: Path, bundle: Bundle, spy: Path) -> None:
    """The control."""
    runtime = contenders.weakened(tmp_path, "deadlines")
    runtime.patience = 4
    try:
        assert attacked(runtime, bundle, spy, "stop", "hung")[-1] == "hung"
    finally:
        runtime.clean_up()


def test_a_stopped_init_is_named_by_start(tmp_path: Path, bundle: Bundle) -> None:
    """Whoever shares the pid namespace may have stopped what waits; later it can be started all the same."""
    runtime = contenders.weakened(tmp_path, "impatient")
    bundle.args("true")
    container_id = runtime.create(bundle)
    pid = runtime.state(container_id)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        result = runtime("start", container_id)
        assert result.status == 1
        assert f"process {pid} did nothing for 1 s: it is stopped by a signal" in result.err
        os.kill(pid, signal.SIGCONT)
        runtime("start", container_id).ok()
        wait_until(lambda: runtime.state(container_id)["status"] == "stopped")
    finally:
        runtime.clean_up()


def test_a_create_among_strangers(tmp_path: Path, bundle: Bundle, spy: Path) -> None:
    """A container that joins the pid namespace of one that stops all it sees: create ends, and nothing is left."""
    runtime = contenders.weakened(tmp_path, "impatient")
    try:
        hostile = Hostile(runtime, bundle, spy, "stop")
        pid = runtime.state(hostile.container_id)["pid"]
        bundle.namespace("pid", f"/proc/{pid}/ns/pid")
        bundle.args("true")
        bundle.save()
        ends = []
        words = "it is stopped by a signal"
        while len(ends) < ROUNDS and not (ends and words in ends[-1]):
            container_id = runtime.new_id()
            ends.append(runtime("create", "--bundle", bundle.path, container_id).err)
            if ends[-1]:
                assert not (runtime.state_root / container_id).exists()
                assert pids_of(container_id) == []
        assert words in ends[-1], ends
    finally:
        runtime.clean_up()


def test_a_killed_exec_says_so(pyrunc: Contender, bundle: Bundle, spy: Path) -> None:
    ends = attacked(pyrunc, bundle, spy, "kill", "signal: 9")
    assert "ended before it could execute its program: signal: 9" in ends[-1], ends
    assert "hung" not in ends


def test_a_frozen_cgroup_is_named(tmp_path: Path, bundle: Bundle) -> None:
    """The container has frozen the cgroup below its own that exec is to join."""
    runtime = contenders.weakened(tmp_path, "impatient")
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    frozen = Path("/sys/fs/cgroup/freezer", container_id, "frozen")
    frozen.mkdir()
    try:
        (frozen / "freezer.state").write_text("FROZEN")
        text = exec_fails(runtime, container_id, "--cgroup", "freezer:frozen")
        assert f"its cgroup is frozen ({frozen})" in text
    finally:
        (frozen / "freezer.state").write_text("THAWED")
        wait_until(lambda: not (frozen / "cgroup.procs").read_text())
        frozen.rmdir()
        runtime.clean_up()


def test_a_renamed_cgroup(pyrunc: Contender, bundle: Bundle) -> None:
    """Version 1 lets whoever may write there rename a directory; exec says what is missing, and delete goes on."""
    bundle.args("sleep", "100")
    container_id = pyrunc.run_detached(bundle)
    own = Path("/sys/fs/cgroup/pids", container_id)
    moved = own.rename(own.with_name(f"{container_id}-moved"))
    text = exec_fails(pyrunc, container_id)
    assert text == "done" or str(own) in text, text
    pyrunc("delete", "--force", container_id).ok()
    wait_until(lambda: not (moved / "cgroup.procs").read_text())
    moved.rmdir()


@pytest.mark.parametrize("way", ["run", "exec"])
def test_what_a_program_is_given(pyrunc: Contender, bundle: Bundle, spy: Path, way: str) -> None:
    """S23, S24: descriptors, signals, securebits, the parent's death signal, a keyring of its own."""
    leaked = os.open("/", os.O_RDONLY)
    (bundle.rootfs / "spy").write_bytes(spy.read_bytes())
    (bundle.rootfs / "spy").chmod(0o755)
    try:
        if way == "run":
            bundle.args("/spy")
            out = pyrunc.run(bundle, pass_fds=(leaked,)).ok().out
        else:
            bundle.args("sleep", "100")
            container_id = pyrunc.run_detached(bundle)
            out = pyrunc("exec", container_id, "/spy", pass_fds=(leaked,)).ok().out
    finally:
        os.close(leaked)
    given = dict(line.split(" ", 1) for line in out.splitlines())
    assert {name: given[name] for name in GIVEN} == GIVEN
    assert given["dumpable"] == "1"
    assert given["keyring"].rpartition(";")[2] == f"_ses.{pyrunc.ids[-1]}"
