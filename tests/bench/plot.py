"""docs/performance.svg: every verb, the runtimes side by side.  Written by hand, readable in light and dark.  Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from bench.report import SHOWN, TITLES
from bench.samples import LIFE, Summary, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, LEFT, RIGHT, TOP = 960, 56, 16, 64
PANEL, BARS = 252, 180  # heights: of a panel, of its bars
CLOCKS = {"cpu": ("min", "CPU, ms, minimum"), "wall": ("median", "wall clock, ms, median")}
COLOURS = {"runc": ("#4c78c8", "#7ba3ec"), "crun": ("#c8742c", "#f0a562"), "pyrunc": ("#2c9a60", "#5bd295")}
REST = ("#8a8a8a", "#a8a8a8")


def style(names: list[str]) -> str:
    """Colours for both schemes: (prefers-color-scheme) holds in an <img> too."""
    light = " ".join(f".b{i}{{fill:{COLOURS.get(name, REST)[0]}}}" for i, name in enumerate(names))
    dark = " ".join(f".b{i}{{fill:{COLOURS.get(name, REST)[1]}}}" for i, name in enumerate(names))
    return (
        "text{font:12px system-ui,sans-serif;fill:#24292f} .head{font-weight:600;font-size:14px} "
        ".value{font-size:9px} .line{stroke:#d0d7de} .page{fill:#ffffff} "
        f"{light} @media(prefers-color-scheme:dark){{text{{fill:#d5dbe1}} .line{{stroke:#3d444d}} "
        f".page{{fill:#0d1117}} {dark}}}"
    )


def ticks(value: float) -> list[float]:
    """From 0 to the first at or above `value`: steps of 1, 2 or 5 times a power of ten, six at most."""
    step = 10.0 ** math.floor(math.log10(value / 6))
    step *= next(factor for factor in (1, 2, 5, 10) if value / (step * factor) <= 6)
    return [step * number for number in range(math.ceil(round(value / step, 6)) + 1)]


def label(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def axis(y: int, marks: list[float]) -> Iterator[str]:
    for mark in marks:
        at = y + BARS - BARS * mark / marks[-1]
        yield f'<line class="line" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{mark:g}</text>'


def panel(title: str, summary: Summary, clock: str, y: int) -> Iterator[str]:
    """One kind by one clock.  The whole life is left to the tables: it would flatten the verbs."""
    kind, unit = CLOCKS[clock]
    steps = [step for step in steps_of(summary, clock) if step != LIFE]
    names = list(summary)
    values = {(s, n): summary[n][s][clock][kind] for s in steps for n in names if s in summary[n]}
    marks = ticks(max(values.values()))
    group = (WIDTH - LEFT - RIGHT) / len(steps)
    bar = group * 0.84 / len(names)
    yield f'<text class="head" x="{LEFT}" y="{y - 12}">{escape(title)}: {unit}</text>'
    yield from axis(y, marks)
    for i, step in enumerate(steps):
        for j, name in enumerate(names):
            if (step, name) in values:
                value = values[step, name]
                x, height = LEFT + group * (i + 0.08) + bar * j, BARS * value / marks[-1]
                yield (
                    f'<rect class="b{j}" x="{x:.1f}" y="{y + BARS - height:.1f}" width="{bar - 1:.1f}" '
                    f'height="{height:.1f}"><title>{escape(f"{name} {step}: {value:.3f} ms")}</title></rect>'
                )
                yield (
                    f'<text class="value" x="{x + bar / 2:.1f}" y="{y + BARS - height - 3:.1f}" '
                    f'text-anchor="middle">{label(value)}</text>'
                )
        middle = LEFT + group * (i + 0.5)
        yield f'<text x="{middle:.1f}" y="{y + BARS + 16}" text-anchor="middle">{escape(step)}</text>'


def legend(names: list[str]) -> Iterator[str]:
    for i, name in enumerate(names):
        x = LEFT + 110 * i
        yield f'<rect class="b{i}" x="{x}" y="14" width="12" height="12"/>'
        yield f'<text x="{x + 18}" y="25">{escape(SHOWN.get(name, name))}</text>'


def draw(result: dict[str, Any]) -> str:
    """The kinds with a whole life, of the first tree of cgroups."""
    tree, found = next(iter(result["cgroups"].items()))
    kinds = {kind: found["kinds"][kind] for kind in TITLES if kind in found["kinds"] and kind != "mounts"}
    names = list(result["contenders"])
    height = TOP + PANEL * 2 * len(kinds)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>What each command costs, cgroup {escape(tree)}</title>",
        f"<style>{style(names)}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        *legend(names),
    ]
    y = TOP
    for kind, summary in kinds.items():
        for clock in CLOCKS:
            parts += panel(TITLES[kind], summary, clock, y)
            y += PANEL
    return "\n".join([*parts, "</svg>"]) + "\n"
