"""`make bench`: runc, crun and pyrunc on the same bundles, interleaved, and a bare C program as the limit.

usage: python -m bench [--rounds 30] [--kinds plain,seccomp,mounts,crowd,list,where] [--cgroups v2,v1]
                       [--crowd 500] [--list 1000] [--docs docs] [--only NAME,...] PYRUNC        as root

Prints the tables.  When nothing is left out, it writes performance.json, performance.svg and the tables of
performance.md to docs; with --docs to that directory, which has a performance.md with the markers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import bundles, plot, report
from bench.contenders import Contender, version

HERE = Path(__file__).parent
KINDS = (*bundles.KINDS, "crowd", "list", "where")
CONTENDERS = ("runc", "crun", "pyrunc", "bare")
ONCE = {"crowd", "list", "where"}  # on the first tree alone


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="what each command costs")
    parser.add_argument("pyrunc", help="the executable")
    parser.add_argument("--rounds", type=int, default=30, help="lives of a container, of each contender and kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"default: {','.join(KINDS)}")
    parser.add_argument("--cgroups", default="v2,v1", help="trees; the first one has all kinds (default: v2,v1)")
    parser.add_argument("--crowd", type=int, default=500, help="containers present (default: 500)")
    parser.add_argument("--list", type=int, default=1000, help="containers to list (default: 1000)")
    parser.add_argument("--docs", type=Path, help="where performance.* go (default: docs, when nothing is left out)")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders (default: all four)")
    given = parser.parse_args()
    unknown = [kind for kind in given.kinds.split(",") if kind not in KINDS]
    if unknown:
        parser.error(f"--kinds: no {', '.join(unknown)}")
    if given.kinds.split(",") == list(KINDS) and given.only.split(",") == list(CONTENDERS) and not given.docs:
        given.docs = HERE.parents[1] / "docs"
    return given


def contenders(given: argparse.Namespace) -> list[tuple[str, str]]:
    """(name, path); bare has none: it is compiled for each kind."""
    paths = {name: shutil.which(name) or "" for name in ("runc", "crun")}
    paths |= {"pyrunc": os.path.abspath(given.pyrunc), "bare": ""}
    found = [(name, paths[name]) for name in given.only.split(",")]
    missing = [name for name, path in found if not path and name != "bare"]
    if missing:
        sys.exit(f"bench: not installed: {', '.join(missing)}")
    return found


def machine() -> dict[str, Any]:
    text = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.split(": ")[1] for line in text.splitlines() if line.startswith("model name")), os.uname().machine
    )
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {"cpu": model, "cores": os.cpu_count(), "memory_mb": int(memory) // 1024, "kernel": os.uname().release}


def trees(given: argparse.Namespace) -> list[str]:
    """Those of --cgroups that this machine can show: a version 1 hierarchy must be mounted already."""
    has_v1 = any(line.split()[2] == "cgroup" for line in Path("/proc/self/mounts").read_text().splitlines())
    return [tree for tree in given.cgroups.split(",") if tree == "v2" or has_v1]


def measure(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(work / "rounds"), str(HERE / "rounds.c")], check=True)
    profile = bundles.docker_profile(json.loads(Path(bundles.PROFILE).read_text()))
    found: dict[str, Any] = {}
    for number, tree in enumerate(trees(given)):
        kinds = [kind for kind in given.kinds.split(",") if number == 0 or kind not in ONCE]
        task = {
            "work": str(work),
            "tree": tree,
            "kinds": kinds,
            "contenders": contenders(given),
            "profile": profile,
            "rounds": given.rounds,
            "crowd": given.crowd,
            "list": given.list,
        }
        (work / "task.json").write_text(json.dumps(task))
        inside = [sys.executable, "-B", "-m", "bench.inside", str(work / "task.json")]
        command = ["unshare", "--mount", "--propagation", "private", *inside]
        if subprocess.run(command, check=False).returncode:
            sys.exit(1)
        found[tree] = json.loads((work / f"{tree}.json").read_text())
    return found


def main() -> None:
    given = arguments()
    if os.geteuid():
        sys.exit("bench: containers need root")
    # The one inside gets the terminal's SIGINT too, and clears up; subprocess.run would kill it in the middle of that.
    signal.signal(signal.SIGINT, lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="pyrunc-bench") as work:
        found = measure(given, Path(work))
    result = {
        "machine": machine(),
        "rounds": given.rounds,
        "crowd": given.crowd,
        "list": given.list,
        "contenders": {name: version(Contender(name, path, "")) for name, path in contenders(given)},
        "cgroups": found,
    }
    tables = report.tables(result)
    if given.docs:
        (given.docs / "performance.json").write_text(json.dumps(result, indent=1) + "\n")
        (given.docs / "performance.svg").write_text(plot.draw(result))
        page = given.docs / "performance.md"
        page.write_text(report.insert(page.read_text(), tables))
    print(tables)


if __name__ == "__main__":
    main()
