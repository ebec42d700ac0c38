"""Which tests run in which guest, and how one of these runs ended."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from vm.machine import TOP, Machine, copy_results, run

INSIDE = "conformance/vm/inside"


@dataclass(frozen=True)
class Selection:
    tests: tuple[str, ...]  # what pytest is given, from the top of the checkout
    init: str = "plain"
    user: str = "root"
    cgroup: str = "v2"
    driver: str = "cgroupfs"  # of the containers that tests/cli make
    leave_out: tuple[str, ...] = ()  # node ids, with the reason beside them
    engine: str = ""  # the only one that it is for
    is_long: bool = False  # for `make test-vm`, not for `make test`
    timeout_seconds: float = 600.0


CGROUP_TESTS = tuple(f"tests/cli/test_{name}.py" for name in ("cgroups", "cgroups_v2", "update", "pause", "events"))
# With systemd, whose scope must go whichever way a container ends.
MANAGED = (*CGROUP_TESTS, *(f"tests/cli/test_{name}.py" for name in ("delete", "kill")))
# user-mode Linux has neither hugetlb nor cpuset, and one version of cgroups at a time
WITHOUT_CONTROLLERS = (
    "tests/cli/test_cgroups.py::test_a_hybrid_host_with_huge_pages_on_version_2",
    "tests/cli/test_cgroups.py::test_a_cgroup_with_children_keeps_the_default_of_its_device_rules",  # of version 1
    "tests/cli/test_cgroups_v2.py::test_controllers_that_count_by_process_are_no_use_there",
    "tests/cli/test_cgroups_v2.py::test_limits_without_their_controller_are_refused",  # there is memory
)
WITHOUT_HUGETLB = (
    "tests/cli/test_cgroups.py::test_a_hybrid_host_with_huge_pages_on_version_2",
    "tests/cli/test_cgroups_v2.py::test_controllers_that_count_by_process_are_no_use_there",  # it is about huge pages
)

SELECTIONS = {
    "systemd": Selection((f"{INSIDE}/systemd_root.py",), init="systemd"),
    "systemd-v1": Selection((f"{INSIDE}/systemd_root.py",), init="systemd", cgroup="v1"),
    "systemd-user": Selection((f"{INSIDE}/systemd_user.py",), init="systemd", user="tester"),
    "plain": Selection(
        (
            f"{INSIDE}/apparmor.py",
            "tests/cli/test_delete.py",
            "tests/cli/test_pause.py",
            "tests/cli/test_cgroups.py",
            "tests/cli/test_cgroups_v2.py",
        ),
        leave_out=WITHOUT_CONTROLLERS,
    ),
    "engines": Selection(
        (f"{INSIDE}/engines_podman.py", f"{INSIDE}/engines_containerd.py"), init="systemd", is_long=True
    ),
    "engines-user": Selection((f"{INSIDE}/engines_podman.py",), init="systemd", user="tester", is_long=True),
    # Everything about cgroups, on each kind of host; `run.py --runtime runc` has runc do the same (table.py).
    "cgroups": Selection(CGROUP_TESTS, leave_out=WITHOUT_CONTROLLERS, is_long=True, timeout_seconds=1800),
    "cgroups-v1": Selection(CGROUP_TESTS, cgroup="v1", leave_out=WITHOUT_HUGETLB, is_long=True, timeout_seconds=1800),
    "cgroups-systemd": Selection(
        MANAGED, init="systemd", driver="systemd", leave_out=WITHOUT_CONTROLLERS, is_long=True, timeout_seconds=1800
    ),
    "cgroups-systemd-user": Selection(
        MANAGED,
        init="systemd",
        user="tester",
        driver="systemd",
        leave_out=WITHOUT_CONTROLLERS,
        is_long=True,
        timeout_seconds=1800,
    ),
    # pyrunc's own modules on a kernel with all controllers of version 2
    "kernel": Selection(
        tuple(
            f"tests/kernel/test_{name}.py"
            for name in ("cgroups", "cgroups_processes", "cgroups_tree", "cgroups_v2", "device_program")
        ),
        leave_out=(  # they want a tree with hugetlb and without memory
            "tests/kernel/test_cgroups_v2.py::test_the_life_of_a_cgroup",
            "tests/kernel/test_cgroups_v2.py::test_a_cgroup_with_processes_of_its_own_cannot_share_out_controllers",
        ),
        is_long=True,
    ),
    "endurance": Selection((f"{INSIDE}/endurance.py",), is_long=True, timeout_seconds=7200),
    "endurance-systemd": Selection((f"{INSIDE}/endurance.py",), init="systemd", is_long=True, timeout_seconds=7200),
    "qemu": Selection((f"{INSIDE}/whole_kernel.py",), engine="qemu", is_long=True, timeout_seconds=1800),
    # Alone: the guest's own memory runs out, and now and then its kernel panics ("deadlocked on memory").
    "oom-host": Selection((f"{INSIDE}/oom_host.py",), is_long=True),
    "rootless": Selection((f"{INSIDE}/rootless.py",), user="tester"),
}


@dataclass(frozen=True)
class Outcome:
    status: int
    counts: dict[str, int]  # tests, failures, errors, skipped; empty when the guest left no JUnit file
    complaints: tuple[str, ...]

    @property
    def passed(self) -> bool:
        counts = self.counts
        bad = counts.get("failures", 0) + counts.get("errors", 0) + counts.get("skipped", 0)
        return self.status == 0 and counts.get("tests", 0) > 0 and bad == 0

    def __str__(self) -> str:
        counted = ", ".join(f"{number} {name}" for name, number in self.counts.items()) or "no results"
        return "\n".join([f"exit status {self.status}: {counted}", *self.complaints])


def run_selection(
    name: str, junit: Path, *, engine: str = "uml", runtime: str = "", console: Path | None = None
) -> Outcome:
    """Start the guest, run the tests there (with another runtime), and read what they reported."""
    selection = SELECTIONS[name]
    machine = Machine(
        engine=selection.engine or engine, init=selection.init, user=selection.user, cgroup=selection.cgroup,
        timeout_seconds=selection.timeout_seconds, console=console,
    )  # fmt: skip
    junit.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="vm-out-") as out:
        status = run(machine, script(selection, runtime), Path(out))
        found = copy_results(Path(out), junit)
        for figures in Path(out).glob("*.json"):
            shutil.copy2(figures, junit.with_suffix(".json"))
    counts, complaints = read_junit(junit) if found else ({}, ())
    return Outcome(status, counts, complaints)


def script(selection: Selection, runtime: str = "") -> str:
    """The guest's side.  Nothing is written into the checkout there."""
    path = ":".join(f"{TOP}/{part}" for part in ("runtime", "spec", "build/lib"))
    words = [f"{TOP}/build/venv/bin/python", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    words += ["--junitxml=/run/vm-out/junit.xml", "-o", "junit_family=xunit2", *selection.tests]
    words += [f"--deselect={one}" for one in selection.leave_out]
    kind = "cgroup2fs" if selection.cgroup == "v2" else "tmpfs"  # of v1 each controller's hierarchy is mounted below
    complaint = f"cgroups are not {selection.cgroup}"
    settings = [f"PYTHONPATH={path}", "LANG=C.UTF-8", f"CGROUP_DRIVER={selection.driver}"]
    settings += [f"RUNTIME={runtime}"] if runtime else []
    lines = (
        f'[ "$(stat -f -c %T /sys/fs/cgroup)" = {kind} ] || {{ echo "{complaint}"; exit 1; }}',
        f"cd {shlex.quote(str(TOP))}",
        f"export {shlex.join(settings)}",
        f"exec {shlex.join(words)}",
    )
    return "; ".join(lines)


def read_junit(path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Counts, and a line for each test that did not pass."""
    suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    names = ("tests", "failures", "errors", "skipped")
    counts = {name: sum(int(suite.get(name, "0")) for suite in suites) for name in names}
    complaints = [
        f"{case.get('classname')}.{case.get('name')}: {(problem.get('message') or '')[:300]}"
        for suite in suites
        for case in suite.iter("testcase")
        for problem in case
        if problem.tag in ("failure", "error", "skipped")
    ]
    return counts, tuple(complaints)
