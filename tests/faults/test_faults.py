"""One thing goes wrong at one moment: what was begun can be deleted, the id is free, and nothing is left."""

from __future__ import annotations

import ctypes
import os
import subprocess
from datetime import UTC, datetime
from errno import EAGAIN, EIO, ENOMEM
from random import Random
from typing import TYPE_CHECKING

import pytest

from faults import injector, matrix
from faults.injector import Injector
from faults.scenes import ID, SCENES, Create, Delete, Exec, Scene, Start
from faults.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle

# Another part of the matrix every day; FAULTS_SEED repeats a day's.
SEED = int(os.environ.get("FAULTS_SEED", datetime.now(UTC).toordinal()))
SAMPLES = 12  # of each process of each verb
PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="module")
def inject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return injector.build(tmp_path_factory.mktemp("inject"))


@pytest.fixture(autouse=True)
def _orphans_are_ours() -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"faults-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def stage(bundle: Bundle, inject: Path, tmp_path: Path, name: str) -> Iterator[tuple[Injector, Bundle, World]]:
    bundle.args("sleep", "1000")
    bundle.linux["cgroupsPath"] = f"/{name}/{ID}"
    bundle.linux["resources"]["memory"] = {"limit": 1 << 28}
    bundle.save()
    (tmp_path / "state").mkdir()
    world = World(tmp_path, name)
    yield Injector(inject, tmp_path / "state"), bundle, world
    world.clear()


def with_hooks(bundle: Bundle) -> None:
    hook = {"path": "/bin/true"}
    bundle.config["hooks"] = {kind: [hook] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}
    bundle.save()


@pytest.mark.parametrize("kind", SCENES)
def test_some_faults(stage: tuple[Injector, Bundle, World], kind: type[Scene]) -> None:
    inject, bundle, world = stage
    scene = kind(inject, bundle)
    problems: list[str] = []
    for who in matrix.WHO.get(scene.name, (matrix.RUNTIME,)):
        chosen = matrix.sample(matrix.faults_of(scene, who), SAMPLES, Random(f"{SEED} {scene.name} {who}"))
        assert matrix.run(scene, world, chosen, problems).total() == SAMPLES
    assert not problems, f"FAULTS_SEED={SEED}\n" + "\n".join(problems)


def test_some_faults_with_hooks(stage: tuple[Injector, Bundle, World]) -> None:
    """The third process is the createRuntime hook's."""
    inject, bundle, world = stage
    with_hooks(bundle)
    scene = Create(inject, bundle)
    problems: list[str] = []
    for who in (0, 1, 2):
        chosen = matrix.sample(matrix.faults_of(scene, who), SAMPLES, Random(f"{SEED} hooks {who}"))
        assert matrix.run(scene, world, chosen, problems).total() == SAMPLES
    assert not problems, f"FAULTS_SEED={SEED}\n" + "\n".join(problems)


# What the whole matrix found: verb, process, call, which of them, what.
FOUND = [
    (Create, matrix.RUNTIME, "newfstatat", 0, EIO),  # of a standard descriptor: a traceback
    (Create, matrix.RUNTIME, "flock", 0, ENOMEM),  # its directory stayed, and the id was taken
    (Create, matrix.RUNTIME, "close", -1, EIO),  # a complete container and a create that failed
    (Start, matrix.RUNTIME, "poll", 0, "kill"),  # running, said to be created, and start again waited for ever
    (Exec, matrix.STAGE, "sendto", -1, EAGAIN),  # the dead process between was taken for the program
    (Exec, matrix.STAGE, "read", -1, EIO),
]


@pytest.mark.parametrize(("kind", "who", "call", "which", "what"), FOUND)
def test_faults_that_were_found(
    stage: tuple[Injector, Bundle, World], kind: type[Scene], who: int, call: str, which: int, what: int | str
) -> None:
    inject, bundle, world = stage
    scene = kind(inject, bundle)
    faults = [fault for fault in matrix.faults_of(scene, who) if fault.name == call]
    chosen = [fault for fault in faults if fault.what == str(what)][which]
    problems: list[str] = []
    matrix.run(scene, world, [chosen], problems)
    assert not problems


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "hooks"), [*((kind, False) for kind in SCENES), (Create, True), (Start, True), (Delete, True)]
)
def test_all_faults(stage: tuple[Injector, Bundle, World], kind: type[Scene], hooks: bool) -> None:
    inject, bundle, world = stage
    if hooks:
        with_hooks(bundle)
    scene = kind(inject, bundle)
    problems: list[str] = []
    for who in (*matrix.WHO.get(scene.name, (matrix.RUNTIME,)), *([2] if hooks and scene.name == "create" else [])):
        faults = list(matrix.faults_of(scene, who))
        tried = matrix.run(scene, world, faults, problems)
        calls = len({fault.call for fault in faults})
        print(f"{scene.name}{', hooks' if hooks else ''}, process {who}: {calls} calls, {dict(tried)}")
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
