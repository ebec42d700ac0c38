"""What each command may cost, against numbers that are reviewed like code: budgets.toml has the reason beside each.

Counted, never timed: system calls, opened files, page faults, bytecodes, instructions, operations of the stage.  A
budget fails when it is exceeded, and when it has become so large that it guards nothing any more.

`UPDATE=1 pytest tests/rules/test_budgets.py` writes the numbers anew and keeps the reasons.  A file that nobody opened
before gets none, and the test fails until somebody gives one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from cli.bundle import Bundle, make_rootfs
from rules.measuring import CGROUPS, Machine, Names, Trace
from rules.source import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).resolve().parent / "budgets.toml"
VERBS = ("create", "state", "exec", "start", "kill", "delete", "run")
RUNS = 3
# Of what is the same in every run nothing is forgiven; page faults depend on what the page cache has at hand, the
# other two on the length of paths and ids.
MARGIN = {"operations": 0.01, "faults": 0.10, "bytecodes": 0.02, "instructions": 0.05}
# Who waits for a process polls and reads once more when that process is slower, and a stage whose parent is still busy
# reads its program in pieces; nobody else depends on who is faster.
SLACK = {"exec.calls": 5, "run.calls": 5, "exec.stage_calls": 5, "run.stage_calls": 5}
STALE = 0.25
ABOUT_CGROUPS = ("cgroup_calls", "stage_cgroup_calls")
HEAD = """\
# What each command may cost (tests/rules/test_budgets.py).  UPDATE=1 writes the numbers, people write the reasons.
#
# calls           system calls of the launcher itself, from its execve on; cgroup_calls are those about cgroups, whose
#                 number depends on the hierarchies of the machine: compared only where there are the same ones
# stage_calls     those of the stage, from its birth until it executes the container's program
# faults          pages the process asks for (ru_minflt of wait4), least of several runs; compared only where the
#                 kernel gives huge pages on the same conditions
# bytecodes       executed by pyrunc's own functions, from `main` on, with all modules imported
# instructions    of the process in user space, by callgrind: of `state`, and of `create` up to the stage (measuring.py)
# operations      of the program that the stage executes
# opened          every path that the launcher tries to open, and how often
"""


class Problem(NamedTuple):
    where: str
    found: int
    budget: int
    what: str


def problem_of(where: str, name: str, found: int, budget: int) -> Problem | None:
    if found > budget * (1 + MARGIN.get(name, 0)) + SLACK.get(where, 0):
        return Problem(where, found, budget, "exceeded")
    if found < budget * (1 - STALE) - SLACK.get(where, 0):
        return Problem(where, found, budget, "stale: UPDATE=1")
    return None


def hierarchies() -> str:
    """Which cgroup hierarchies the machine has: `version 1: blkio cpu ..., version 2`."""
    lines = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    first = " ".join(sorted(filter(None, lines)))
    return ", ".join(filter(None, (f"version 1: {first}" if first else "", "version 2" if "" in lines else "")))


def huge_pages() -> str:
    """When the kernel gives huge pages: the launcher asks for one, and one fault fills what 512 would."""
    text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    return text[text.index("[") + 1 : text.index("]")]


# -- measuring


class Measured:
    """Verb -> name -> number, and verb -> path -> number; of RUNS containers the least."""

    def __init__(self, launcher: Path, top: Path) -> None:
        self.machine = Machine(launcher, top)
        self.root = top / "state"
        self.bundle = Bundle(top / "bundle")
        make_rootfs(self.bundle.rootfs)
        self._save(*("sleep", "100"))
        self.numbers: dict[str, dict[str, int]] = {verb: {} for verb in VERBS}
        self.opened: dict[str, dict[str, int]] = {verb: {} for verb in VERBS}
        self.ids: list[str] = []

    def _save(self, *args: str) -> None:
        """Docker's usual limits, and a filter."""
        self.bundle.args(*args)
        self.bundle.linux["resources"] |= {"memory": {"limit": 64 << 20}, "pids": {"limit": 64}, "cpu": {"shares": 512}}
        self.bundle.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["reboot", "kexec_load", "swapon"], "action": "SCMP_ACT_ERRNO"}],
        }
        self.bundle.save()

    def words(self, verb: str, container_id: str) -> list[str]:
        rest = {
            "create": ["--bundle", str(self.bundle.path), container_id],
            "run": ["--bundle", str(self.bundle.path), container_id],
            "exec": [container_id, "/bin/true"],
            "kill": [container_id, "WINCH"],
            "delete": ["--force", container_id],
        }
        return ["--root", str(self.root), verb, *rest.get(verb, [container_id])]

    def measure(self) -> None:
        for _ in range(RUNS):
            self._cycle(self._count_calls)
            for _ in range(2):
                self._cycle(self._count_faults)
        self._cycle(self._count_bytecodes)
        self._count_instructions()
        self._save("true")
        for _ in range(RUNS):
            for count in (self._count_calls, self._count_faults):
                count("run", self.new_id())
            self._count_stage("run", self.new_id())
        self._count_bytecodes("run", self.new_id())
        self._save("sleep", "100")

    def new_id(self) -> str:
        self.ids.append(f"budget-{uuid.uuid4().hex[:12]}")  # as long as any other: the length counts
        return self.ids[-1]

    def _cycle(self, count: Any) -> None:
        container_id = self.new_id()
        for verb in VERBS[:-1]:
            count(verb, container_id)
            if verb == "exec" and count == self._count_calls:
                self._count_stage(verb, container_id)

    def _keep(self, verb: str, **numbers: int) -> None:
        for name, number in numbers.items():
            self.numbers[verb][name] = min(number, self.numbers[verb].get(name, number))

    def _count_calls(self, verb: str, container_id: str) -> None:
        trace = self.machine.trace(self.words(verb, container_id))
        calls, cgroup_calls = trace.counted()
        self._keep(verb, calls=calls, cgroup_calls=cgroup_calls)
        known = {
            str(self.root): "STATE", str(self.bundle.path): "BUNDLE", container_id: "ID",
            str(TOP / "build/lib"): "LIBRARY", str(self.machine.directory): "HERE",
        }  # fmt: skip
        self.opened[verb] = trace.opened(Names(known))

    def _count_stage(self, verb: str, container_id: str) -> None:
        calls, cgroup_calls = self.machine.trace_of_children(self.words(verb, container_id)).counted()
        self._keep(verb, stage_calls=calls, stage_cgroup_calls=cgroup_calls)

    def _count_faults(self, verb: str, container_id: str) -> None:
        self._keep(verb, faults=self.machine.faults(self.words(verb, container_id)))

    def _count_bytecodes(self, verb: str, container_id: str) -> None:
        self._keep(verb, bytecodes=self.machine.bytecodes(self.words(verb, container_id)))

    def _count_instructions(self) -> None:
        """And operations, from `explain`: of the same bundle."""
        container_id = self.new_id()
        failing = self.words("create", container_id)
        self._keep("create", instructions=self.machine.instructions(failing, "start the stage: ENOSYS"))
        self.machine.run([self.machine.launcher, *self.words("create", container_id)])
        self._keep("state", instructions=self.machine.instructions(self.words("state", container_id)))
        self.machine.run([self.machine.launcher, *self.words("delete", container_id)])
        explain = [self.machine.launcher, "explain", "--json", "--bundle", str(self.bundle.path)]
        shown = subprocess.run(explain, capture_output=True, text=True, check=True).stdout
        self._keep("create", operations=len(json.loads(shown)["program"]))

    def clean_up(self) -> None:
        for container_id in self.ids:
            if (self.root / container_id).exists():
                words = self.words("delete", container_id)
                subprocess.run([self.machine.launcher, *words], capture_output=True, check=False)


@pytest.fixture(scope="module")
def measured(launchers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    top = tmp_path_factory.mktemp("budgets")
    top.chmod(0o711)
    measured = Measured(launchers["static"], top)
    try:
        measured.measure()
        if os.environ.get("UPDATE"):
            update(measured)
        yield measured
    finally:
        measured.clean_up()


# -- the file


def read_budgets() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text()) if FILE.exists() else {}


def update(measured: Measured) -> None:
    """Reasons stay: of a number by its name and verb, of a path by the path, whichever verb it was given for."""
    old = read_budgets()
    known = {
        path: entry["reason"]
        for verb in VERBS
        for path, entry in old.get(verb, {}).get("opened", {}).items()
        if entry["reason"]
    }
    lines = [HEAD, f"hierarchies = {json.dumps(hierarchies())}", f"huge_pages = {json.dumps(huge_pages())}"]
    for verb in VERBS:
        lines += ["", f"[{verb}]"]
        before = old.get(verb, {})
        for name, number in sorted(measured.numbers[verb].items()):
            lines.append(f"{name} = {entry_of(number, before.get(name, {}).get('reason', ''))}")
        lines += ["", f"[{verb}.opened]"]
        opened = before.get("opened", {})
        for path, number in measured.opened[verb].items():
            reason = opened.get(path, {}).get("reason") or known.get(path, "")
            lines.append(f"{json.dumps(path)} = {entry_of(number, reason)}")
    FILE.write_text("\n".join(lines) + "\n")


def entry_of(number: int, reason: str) -> str:
    return f"{{ count = {number}, reason = {json.dumps(reason, ensure_ascii=False)} }}"


def comparable(name: str, budgets: dict[str, Any]) -> bool:
    """Whether this machine's number can be held against the one in the file."""
    if name in ABOUT_CGROUPS or name.startswith(CGROUPS):
        return bool(budgets["hierarchies"] == hierarchies())
    return name != "faults" or bool(budgets["huge_pages"] == huge_pages())


# -- the tests


@pytest.mark.parametrize("verb", VERBS)
def test_numbers(measured: Measured, verb: str) -> None:
    budgets = read_budgets()
    recorded = {name: entry["count"] for name, entry in budgets[verb].items() if name != "opened"}
    found = measured.numbers[verb]
    assert sorted(found) == sorted(recorded)
    problems = [
        problem_of(f"{verb}.{name}", name, found[name], recorded[name]) for name in found if comparable(name, budgets)
    ]
    assert list(filter(None, problems)) == []


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_opened_that_is_not_needed(measured: Measured, verb: str) -> None:
    budgets = read_budgets()
    recorded = {path: entry["count"] for path, entry in budgets[verb]["opened"].items() if comparable(path, budgets)}
    assert {path: n for path, n in measured.opened[verb].items() if comparable(path, budgets)} == recorded


def test_every_number_has_its_reason() -> None:
    budgets = read_budgets()
    entries = {f"{verb}.{name}": entry for verb in VERBS for name, entry in budgets[verb].items() if name != "opened"}
    entries |= {f"{verb}: {path}": entry for verb in VERBS for path, entry in budgets[verb]["opened"].items()}
    assert len(entries) > 40
    assert [name for name, entry in entries.items() if len(entry["reason"]) < 8] == []


def test_too_much_and_too_little_are_seen() -> None:
    assert problem_of("state.calls", "calls", 101, 100) == Problem("state.calls", 101, 100, "exceeded")
    assert problem_of("state.calls", "calls", 100, 100) is None
    assert problem_of("exec.calls", "calls", 105, 100) is None
    assert problem_of("exec.calls", "calls", 106, 100) == Problem("exec.calls", 106, 100, "exceeded")
    assert problem_of("state.calls", "calls", 74, 100) == Problem("state.calls", 74, 100, "stale: UPDATE=1")
    assert problem_of("x", "faults", 110, 100) is None
    assert problem_of("x", "faults", 111, 100) == Problem("x", 111, 100, "exceeded")
    assert problem_of("x", "operations", 102, 100) == Problem("x", 102, 100, "exceeded")


def test_a_trace_is_read() -> None:
    text = """\
7 execve("/p", ["p"], 0x7 /* 3 vars */) = 0
7 openat(AT_FDCWD</tmp>, "b/config.json", O_RDONLY) = 3</tmp/b/config.json>
7 openat2(4</sys/fs/cgroup/cpu/x>, "tasks", {flags=O_RDONLY}, 24) = 5
7 clone3({flags=CLONE_VM}, 88 <unfinished ...>
8 dup3(4, 5, 0) = 5
8 write(9</sys/fs/cgroup/cpu/x/tasks>, "0", 1 <unfinished ...>
7 <... clone3 resumed>) = 8
8 <... write resumed>) = 1
8 execve("/bin/true", ["true"], 0x7) = 0
8 brk(NULL) = 0x5
8 +++ exited with 0 +++
7 openat(AT_FDCWD</tmp>, "/proc/8/stat", O_RDONLY) = -1 ENOENT (No such file or directory)
7 exit_group(0) = ?
"""
    trace = Trace(text)
    assert trace.counted() == (8, 2)
    assert trace.of_children(7).counted() == (2, 1)
    assert trace.opened(Names({"/tmp/b": "BUNDLE", "x": "ID"})) == {
        "/proc/PID/stat": 1, "/sys/fs/cgroup/cpu/ID/tasks": 1, "BUNDLE/config.json": 1,
    }  # fmt: skip
