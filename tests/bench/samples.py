"""From the loop's lines to numbers: minimum, median, peak, sums over a life, ratios.  Pure."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.bundles import BINDS
from bench.contenders import REAP

LIFE = "life"  # the sum of all steps of one round, the container's own processes among them
VERBS = ("create", "start", "state", "exec", "kill", "delete", "run", "list", REAP, LIFE)

# contender -> step -> round -> (wall ms, CPU ms, peak KB, page faults)
Samples = dict[str, dict[str, dict[int, tuple[float, float, int, int]]]]
WALL, CPU = 0, 1  # in a tuple of Samples
# contender -> step -> {"wall": {"min", "median"}, "cpu": {"min", "median"}, "peak_kb", "page_faults", "rounds"}
Summary = dict[str, dict[str, dict[str, Any]]]


def parse(lines: str) -> Samples:
    """What rounds.c prints.  Raises ValueError at a line that is none of its."""
    found: Samples = {}
    for line in lines.splitlines():
        contender, step, turn, wall, cpu, peak, faults = line.split(" ")
        steps = found.setdefault(contender, {})
        steps.setdefault(step, {})[int(turn)] = (float(wall) / 1e3, float(cpu) / 1e3, int(peak), int(faults))
    return found


def with_life(samples: Samples) -> Samples:
    """The same, and a step `life` where a contender has several."""
    found: Samples = {}
    for contender, steps in samples.items():
        found[contender] = dict(steps)
        if len(steps) > 1:
            rounds = set.intersection(*(set(turns) for turns in steps.values()))
            found[contender][LIFE] = {turn: _sum([turns[turn] for turns in steps.values()]) for turn in rounds}
    return found


def _sum(parts: list[tuple[float, float, int, int]]) -> tuple[float, float, int, int]:
    walls, processors, peaks, faults = zip(*parts, strict=True)
    return sum(walls), sum(processors), max(peaks), sum(faults)


def summarise(samples: Samples) -> Summary:
    found: Summary = {}
    for contender, steps in with_life(samples).items():
        found[contender] = {}
        for step, turns in steps.items():
            walls, processors, peaks, faults = zip(*turns.values(), strict=True)
            found[contender][step] = {
                "wall": least_and_median(walls),
                "cpu": least_and_median(processors),
                "peak_kb": max(peaks),
                "page_faults": int(median(faults)),
                "rounds": len(walls),
            }
    return found


def least_and_median(values: tuple[float, ...]) -> dict[str, float]:
    return {"min": round(min(values), 4), "median": round(median(values), 4)}


def ratio(summary: Summary, step: str, clock: str, other: str, ours: str) -> dict[str, float] | None:
    """How many times of `ours` the other one takes, of minima and of medians; None where one has no such step."""
    if step not in summary.get(other, {}) or step not in summary.get(ours, {}):
        return None
    above, below = summary[other][step][clock], summary[ours][step][clock]
    return {kind: above[kind] / below[kind] for kind in ("min", "median") if below[kind] > 0}


def steps_of(summary: Summary, clock: str = "cpu") -> list[str]:
    """The steps that somebody has, in the order of a life.  By the wall clock there is no init: it runs meanwhile."""
    return [
        verb for verb in VERBS if any(verb in steps for steps in summary.values()) and (clock, verb) != ("wall", REAP)
    ]


def difference(
    more: dict[str, dict[int, Any]], less: dict[str, dict[int, Any]], clock: int, steps: tuple[str, ...]
) -> dict[str, float]:
    """What `more` takes beyond `less` in these steps together, ms: of the minima, and the median of the rounds' own."""
    rounds = sorted(set.intersection(*(set(turns[step]) for turns in (more, less) for step in steps)))
    above, below = ([sum(turns[step][n][clock] for step in steps) for n in rounds] for turns in (more, less))
    medians = median(one - other for one, other in zip(above, below, strict=True))
    return {"min": round(min(above) - min(below), 4), "median": round(medians, 4)}


def bind_cost(more: dict[str, dict[int, Any]], less: dict[str, dict[int, Any]]) -> dict[str, dict[str, float]]:
    """Clock -> us a bind mount: CPU of create and init, wall clock of create."""
    differences = {
        "cpu": difference(more, less, CPU, ("create", REAP)),
        "wall": difference(more, less, WALL, ("create",)),
    }
    return {
        clock: {kind: round(value * 1e3 / BINDS, 2) for kind, value in found.items()}
        for clock, found in differences.items()
    }
