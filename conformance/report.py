"""Run the duties against runtimes, and write what came of it as table, TAP and JSON.

usage: report.py [--keep] RUNTIME ...

    build/duties/NAME.json, NAME.tap, NAME.md    of each runtime
    --keep    conformance/results/NAME.json and docs/conformance.md too, which are committed

A duty that a runtime fails is a result; the exit code is 0 unless the tests could not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from duties import departures
from musts import HERE, Case, Duty, read_cases, read_duties

TOP = HERE.parent
RESULTS = HERE / "results"
PAGE = TOP / "docs/conformance.md"
BUILT = TOP / "build/duties"
PASS, FAIL, ABSENT, UNTESTABLE, NOT_RUN = "pass", "fail", "absent", "untestable", "not run"


@dataclass(frozen=True)
class Run:
    """How the tests ended with one runtime."""

    name: str
    version: str
    spec: str  # the version of the spec it says it follows
    tests: dict[str, list[str]]  # test -> [outcome, in what ways it failed ...]

    def outcome(self, row: Duty | Case) -> str:
        """The worst of a duty's tests."""
        if isinstance(row, Duty) and row.untestable:
            return UNTESTABLE
        names = row.tests if isinstance(row, Duty) else (row.test,)
        found = {self.tests.get(name, [NOT_RUN])[0] for name in names}
        return next(word for word in (FAIL, NOT_RUN, ABSENT, PASS) if word in found)

    def how(self, row: Duty | Case) -> str:
        names = row.tests if isinstance(row, Duty) else (row.test,)
        words = {word for name in names for word in self.tests.get(name, [""])[1:]}
        return ", ".join(sorted(words))

    def knows(self, duty: Duty) -> bool:
        """Whether the duty is older than what the runtime follows."""
        return numbers(duty.since) <= numbers(self.spec)


def numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


# -- running -----------------------------------------------------------------------------------------------------------


def run(runtime: str) -> Run:
    path = Path(os.path.abspath(shutil.which(runtime) or runtime))
    results = BUILT / f"{path.name}.tests.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    environment = {**os.environ, "RUNTIME": str(path), "DUTIES_RESULTS": str(results)}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "--no-header", "-r", "", str(HERE / "duties")]
    ended = subprocess.run(command, cwd=TOP, env=environment, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode not in (0, 1) or not results.exists():
        raise SystemExit(f"report: the tests could not run with {path}")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\S+)", told)
    spec = re.search(r"^spec: (\S+)", told, re.MULTILINE)
    if not version or not spec:
        raise SystemExit(f"report: no version and spec in what {path} --version says")
    return Run(path.name, version[1], spec[1], json.loads(results.read_text()))


def as_json(run: Run) -> str:
    document = {"runtime": run.name, "version": run.version, "spec": run.spec, "tests": run.tests}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def kept() -> list[Run]:
    """The committed results, pyrunc last."""
    documents = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    documents.sort(key=lambda one: (one["runtime"] == "pyrunc", one["runtime"] == "crun"))
    return [Run(one["runtime"], one["version"], one["spec"], one["tests"]) for one in documents]


# -- TAP ---------------------------------------------------------------------------------------------------------------


def as_tap(run: Run) -> str:
    """TAP version 13: a line a duty, in their order, then a line a case."""
    duties, cases = read_duties(), read_cases()
    lines = ["TAP version 13", f"1..{len(duties) + len(cases)}"]
    for number, row in enumerate([*duties, *cases], 1):
        outcome = run.outcome(row)
        words = f"{row.anchor} {row.level}: {row.text}" if isinstance(row, Duty) else row.text
        line = f"{'not ok' if outcome in (FAIL, NOT_RUN) else 'ok'} {number} - {words.replace('#', '/')}"
        if outcome == UNTESTABLE and isinstance(row, Duty):
            line += f" # SKIP {row.untestable}"
        elif outcome == ABSENT:
            line += " # SKIP this runtime has nothing that could be asked"
        elif outcome == FAIL:
            line += f"\n  ---\n  how: {json.dumps(run.how(row))}\n  ..."
        lines.append(line)
    return "\n".join(lines) + "\n"


# -- tables ------------------------------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def summary(runs: list[Run]) -> str:
    duties, cases = read_duties(), read_cases()
    rows = []
    for title, chosen in (
        ("MUST, MUST NOT, REQUIRED", [duty for duty in duties if duty.is_must]),
        ("SHOULD, SHOULD NOT", [duty for duty in duties if not duty.is_must]),
    ):
        rows.append([f"**{title}**", *(str(len(chosen)) for _ in runs)])
        rows += [[word, *(str(count(run, chosen, word)) for run in runs)] for word in (PASS, FAIL)]
        newer = [[duty for duty in chosen if run.outcome(duty) == FAIL and not run.knows(duty)] for run in runs]
        rows.append(["… of these newer than the spec it follows", *(str(len(one)) for one in newer)])
        rows += [[word, *(str(count(run, chosen, word)) for run in runs)] for word in (ABSENT, UNTESTABLE)]
    rows.append(["**hung, crashed, nonsense**", *(str(len(cases)) for _ in runs)])
    rows += [[word, *(str(count(run, cases, word)) for run in runs)] for word in (PASS, FAIL, ABSENT)]
    return table(["", *(f"{run.name} {run.version}" for run in runs)], rows)


def count(run: Run, rows: list[Duty] | list[Case], word: str) -> int:
    return sum(run.outcome(row) == word for row in rows)


def cell(run: Run, row: Duty | Case) -> str:
    outcome = run.outcome(row)
    if outcome != FAIL:
        return {PASS: "✓", ABSENT: "n/a", UNTESTABLE: ""}.get(outcome, outcome)
    newer = isinstance(row, Duty) and not run.knows(row)
    return f"**{run.how(row)}**" + (f" (since {row.since})" if newer and isinstance(row, Duty) else "")


def failures(runs: list[Run]) -> str:
    rows = [
        [str(duty.id), duty.level, duty.anchor, duty.text, *(cell(run, duty) for run in runs)]
        for duty in read_duties()
        if any(run.outcome(duty) == FAIL for run in runs)
    ]
    return table(["", "level", "where", "duty", *(run.name for run in runs)], rows)


def cases(runs: list[Run]) -> str:
    rows = [[case.text, case.source, *(cell(run, case) for run in runs)] for case in read_cases()]
    return table(["what", "known from", *(run.name for run in runs)], rows)


def departed(run: Run) -> str:
    """Why pyrunc fails what it fails."""
    lines = []
    for duty in read_duties():
        reasons = {departures.REASONS[test] for test in duty.tests if test in departures.REASONS}
        if run.outcome(duty) == FAIL:
            lines.append(f"* {duty.id}, {duty.anchor}, {duty.text}: {'; '.join(sorted(reasons)) or '**a bug**'}")
    return "\n".join(lines)


def untestable() -> str:
    reasons: dict[str, list[int]] = {}
    for duty in read_duties():
        if duty.untestable:
            reasons.setdefault(duty.untestable, []).append(duty.id)
    return "\n".join(f"* {', '.join(map(str, ids))}: {reason}" for reason, ids in reasons.items())


def notes() -> str:
    return "\n".join(f"* {duty.id}: {duty.note}" for duty in read_duties() if duty.note)


def page(runs: list[Run]) -> str:
    text = (HERE / "page.md").read_text()
    parts = {
        "summary": summary(runs), "failures": failures(runs), "cases": cases(runs), "untestable": untestable(),
        "notes": notes(), "departed": departed(runs[-1]),
    }  # fmt: skip
    for name, content in parts.items():
        text = text.replace(f"{{{name}}}", content)
    return text


def main() -> int:
    keep = "--keep" in sys.argv
    runtimes = [word for word in sys.argv[1:] if word != "--keep"]
    if not runtimes:
        raise SystemExit(__doc__)
    for runtime in runtimes:
        one = run(runtime)
        (BUILT / f"{one.name}.json").write_text(as_json(one))
        (BUILT / f"{one.name}.tap").write_text(as_tap(one))
        text = "\n\n".join((summary([one]), failures([one]), cases([one])))
        (BUILT / f"{one.name}.md").write_text(text + "\n")
        print(summary([one]))
        print(f"report: {BUILT / one.name}.json, .tap, .md")
        if keep:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{one.name}.json").write_text(as_json(one))
    if keep:
        PAGE.write_text(page(kept()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
