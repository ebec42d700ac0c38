"""The tables of docs/performance.md, from the result that __main__.py gathers.  Pure.

result: {"machine", "rounds", "crowd", "list", "contenders": {name: version}, "cgroups": {tree: {"kinds": {kind:
Summary}, "waiting_init": {name: {"rss_kb", "pss_kb"}}, "where": {name: {step: {"ms", "system_calls"}}}}}}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import bundles
from bench.contenders import REAP
from bench.samples import LIFE, Summary, ratio, steps_of
from bench.where import GROUP_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
OURS = "pyrunc"
OTHERS = ("crun", "runc")
SHOWN = {"bare": "bare C"}
TITLES = {
    "plain": "Plain",
    "seccomp": "With Docker's seccomp profile on three architectures",
    "mounts": f"With {bundles.BINDS} bind mounts",
}
CLOCKS = {"cpu": "CPU", "wall": "wall clock"}


def insert(page: str, tables: str) -> str:
    """The page with `tables` between its markers.  Raises ValueError when it has not one of each, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"not one {BEGIN} before one {END}")
    return f"{page[: page.index(BEGIN)]}{BEGIN}\n\n{tables.strip()}\n\n{page[page.index(END) :]}"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, the others to the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"


def shown(names: Iterable[str]) -> list[str]:
    return [SHOWN.get(name, name) for name in names]


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def pair(value: dict[str, float] | None) -> str:
    return "-" if value is None else " / ".join(number(value[kind]) for kind in ("min", "median") if kind in value)


def rivals(summary: Summary) -> list[str]:
    return [name for name in OTHERS if name in summary] if OURS in summary else []


def times(summary: Summary, clock: str) -> str:
    """A row a verb: minimum / median in ms of everybody, and how many times of ours the others take."""
    head = [
        f"{CLOCKS[clock]}, ms: minimum / median",
        *shown(summary),
        *(f"{name} : {OURS}" for name in rivals(summary)),
    ]
    rows = []
    for step in steps_of(summary, clock):
        cells = [pair(steps[step][clock]) if step in steps else "-" for steps in summary.values()]
        ratios = [pair(ratio(summary, step, clock, name, OURS)) for name in rivals(summary)]
        rows.append([f"**{step}**" if step == LIFE else step, *cells, *ratios])
    return grid(head, rows)


def counts(summary: Summary, what: str, key: str, scale: int = 1) -> str:
    """Of the commands alone: init's peak is that of the runtime it was forked from."""
    form = ",.0f" if scale == 1 else ",.1f"
    rows = [
        [step, *(f"{steps[step][key] / scale:{form}}" if step in steps else "-" for steps in summary.values())]
        for step in steps_of(summary)
        if step not in (LIFE, REAP)
    ]
    return grid([what, *shown(summary)], rows)


def memory(tree: dict[str, Any]) -> str:
    waiting = tree["waiting_init"]
    rows = [
        [text, *(f"{amounts[key]:,}" for amounts in waiting.values())]
        for text, key in (("resident (RSS)", "rss_kb"), ("its share of what is shared (PSS)", "pss_kb"))
    ]
    return grid(["KB of the waiting init", *shown(waiting)], rows)


def bind_mounts(trees: dict[str, Any]) -> str:
    rows = [
        [f"{text}, cgroup {tree}", *(pair(cost[clock]) for cost in found["bind_mounts"].values())]
        for tree, found in trees.items()
        for text, clock in (("CPU of create and init", "cpu"), ("wall clock of create", "wall"))
    ]
    names = next(iter(trees.values()))["bind_mounts"]
    return grid(["µs a bind mount: of minima / median", *shown(names)], rows)


def crowd(kinds: dict[str, Summary]) -> str:
    """How many times of the cost alone a command takes in the crowd, in CPU."""
    alone, crowded = kinds["alone"], kinds["crowd"]
    rows = []
    for step in steps_of(crowded):
        cells = []
        for name, steps in crowded.items():
            before, now = alone[name][step]["cpu"], steps[step]["cpu"]
            cells.append(pair({kind: now[kind] / before[kind] for kind in ("min", "median")}))
        rows.append([step, *cells])
    return grid(["CPU, times of alone: minima / medians", *shown(crowded)], rows)


def where(found: dict[str, Any], step: str) -> str:
    """A row for what took time: ms of each, and the number of system calls."""
    groups = [group for group in GROUP_ORDER if any(group in steps[step]["ms"] for steps in found.values())]
    rows = [[group, *(number(steps[step]["ms"].get(group, 0)) for steps in found.values())] for group in groups]
    rows.append(["**sum**", *(number(sum(steps[step]["ms"].values())) for steps in found.values())])
    rows.append(["system calls", *(f"{steps[step]['system_calls']:,}" for steps in found.values())])
    return grid([f"{step}, ms while sampled", *shown(found)], rows)


def sections(result: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(heading, text) of everything that was measured."""
    for name, tree in result["cgroups"].items():
        for kind in TITLES:
            if kind in tree["kinds"]:
                summary = tree["kinds"][kind]
                yield f"{TITLES[kind]}, cgroup {name}", f"{times(summary, 'cpu')}\n{times(summary, 'wall')}"
    name, tree = next(iter(result["cgroups"].items()))
    kinds = tree["kinds"]
    if tree.get("bind_mounts"):
        yield "What a bind mount costs", bind_mounts(result["cgroups"])
    if "crowd" in kinds:
        yield f"With {result['crowd']} containers of each runtime present", crowd(kinds)
    if "list" in kinds:
        listed = kinds["list"]
        yield f"List of {result['list']:,} containers", f"{times(listed, 'cpu')}\n{times(listed, 'wall')}"
    peaks = next((kind for kind in ("seccomp", "plain", "mounts") if kind in kinds), None)
    text = memory(tree)
    if peaks:
        text += "\n" + counts(kinds[peaks], f"peak RSS, MB ({peaks})", "peak_kb", 1024)
        text += "\n" + counts(kinds[peaks], f"page faults, median ({peaks})", "page_faults")
    yield "Memory", text
    if tree.get("where"):
        yield "Samples and system calls", f"{where(tree['where'], 'create')}\n{where(tree['where'], 'state')}"


def tables(result: dict[str, Any]) -> str:
    """Everything between the markers."""
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mb'] // 1024} GB, Linux {machine['kernel']}; "
        f"{result['rounds']} rounds.",
        "",
        *(f"* {SHOWN.get(name, name)}: {version}" for name, version in result["contenders"].items()),
        "",
    ]
    return "\n".join(lines) + "\n" + "\n".join(f"### {head}\n\n{text}" for head, text in sections(result))
