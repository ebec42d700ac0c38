"""Run the validation programs of OCI runtime-tools against a runtime and compare with expectations.txt.

usage: suite.py TREE RUNTIME [--quick] [PROGRAM ...]

Every program runs under `unshare -m`: linux_ns_itype leaves mounts behind and then removes files through them.
Exit code 0: every program that must pass passed.  The closing line is `N passed, N failed`; known failures are
counted apart, with the reason that expectations.txt gives.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIME_LIMIT_SECONDS = 120
MUST, CLEAN, KNOWN, SILENT = "must", "clean", "known", "silent"
ASSERTION = re.compile(r"(not )?ok\b\s*\d*\s*(#\s*(?:SKIP|TODO)\b)?", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)$")


class Expectation:
    """One line of expectations.txt."""

    def __init__(self, line: str) -> None:
        self.program, self.kind, self.asserted, self.reason = [*line.split(None, 3), ""][:4]
        if self.kind not in (MUST, CLEAN, KNOWN, SILENT):
            raise ValueError(f"expectations.txt: {line}: the second word is {MUST}, {CLEAN}, {KNOWN} or {SILENT}")


class Outcome:
    """What one run of a program said."""

    def __init__(self, exit_code: int | None, output: str) -> None:
        self.exit_code = exit_code  # None: it did not end in time
        self.passed = self.failed = self.skipped = 0
        self.plans: list[int] = []
        self.complaints = [line for line in output.splitlines() if line.startswith("not ok")]
        for line in output.splitlines():
            if plan := PLAN.match(line):
                self.plans.append(int(plan[1]))
            elif assertion := ASSERTION.match(line):
                if assertion[2]:
                    self.skipped += 1
                elif assertion[1]:
                    self.failed += 1
                else:
                    self.passed += 1
        # programs that never assert still print what went wrong, as YAML
        self.errors = re.findall(r'^\s+"error": "(.+?)",?$', output, re.MULTILINE)

    @property
    def asserted(self) -> str:
        return f"{self.passed}/{self.failed}"

    def verdict_by_what_it_prints(self) -> str:
        """The same of a program that asserts nothing, or plans twice: by its exit code and its YAML."""
        if self.exit_code == 0 and not self.failed:
            return f"error: {self.errors[0][:100]}" if self.errors else "pass"
        return self.verdict()

    def verdict(self) -> str:
        """`pass`, or in a few words why not."""
        if self.exit_code is None:
            return f"no end after {TIME_LIMIT_SECONDS} s"
        if self.exit_code:
            return f"exit code {self.exit_code}"
        if self.failed:
            return f"{self.failed} not ok"
        if not self.passed:
            return "asserts nothing" + (f": {self.errors[0][:100]}" if self.errors else "")
        if self.plans != [self.passed + self.skipped]:
            return f"planned {self.plans}, made {self.passed + self.skipped}"
        return "pass"


def read_expectations() -> dict[str, Expectation]:
    lines = (HERE / "expectations.txt").read_text().splitlines()
    rows = [Expectation(line) for line in lines if line.strip() and not line.startswith("#")]
    return {row.program: row for row in rows}


def run(tree: Path, program: str, runtime: str) -> Outcome:
    """Run one program with its own mount namespace, temporary directory and process group."""
    command = ["unshare", "-m", "--propagation", "private", str(tree / "validation" / program / f"{program}.t")]
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as scratch:
        os.chmod(scratch, 0o755)  # the root of a user namespace has to find its rootfs
        environment = {**os.environ, "RUNTIME": runtime, "TMPDIR": scratch}
        with (Path(scratch) / "output").open("w+", errors="replace") as output:
            process = subprocess.Popen(
                command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                exit_code: int | None = process.wait(TIME_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                exit_code = None
            output.seek(0)
            text = output.read()
    keep = HERE.parent / "build" / "conformance"
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"{program}.out").write_text(text)
    return Outcome(exit_code, text)


def verdict_of(expected: Expectation, outcome: Outcome) -> str:
    return outcome.verdict_by_what_it_prints() if expected.kind == CLEAN else outcome.verdict()


def judge(expected: Expectation, outcome: Outcome) -> tuple[bool, str]:
    """Whether this counts as a failure, and the line to print."""
    verdict = verdict_of(expected, outcome)
    broken = expected.kind in (MUST, CLEAN) and verdict != "pass"
    words = {True: "FAIL", False: "ok" if verdict == "pass" else expected.kind}[broken]
    line = f"{words:7s}{expected.program:34s}{outcome.asserted:9s}"
    if verdict != "pass":
        line += f"{verdict}" + (f"   [{expected.reason}]" if expected.reason else "")
    elif expected.kind == KNOWN:
        line += "passes, though listed as a known failure"
    if broken:
        line += "".join(f"\n         {complaint[:150]}" for complaint in outcome.complaints[:10])
    return broken, line


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    tree, runtime, chosen = Path(arguments[0]), arguments[1], arguments[2:]
    runtime = str(Path(runtime).resolve()) if "/" in runtime else runtime
    expectations = read_expectations()
    programs = sorted(path.stem for path in tree.glob("validation/*/*.t"))
    if unlisted := [program for program in programs if program not in expectations]:
        print(f"not in expectations.txt: {unlisted}")
        return 1
    if "--quick" in sys.argv:
        programs = [program for program in programs if expectations[program].kind in (MUST, CLEAN)]
    results = {}
    for program in [program for program in programs if not chosen or program in chosen]:
        outcome = run(tree, program, runtime)
        broken, line = judge(expectations[program], outcome)
        results[program] = {
            "failed": broken,
            "verdict": verdict_of(expectations[program], outcome),
            "asserted": outcome.asserted,
        }
        print(line, flush=True)
    (HERE.parent / "build" / "conformance" / "result.json").write_text(json.dumps(results, indent=1))
    failed = sum(row["failed"] is True for row in results.values())
    passed = sum(row["verdict"] == "pass" for row in results.values())
    print(f"{len(results) - passed - failed} known failures or programs that assert nothing")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
