"""One thing goes wrong at one moment: what was begun can be deleted, the id is free, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from errno import EAGAIN, EIO, EMFILE, ENODEV, ENOENT, ENOMEM, ESRCH
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from faults import matrix
from faults.kinds import ALL, CONFINED, PLAIN, ROOTLESS, RUNTIME, STAGE, VERSION_2, Kind
from faults.scenes import ID, Create, Delete, DeletePaused, Exec, Scene, Start
from faults.table import SHARD, Shard

if TYPE_CHECKING:
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
    made = scene(inject, bundle)
    world.begin()
    return made


def shown(value: object) -> str:
    return str(getattr(value, "name", value))


@pytest.mark.parametrize(("kind", "verb"), ALL, ids=shown)
def test_some_faults(stage: tuple[Injector, Bundle, World], kind: Kind, verb: type[Scene]) -> None:
    scene = faulty(stage, kind, verb)
    problems: list[str] = []
    for who in kind.scenes[verb]:
        chosen = matrix.sample(matrix.faults_of(scene, who), SAMPLES, Random(f"{SEED} {kind.name} {scene.name} {who}"))
        assert matrix.run(scene, stage[2], chosen, problems).tried == SAMPLES
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
    (PLAIN, DeletePaused, RUNTIME, "read", -1, ENODEV),  # a frozen cgroup that was said to be gone was not thawed
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
    faults = [fault for who in kind.scenes[verb] for fault in matrix.faults_of(scene, who)]
    begun = time.monotonic()
    tally = matrix.run(scene, stage[2], SHARD.part(faults), problems)
    SHARD.add(kind, verb, tally, time.monotonic() - begun)
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


def test_version_2_is_alone(stage: tuple[Injector, Bundle, World], name: str) -> None:
    """Else its rows say nothing of version 2."""
    scene = faulty(stage, VERSION_2, Create)
    scene.injector.plain(*scene.words).ok()
    assert stage[2].hierarchies == ["/sys/fs/cgroup"]
    assert Path(f"/sys/fs/cgroup/{name}/{ID}/cgroup.max.descendants").read_text() == "20\n"
    scene.finish()
    assert stage[2].left() == {}


def test_the_table(tmp_path: Path) -> None:
    """Two parts are the whole, and the table is made by whoever ends last."""
    ways = ("kill", "kill-parent", "5")
    faults = [matrix.Fault(RUNTIME, call, "read", what) for call in range(1, 8) for what in ways]
    parts = [Shard(f"{number}/2", tmp_path / "table") for number in (1, 2)]
    assert sorted(map(repr, parts[0].part(faults) + parts[1].part(faults))) == sorted(map(repr, faults))
    for part in parts:
        assert not (tmp_path / "table/matrix.md").exists()
        tally = matrix.Tally(part.part(faults))
        for fault in part.part(faults):
            tally.count(fault.what)
        part.add(ROOTLESS, Delete, tally, 1.5)
    text = (tmp_path / "table/matrix.md").read_text()
    assert "| delete of an ordinary user | pyrunc | 7 | 7 | 7 | 7 | 0 |\n" in text
    assert "21 runs in 3 s" in text
