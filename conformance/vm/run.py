#!/usr/bin/env python3
"""Run a command, or a selection of tests, in a throw-away Linux.

    conformance/vm/run.py [options] -- 'bash script'
    conformance/vm/run.py [options] --select systemd systemd-user        (names: see selections.py; all: every one)

The exit status is the command's (124: still running after the time-out, 125: the guest said nothing).  For selections
it is 0 when every test of every one passed; JUnit files are left in build/vm/NAME.xml.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from vm.machine import TOP, Machine, run
from vm.selections import SELECTIONS, run_selection


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("uml", "qemu"), default="uml")
    parser.add_argument("--init", choices=("plain", "systemd"), default="plain")
    parser.add_argument("--user", default="root", help="root or tester")
    parser.add_argument("--cgroup", choices=("v2", "v1"), default="v2")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--console", type=Path, help="append the kernel's log to this file")
    parser.add_argument("--runtime", default="", help="another than this checkout's, for a selection: runc")
    parser.add_argument("--select", nargs="+", metavar="NAME")
    parser.add_argument("command", nargs="*")
    wanted = parser.parse_args()
    if wanted.select:
        names = list(SELECTIONS) if wanted.select == ["all"] else wanted.select
        unknown = [name for name in names if name not in SELECTIONS]
        if unknown:
            parser.error(f"no such selection: {' '.join(unknown)} (there are: {' '.join(SELECTIONS)})")
        return max(_select(name, wanted) for name in names)
    if not wanted.command:
        parser.error("a command or --select is needed")
    machine = Machine(
        engine=wanted.engine, init=wanted.init, user=wanted.user, cgroup=wanted.cgroup,
        timeout_seconds=wanted.timeout, console=wanted.console,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        return run(machine, " ".join(wanted.command), Path(out))


def _select(name: str, wanted: argparse.Namespace) -> int:
    print(f"--- {name}", flush=True)
    label = f"{name}-{Path(wanted.runtime).name}" if wanted.runtime else name
    outcome = run_selection(
        name, TOP / f"build/vm/{label}.xml", engine=wanted.engine, runtime=wanted.runtime, console=wanted.console
    )
    print(outcome)
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
