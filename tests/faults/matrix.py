"""The fault matrix: every call of every process that a verb starts, killed before it or failing once."""

from __future__ import annotations

from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from faults.errnos import NEVER_FAIL, PLAUSIBLE
from faults.kinds import RUNTIME, SECOND
from faults.scenes import ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from faults.scenes import Scene
    from faults.world import World


class Left(AssertionError):
    """Something is left after all was deleted."""


class Tally:
    """How many faults of each kind were tried, after how many of them something was left, or went wrong otherwise."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.who = sorted({fault.who for fault in faults})
        self.calls = len({(fault.who, fault.call) for fault in faults})
        self.killed = 0
        self.caller_killed = 0
        self.errnos = 0
        self.left = 0
        self.wrong = 0

    @property
    def tried(self) -> int:
        return self.killed + self.caller_killed + self.errnos

    def count(self, what: str) -> None:
        if what == "kill":
            self.killed += 1
        elif what == "kill-parent":
            self.caller_killed += 1
        else:
            self.errnos += 1


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
        assert name in PLAUSIBLE or name in NEVER_FAIL, f"{name} is new: errnos.py"
        yield Fault(who, call, name, "kill")
        if who == RUNTIME:
            yield Fault(who, call, name, "kill-parent")
        for errno in PLAUSIBLE.get(name, ()):
            yield Fault(who, call, name, str(errno))


def sample(faults: Iterable[Fault], count: int, random: Random) -> list[Fault]:
    every = list(faults)
    return random.sample(every, min(count, len(every)))


def run(scene: Scene, world: World, faults: Sequence[Fault], problems: list[str]) -> Tally:
    """What was tried; what went wrong is added to `problems`, and the next fault is tried all the same."""
    tally = Tally(faults)
    for fault in faults:
        tally.count(fault.what)
        try:
            _try_one(scene, world, fault)
        except Exception as error:
            tally.left += isinstance(error, Left)
            tally.wrong += not isinstance(error, Left)
            problems.append(f"{scene.name}: {fault}: {type(error).__name__}: {error}")
            print(problems[-1], flush=True)
            if isinstance(error, TimeoutExpired):
                world.end_processes()  # one of them may hold the lock
            scene.injector.plain("delete", "--force", ID)
            left = world.left()
            if left:
                problems.append(f"{scene.name}: {fault}: left for good: {left}")
                world.clear()
    return tally


def _try_one(scene: Scene, world: World, fault: Fault) -> None:
    scene.prepare()
    scene.is_stage = fault.who != RUNTIME
    result = scene.injector.disturbed(fault.who, fault.call, fault.what, *scene.words)
    scene.check(result, killed=fault.what == "kill")
    scene.go_on(killed=fault.what == "kill")
    scene.finish()
    left = world.left()
    if left:
        raise Left(f"left: {left}, after {result}")
