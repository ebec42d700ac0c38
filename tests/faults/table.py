"""The whole matrix's figures: a row each kind of container and verb, as SECURITY.md shows them, in build/faults.

FAULTS_SHARD=1/2 tries every other call, and FAULTS_SHARD=2/2 the rest, at the same time; the last to end makes the
table of both.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults.kinds import Kind
    from faults.matrix import Fault, Tally
    from faults.scenes import Scene

DIRECTORY = Path(__file__).parents[2] / "build/faults"
COUNTS = ("calls", "killed", "caller_killed", "errnos", "left", "wrong")
HEAD = """\
| | processes disturbed | calls | killed before it | caller killed | errnos | left |
|---|---|---|---|---|---|---|
"""


class Shard:
    """The part of the matrix that this process tries: the calls whose number leaves `rest` when divided by `count`."""

    def __init__(self, text: str, directory: Path = DIRECTORY) -> None:
        number, _slash, count = text.partition("/")
        self.number, self.count = int(number), int(count)
        self.directory = directory
        self.begun = time.monotonic()
        self.rows: list[dict[str, Any]] = []

    def part(self, faults: Sequence[Fault]) -> list[Fault]:
        return [fault for fault in faults if fault.call % self.count == self.number % self.count]

    def add(self, kind: Kind, scene: type[Scene], tally: Tally, seconds: float) -> None:
        """The file has all that was tried since this process began; an older one of the same part is gone."""
        row = {"what": scene.name + kind.said, "processes": [kind.process(who, scene) for who in tally.who]}
        self.rows.append(row | {name: getattr(tally, name) for name in COUNTS} | {"seconds": round(seconds, 1)})
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"part-{self.number}-of-{self.count}.json"
        path.write_text(json.dumps({"seconds": round(time.monotonic() - self.begun, 1), "rows": self.rows}, indent=1))
        parts = [self.directory / f"part-{number}-of-{self.count}.json" for number in range(1, self.count + 1)]
        if all(part.exists() for part in parts):
            rows = merged([json.loads(part.read_text())["rows"] for part in parts])
            (self.directory / "matrix.json").write_text(json.dumps(rows, indent=1))
            (self.directory / "matrix.md").write_text(as_table(rows))


def merged(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of the same name are one; in the order of the first part."""
    rows: dict[str, dict[str, Any]] = {}
    for row in (row for part in parts for row in part):
        known = rows.setdefault(row["what"], {**row, **dict.fromkeys(COUNTS, 0), "seconds": 0.0})
        for name in (*COUNTS, "seconds"):
            known[name] += row[name]
    return list(rows.values())


def as_table(rows: list[dict[str, Any]]) -> str:
    """Markdown, with the sums below."""
    total = {name: sum(row[name] for row in rows) for name in (*COUNTS, "seconds")}
    lines = [*rows, {"what": "all", "processes": [], **total}]
    text = "".join(
        f"| {row['what']} | {', '.join(row['processes'])} | "
        + " | ".join(f"{row[name]:,}" for name in COUNTS[:-1])
        + " |\n"
        for row in lines
    )
    runs = sum(total[name] for name in ("killed", "caller_killed", "errnos"))
    return f"{HEAD}{text}\n{runs:,} runs in {total['seconds']:.0f} s, {total['wrong']} with another problem.\n"


SHARD = Shard(os.environ.get("FAULTS_SHARD", "1/1"))
