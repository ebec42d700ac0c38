"""The list of duties, musts.toml, as Python has it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEVELS = ("MUST", "MUST NOT", "REQUIRED", "SHOULD", "SHOULD NOT")


@dataclass(frozen=True)
class Duty:
    """A row.  Either `tests` (`test_x.py::test_y`) or `untestable` says something."""

    id: int
    level: str
    anchor: str
    text: str
    since: str = "1.0"
    note: str = ""
    tests: tuple[str, ...] = ()
    untestable: str = ""

    @property
    def is_must(self) -> bool:
        return not self.level.startswith("SHOULD")


@dataclass(frozen=True)
class Case:
    """Something that made a runtime hang, crash or accept nonsense, and who did."""

    test: str
    text: str
    source: str


def read_duties() -> list[Duty]:
    rows = tomllib.loads((HERE / "musts.toml").read_text())["duty"]
    return [Duty(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows]


def read_cases() -> list[Case]:
    return [Case(**row) for row in tomllib.loads((HERE / "cases.toml").read_text())["case"]]
