"""One thing goes wrong at one moment: what was begun can be deleted, the id is free, and nothing is left."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from errno import EAGAIN, EIO, EMFILE, ENOENT, ENOMEM, ESRCH
from random import Random
from typing import TYPE_CHECKING

import pytest

from faults import matrix
from faults.kinds import ALL, CONFINED, PLAIN, ROOTLESS, RUNTIME, STAGE, Kind
from faults.scenes import Create, Delete, Exec, Scene, Start

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from faults.injector import Injector
    from faults.world import World

# Another part of the matrix every day; FAULTS_SEED repeats a day's.
SEED = int(os.environ.get("FAULTS_SEED", datetime.now(UTC).toordinal()))
SAMPLES = 12  # of each process of each verb


def faulty(stage: tuple[Injector, Bundle, World], kind: Kind, scene: type[Scene]) -> Scene:
    """The scene, in a bundle of that kind."""
    inject, bundle, world = stage
    kind.prepare(bundle, inject)
    bundle.save()
    world.begin()
    return scene(inject, bundle)


def shown(value: object) -> str:
    return str(getattr(value, "name", value))


@pytest.mark.parametrize(("kind", "verb"), ALL, ids=shown)
def test_some_faults(stage: tuple[Injector, Bundle, World], kind: Kind, verb: type[Scene]) -> None:
    scene = faulty(stage, kind, verb)
    problems: list[str] = []
    for who in kind.scenes[verb]:
        chosen = matrix.sample(matrix.faults_of(scene, who), SAMPLES, Random(f"{SEED} {kind.name} {scene.name} {who}"))
        assert matrix.run(scene, stage[2], chosen, problems).total() == SAMPLES
    assert not problems, f"FAULTS_SEED={SEED}\n" + "\n".join(problems)


# What the whole matrix found: kind, verb, process, call, which of them, what.
FOUND = [
    (PLAIN, Create, RUNTIME, "newfstatat", 0, EIO),  # of a standard descriptor: a traceback
    (PLAIN, Create, RUNTIME, "flock", 0, ENOMEM),  # its directory stayed, and the id was taken
    (PLAIN, Create, RUNTIME, "close", -1, EIO),  # a complete container and a create that failed
    (PLAIN, Start, RUNTIME, "poll", 0, "kill"),  # running, said to be created, and start again waited for ever
    (PLAIN, Exec, STAGE, "sendto", -1, EAGAIN),  # the dead process between was taken for the program
    (PLAIN, Exec, STAGE, "read", -1, EIO),
    (CONFINED, Create, RUNTIME, "pidfd_open", 0, EMFILE),  # init, just made, went on, and its cgroup was left
    # An ordinary user's process without a cgroup was believed to be gone, and went on.
    *((ROOTLESS, Delete, RUNTIME, "openat", which, ENOENT) for which in range(5)),
    (ROOTLESS, Delete, RUNTIME, "pidfd_open", 0, ESRCH),
    (ROOTLESS, Delete, RUNTIME, "pidfd_send_signal", 0, ESRCH),
]


@pytest.mark.parametrize(("kind", "verb", "who", "call", "which", "what"), FOUND, ids=shown)
def test_faults_that_were_found(
    stage: tuple[Injector, Bundle, World],
    kind: Kind,
    verb: type[Scene],
    who: int,
    call: str,
    which: int,
    what: int | str,
) -> None:
    scene = faulty(stage, kind, verb)
    faults = [fault for fault in matrix.faults_of(scene, who) if fault.name == call]
    chosen = [fault for fault in faults if fault.what == str(what)][which]
    problems: list[str] = []
    matrix.run(scene, stage[2], [chosen], problems)
    assert not problems


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "verb"), ALL, ids=shown)
def test_all_faults(stage: tuple[Injector, Bundle, World], kind: Kind, verb: type[Scene]) -> None:
    scene = faulty(stage, kind, verb)
    problems: list[str] = []
    for who in kind.scenes[verb]:
        faults = list(matrix.faults_of(scene, who))
        tried = matrix.run(scene, stage[2], faults, problems)
        calls = len({fault.call for fault in faults})
        print(f"{kind.name}: {scene.name}, process {who}: {calls} calls, {dict(tried)}")
    assert not problems, "\n".join(problems)


def test_the_world_sees_what_is_left(stage: tuple[Injector, Bundle, World], tmp_path: Path, name: str) -> None:
    """The control: one of each, and each is named."""
    _inject, _bundle, world = stage
    assert world.left() == {}
    orphan = subprocess.run(["sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"], capture_output=True, check=True)
    cgroup = f"{world.hierarchies[0]}/{name}-left"
    os.mkdir(cgroup)
    (tmp_path / "left").touch()
    try:
        assert world.left(0) == {
            "processes": [orphan.stdout.decode().strip()],
            "cgroups": [cgroup],
            "files": [str(tmp_path / "left")],
        }
    finally:
        os.kill(int(orphan.stdout), 9)
        os.rmdir(cgroup)
        (tmp_path / "left").unlink()
    assert world.left() == {}


def test_a_call_that_fails_is_noticed(stage: tuple[Injector, Bundle, World]) -> None:
    """The injector does what it says."""
    inject, bundle, _world = stage
    scene = Create(inject, bundle)
    calls = [call for call, name in inject.calls(0, *scene.words) if name == "symlinkat"]
    scene.finish()
    result = inject.disturbed(0, calls[0], "28", *scene.words)
    result.failed("write the journal: ENOSPC")
    assert inject.disturbed(0, calls[0], "kill", *scene.words).status == 128 + 9
    scene.finish()
