"""The fault matrix: every call of every process that a verb starts, killed before it or failing once."""

from __future__ import annotations

from collections import Counter
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from faults.errnos import PLAUSIBLE
from faults.kinds import RUNTIME, SECOND
from faults.scenes import ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

    from faults.scenes import Scene
    from faults.world import World


class Fault:
    def __init__(self, who: int, call: int, name: str, what: str) -> None:
        self.who = who
        self.call = call
        self.name = name
        self.what = what

    def __repr__(self) -> str:
        return f"process {self.who}, call {self.call} {self.name}: {self.what}"


def faults_of(scene: Scene, who: int) -> Iterator[Fault]:
    """All of them."""
    scene.prepare()
    calls = scene.injector.calls(who, *scene.words)
    scene.finish()
    if who == SECOND and scene.name == "exec":  # what it executes is not ours any more
        calls = calls[: [name for _call, name in calls].index("execve") + 1]
    for call, name in calls:
        yield Fault(who, call, name, "kill")
        if who == RUNTIME:
            yield Fault(who, call, name, "kill-parent")
        for errno in PLAUSIBLE.get(name, ()):
            yield Fault(who, call, name, str(errno))


def sample(faults: Iterable[Fault], count: int, random: Random) -> list[Fault]:
    every = list(faults)
    return random.sample(every, min(count, len(every)))


def run(scene: Scene, world: World, faults: Iterable[Fault], problems: list[str]) -> Counter[str]:
    """What was tried; what went wrong is added to `problems`, and the next fault is tried all the same."""
    tried: Counter[str] = Counter()
    for fault in faults:
        kind = fault.what if fault.what.startswith("kill") else "errno"
        tried[kind] += 1
        try:
            _try_one(scene, world, fault)
        except Exception as error:
            problems.append(f"{scene.name}: {fault}: {type(error).__name__}: {error}")
            print(problems[-1], flush=True)
            if isinstance(error, TimeoutExpired):
                world.end_processes()  # one of them may hold the lock
            scene.injector.plain("delete", "--force", ID)
            left = world.left()
            if left:
                problems.append(f"{scene.name}: {fault}: left for good: {left}")
                world.clear()
    return tried


def _try_one(scene: Scene, world: World, fault: Fault) -> None:
    scene.prepare()
    scene.is_stage = fault.who != RUNTIME
    result = scene.injector.disturbed(fault.who, fault.call, fault.what, *scene.words)
    scene.check(result, killed=fault.what == "kill")
    scene.go_on(killed=fault.what == "kill")
    scene.finish()
    left = world.left()
    assert not left, f"left: {left}, after {result}"
