#!/usr/bin/env python3
"""Two runtimes side by side in the same guests: a table from the JUnit files that run.py left in build/vm.

    conformance/vm/run.py --select cgroups cgroups-v1 cgroups-systemd cgroups-systemd-user
    conformance/vm/run.py --runtime /usr/sbin/runc --select cgroups cgroups-v1 cgroups-systemd cgroups-systemd-user
    conformance/vm/table.py >docs/cgroups.md

Tests about pyrunc's own ways are not run with runc; a line is a file of tests, below are the tests that runc fails.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
RESULTS = TOP / "build/vm"
SIDES = ("", "-runc")
HOSTS = {
    "cgroups": "version 2",
    "cgroups-v1": "version 1, hybrid",
    "cgroups-systemd": "version 2, systemd",
    "cgroups-systemd-user": "version 2, a user's systemd",
}
ALONE = {"kernel": "tests/kernel on version 2", "engines": "podman and containerd with systemd",
         "engines-user": "podman as a user with his own manager"}  # fmt: skip
ENDURANCE = {"endurance": "cgroupfs", "endurance-systemd": "systemd"}
# Seen in guests of both versions with systemd 252: rules that allow everything but c 241:7, then another limit.
UNTOLD = """
## What systemd cannot be told

A unit has a list of devices that are allowed; systemd has no word for one that is denied among all. With rules of
that kind (`allow a`, then a denial), after `update` or `systemctl daemon-reload`:

| host | pyrunc | runc 1.1.5 |
|---|---|---|
| version 2 | as it was | every open is refused, of /dev/null too |
| version 1 | `update`: as it was; daemon-reload: every device is allowed | every open is refused, of /dev/null too |

runc warns at create and has systemd deny everything; pyrunc has it deny nothing, so on version 2 there is the
container's own program alone. On version 1 systemd writes `a` to devices.allow: an update writes the denials again,
from state.json, and after a daemon-reload nobody does: `create` warns of it, name what is allowed there. A list that
denies everything and then allows some (every engine's) is kept by both.""".splitlines()


def outcomes(path: Path) -> dict[tuple[str, str], bool]:
    """(file, test) -> whether it passed."""
    found: dict[tuple[str, str], bool] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        key = (str(case.get("classname")).rpartition(".")[2], str(case.get("name")))
        found[key] = found.get(key, True) and not len(case)  # an error of the teardown is an entry of its own
    return found


def rows(selection: str) -> list[str]:
    """One of each file, with how many of how many passed."""
    sides = [outcomes(RESULTS / f"{selection}{side}.xml") for side in SIDES]
    counts = [
        (Counter(file for file, _name in side), Counter(key[0] for key, good in side.items() if good)) for side in sides
    ]
    return [
        f"| {HOSTS[selection]} | {file} | "
        + " | ".join(f"{good[file]} of {total[file]}" for total, good in counts)
        + " |"
        for file in counts[0][0]
    ]


def failed(selection: str) -> list[str]:
    return [
        f"* {HOSTS[selection]}: `{file}::{name}`"
        for (file, name), good in outcomes(RESULTS / f"{selection}-runc.xml").items()
        if not good
    ]


def alone() -> list[str]:
    """What no other runtime is put beside."""
    found = []
    for name, words in ALONE.items():
        path = RESULTS / f"{name}.xml"
        if path.exists():
            passed = outcomes(path).values()
            found.append(f"* {words}: {sum(passed)} of {len(passed)}")
    return found


def times() -> list[str]:
    found = []
    for name, driver in ENDURANCE.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            for runtime, figures in json.loads(path.read_text()).items():
                words = (str(figures[key]) for key in ("updates", "least", "median"))
                found.append(f"| {driver} | {runtime} | " + " | ".join(words) + " |")
    return found


def main() -> None:
    present = [name for name in HOSTS if all((RESULTS / f"{name}{side}.xml").exists() for side in SIDES)]
    lines = [
        "# Control groups, beside runc",
        "",
        "Written by `conformance/vm/table.py` from runs in user-mode Linux 6.1 (conformance/vm): the same tests, the",
        "same bundles, pyrunc and Debian's runc 1.1.5. Tests about pyrunc's own ways are not run with runc.",
        "",
        "| host | tests | pyrunc | runc |",
        "|---|---|---|---|",
        *[line for name in present for line in rows(name)],
        "",
        "What runc fails:",
        "",
        *([line for name in present for line in failed(name)] or ["* nothing"]),
        "",
        "pyrunc alone:",
        "",
        *alone(),
    ]
    if found := times():
        lines += [
            "",
            "## Many updates",
            "",
            "100 containers of pyrunc's and 10 of runc's, each updated in turn (`--pids-limit`, `--cpu-quota`),",
            "then deleted; no unit, cgroup, BPF program, process or descriptor of pid 1 left (`inside/endurance.py`).",
            "Milliseconds an update, in a guest on a machine that does other things too; runc's take turns with ours.",
            "User-mode Linux makes system calls and page faults dear, for both.",
            "",
            "| driver | runtime | updates | least | median |",
            "|---|---|---|---|---|",
            *found,
        ]
    sys.stdout.write("\n".join([*lines, *UNTOLD]) + "\n")


if __name__ == "__main__":
    main()
