"""The measuring itself, in a mount namespace of its own: `python -m bench.inside TASK`, as __main__.py starts it.

TASK is a JSON file: {"work", "tree", "kinds", "rounds", "crowd", "list", "contenders": [[name, path]], "profile"}.
The result goes to WORK/TREE.json.  Everything below WORK/TREE is on a tmpfs that ends with the namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import bare_tables, bundles, where
from bench.contenders import CROWDED, STEPS, WAITING, Contender, script
from bench.samples import Samples, Summary, bind_cost, parse, summarise

WARM_UP = 3
MAKERS = 2  # of the crowd, side by side: a runtime sleeps through RCU grace periods
PR_SET_CHILD_SUBREAPER = 36
MACHINE = os.uname().machine
FLAGS = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"]
HERE = Path(__file__).parent


def prepare_cgroups(tree: str) -> None:
    """v1: the hierarchies of version 1 alone.  v2: version 2 alone, with whatever controllers it has here."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    unified = [m[1] for m in mounts if m[2] == "cgroup2"]
    if tree == "v2" and "/sys/fs/cgroup" not in unified:
        subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=True)
    if tree == "v1":
        for point in unified:  # crun makes its directories there all the same: they must not be the host's
            subprocess.run(["umount", point], check=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", point], check=True)


def hierarchies() -> list[bare_tables.Hierarchy]:
    """Where this process is in each mounted hierarchy."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        own[names] = path
    seen: dict[str, str] = {}  # the last mount at a place covers the others
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        covered = [place for place in seen if place == point or place.startswith(point + "/")]
        for place in covered:
            del seen[place]
        if kind == "cgroup2":
            seen[point] = ""
        elif kind == "cgroup":
            seen[point] = next(names for names in own if names and set(names.split(",")) <= set(options.split(",")))
    return [
        bare_tables.Hierarchy(os.path.basename(point), os.path.normpath(point + own[names]))
        for point, names in seen.items()
        if names in own
    ]


def compile_filter(profile: dict[str, Any]) -> tuple[bytes, int]:
    """The BPF program and the flags that pyrunc has for it: bare.c loads the same."""
    from ocispec.config import read_config  # pyrunc's own; nothing else here needs it
    from pyrunc.security import seccomp

    config = read_config(bundles.config("seccomp", 2, "/", bundles.SHORT, profile))
    assert config.linux is not None
    assert config.linux.seccomp is not None
    compiled = seccomp.compile_filter(config.linux.seccomp, MACHINE)
    return compiled.instructions, compiled.flags


class Bench:
    """One tree of cgroups: the bundles, the contenders and what they leave behind."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.version = int(task["tree"][1:])
        self.work = Path(task["work"])
        self.top = self.work / task["tree"]
        self.errors = self.work / "errors"  # what the runtimes say
        self.prefix = f"bench{os.getpid()}"
        self.contenders = [
            Contender(name, path or f"{self.top}/bare-{{kind}}", f"{self.top}/state/{name}")
            for name, path in task["contenders"]
        ]
        self.crowds: dict[str, list[str]] = {contender.name: [] for contender in self.contenders}

    def prepare(self) -> None:
        self.top.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", str(self.top)], check=True)
        prepare_cgroups(self.task["tree"])
        bundles.write_rootfs(self.top / "rootfs")
        for contender in self.contenders:
            Path(contender.root).mkdir(parents=True)
        for kind in bundles.KINDS:
            bundles.write_bundles(self.top, kind, self.version, self.task["profile"])
            if "bare" in self.crowds:
                self._compile_bare(kind)

    def _compile_bare(self, kind: str) -> None:
        rootfs, profile = str(self.top / "rootfs"), self.task["profile"]
        configs = [bundles.config(kind, self.version, rootfs, args, profile) for args in (bundles.LONG, bundles.SHORT)]
        compiled = compile_filter(profile) if kind == "seccomp" else (b"", 0)
        tables = self.top / f"bare-{kind}.h"
        tables.write_text(bare_tables.header((configs[0], configs[1]), self.version, hierarchies(), compiled))
        command = ["gcc", *FLAGS, f'-DTABLES="{tables}"', "-o", str(self.top / f"bare-{kind}"), str(HERE / "bare.c")]
        subprocess.run(command, check=True)

    def measure(self, kind: str, steps: tuple[str, ...], rounds: int) -> Summary:
        found = summarise(self.sample(kind, script(self.contenders, steps, str(self.top), kind, self.prefix), rounds))
        return {contender.name: found[contender.name] for contender in self.contenders}

    def sample(self, kind: str, steps: str, rounds: int) -> Samples:
        (self.work / "script").write_text(steps)
        command = [f"{self.work}/rounds", f"{self.work}/script", str(rounds), str(WARM_UP), str(self.errors)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            sys.exit(f"bench: {kind} on {self.task['tree']}:\n" + "\n".join(self.errors.read_text().splitlines()[-5:]))
        return parse(result.stdout)

    def bind_mounts(self, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
        """Contender -> clock -> us a bind mount: the same life with and without them, in turn."""
        twice = {
            kind: [one._replace(name=f"{one.name}-{kind}") for one in self.contenders] for kind in ("plain", "mounts")
        }
        steps = "".join(script(ones, WAITING, str(self.top), kind, self.prefix) for kind, ones in twice.items())
        found = self.sample("bind mounts", steps, rounds)
        return {one.name: bind_cost(found[f"{one.name}-mounts"], found[f"{one.name}-plain"]) for one in self.contenders}

    # -- containers that stay ------------------------------------------------------------------------------------

    def run(self, contender: Contender, step: str, name: str) -> str:
        command = contender.command(step, str(self.top), "plain", name)
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(f"bench: {' '.join(command)}: {result.stderr}")
        return result.stdout

    def create(self, contender: Contender, name: str) -> int:
        """A waiting container: the pid of its init.  Its own pid file: two are made side by side."""
        own = contender.command("create", str(self.top), "plain", name)
        file = Path(f"{self.top}/state/{name}.pid")
        own[own.index("--pid-file") + 1] = str(file)
        self.crowds[contender.name].append(name)
        with open(self.errors, "a") as errors:  # no pipe: init would hold its other end
            subprocess.run(own, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, check=True)
        return int(file.read_text())

    def gather(self, first: int, last: int) -> None:
        for contender in self.contenders:
            names = [f"{self.prefix}-{contender.name}-crowd{number}" for number in range(first, last)]
            with ThreadPoolExecutor(MAKERS) as makers:
                list(makers.map(lambda name, who=contender: self.create(who, name), names))

    def stop(self) -> None:
        """Kill every waiting init, and wait for it: it is this process's child by PR_SET_CHILD_SUBREAPER.

        Again until there is none: what a killed runtime had started comes here then.
        """
        while inits := where.children(os.getpid()):
            for pid in inits:
                os.kill(pid, signal.SIGKILL)
            for pid in inits:
                os.waitpid(pid, 0)

    def disperse(self) -> None:
        self.stop()
        for contender in self.contenders:
            with ThreadPoolExecutor(MAKERS) as makers:
                list(makers.map(lambda name, who=contender: self.run(who, "delete", name), self.crowds[contender.name]))
            self.crowds[contender.name].clear()

    def waiting_init(self) -> dict[str, dict[str, int]]:
        """Contender -> what its container's process takes while it waits for `start`, in KB."""
        found = {}
        for contender in self.contenders:
            name = f"{self.prefix}-{contender.name}-waiting"
            pid = self.create(contender, name)
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            amounts = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
            found[contender.name] = {"rss_kb": amounts["Rss:"], "pss_kb": amounts["Pss:"]}
        self.disperse()
        return found

    def crowd(self) -> dict[str, Any]:
        """The same life alone and with `crowd` containers present; then `list` of `list` stopped ones."""
        rounds, present, listed = self.task["rounds"], self.task["crowd"], self.task["list"]
        found: dict[str, Any] = {}
        if "crowd" in self.task["kinds"]:
            found["alone"] = self.measure("plain", CROWDED, rounds)
            self.gather(0, present)
            time.sleep(1)  # what the kernel still does for new network namespaces
            found["crowd"] = self.measure("plain", CROWDED, rounds)
            self.stop()
        if "list" in self.task["kinds"]:
            self.gather(present if "crowd" in self.task["kinds"] else 0, listed)
            self.stop()
            time.sleep(2)
            for contender in self.contenders:
                lines = self.run(contender, "list", "").splitlines()
                assert sum(self.prefix in line for line in lines) == listed, (contender.name, len(lines))
            found["list"] = self.measure("plain", ("list",), max(rounds // 2, 5))
        self.disperse()
        return found

    def results(self) -> dict[str, Any]:
        kinds = self.task["kinds"]
        measured: dict[str, Any] = {}
        for kind in bundles.KINDS:
            if kind in kinds:
                print(f"bench: {self.task['tree']} {kind}", file=sys.stderr)
                measured[kind] = self.measure(kind, STEPS, self.task["rounds"])
        binds = {}
        if "mounts" in kinds:
            print(f"bench: {self.task['tree']} a bind mount", file=sys.stderr)
            binds = self.bind_mounts(2 * self.task["rounds"])
        if {"crowd", "list"} & set(kinds):
            print(f"bench: {self.task['tree']} crowd, list", file=sys.stderr)
            measured.update(self.crowd())
        found: dict[str, Any] = {"kinds": measured, "bind_mounts": binds, "waiting_init": self.waiting_init()}
        if "where" in kinds:
            print(f"bench: {self.task['tree']} where", file=sys.stderr)
            found["where"] = where.profile(self)
        return found

    # -- leaving nothing -----------------------------------------------------------------------------------------

    def clear(self) -> list[str]:
        """End what is left, after an error or an interruption: processes, then cgroups.  What there was."""
        left = [f"process {pid}" for pid in where.children(os.getpid())]
        self.stop()
        for hierarchy in hierarchies():
            for directory, _, _ in os.walk(hierarchy.parent, topdown=False):
                if os.path.basename(directory).startswith(self.prefix):
                    left.append(directory)
                    os.rmdir(directory)
        return left


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text())
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    bench = Bench(task)
    try:
        bench.prepare()
        found = bench.results()
    finally:
        left = bench.clear()
        if left:
            print(f"bench: {len(left)} processes and cgroups were left, and cleared: {left[0]}, …", file=sys.stderr)
    (bench.work / f"{task['tree']}.json").write_text(json.dumps(found))
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
