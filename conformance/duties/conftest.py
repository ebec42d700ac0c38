"""Fixtures and results of the duties: a container per test, and a file that says how each test ended.

DUTIES_RESULTS=FILE writes {test: [outcome, how, ...]} for conformance/report.py.  A test that cannot apply to a runtime
(`features` of one without that command) skips; for pyrunc a skip is a failure.  DUTIES_FIRST_FAILURE=1 leaves out the
other parameters of a test that has failed, DUTIES_FIRST_PARAMETER=1 all but one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from duties import departures
from duties.container import IS_PYRUNC, Box, Island

from cli.bundle import make_rootfs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
RESULTS: dict[str, list[str]] = {}


@pytest.fixture(scope="session")
def island() -> Iterator[Island]:
    assert os.geteuid() == 0, "conformance makes containers: run it as root"
    island = Island()
    yield island
    island.close()


@pytest.fixture(scope="session")
def rootfs_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rootfs = tmp_path_factory.mktemp("template") / "rootfs"
    make_rootfs(rootfs)
    return rootfs


def make_box(directory: Path, template: Path, island: Island) -> Box:
    """A box whose rootfs may be changed; busybox itself is a hard link."""
    for path in (directory, *directory.parents):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o111)  # the root of a user namespace has to find the rootfs
    box = Box(directory, island)
    box.path.mkdir()
    shutil.copytree(template, box.rootfs, symlinks=True, copy_function=link)
    os.chown(box.rootfs / "home/user", 1000, 1000)
    return box


def link(source: str, target: str) -> str:
    if source.endswith("/busybox"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


@pytest.fixture
def box(tmp_path: Path, rootfs_template: Path, island: Island) -> Iterator[Box]:
    box = make_box(tmp_path, rootfs_template, island)
    yield box
    box.clean_up()


@pytest.fixture
def other(tmp_path: Path, rootfs_template: Path, island: Island) -> Iterator[Box]:
    """A second container, for comparisons."""
    (tmp_path / "other").mkdir()
    box = make_box(tmp_path / "other", rootfs_template, island)
    yield box
    box.clean_up()


# -- results -----------------------------------------------------------------------------------------------------------


def name_of(nodeid: str) -> str:
    """`test_x.py::test_y[z]` -> `test_x.py::test_y`"""
    return nodeid.partition("[")[0].rpartition("/")[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where pyrunc departs on purpose, its failure is expected, and passing would be news."""
    if os.environ.get("DUTIES_FIRST_PARAMETER"):
        items[:] = {name_of(item.nodeid): item for item in reversed(items)}.values()
    for item in items:
        if IS_PYRUNC and HERE in item.path.parents and (reason := departures.REASONS.get(name_of(item.nodeid))):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.environ.get("DUTIES_FIRST_FAILURE") and RESULTS.get(name_of(item.nodeid), [""])[0] == "fail":
        pytest.skip("has failed already")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if HERE in item.path.parents:
        if report.skipped and not hasattr(report, "wasxfail") and IS_PYRUNC:
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid}: pyrunc has to be able to do this: {report.longrepr}"
        note(report)
    return report


def note(report: pytest.TestReport) -> None:
    """The worst outcome of all parameters and phases of a test, and in what ways it failed."""
    outcome, how = "pass", ""
    if report.failed or hasattr(report, "wasxfail"):
        outcome, how = "fail", in_a_word(report)
    elif report.skipped:
        outcome = "absent"
    elif report.when != "call":
        return
    row = RESULTS.setdefault(name_of(report.nodeid), [outcome])
    row[0] = max(row[0], outcome, key=("absent", "pass", "fail").index)
    if how and how not in row:
        row.append(how)


def in_a_word(report: pytest.TestReport) -> str:
    """What a refusal that did not come was instead (container.py); `differs` for all else."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    if "hangs" in text or "status None" in text:
        return "hangs"
    if killed := re.search(r"status -(\d+)", text):
        return f"dies of {signal.Signals(int(killed[1])).name}"
    if re.search(r"(panic:|goroutine |Segmentation fault|Traceback \(most)", text):
        return "crashes"
    if re.search(r"AssertionError: status 0\b", text):
        return "accepts it"
    return "refuses" if re.search(r"status [1-9]", text) else "differs"


def pytest_sessionfinish() -> None:
    if path := os.environ.get("DUTIES_RESULTS"):
        Path(path).write_text(json.dumps(RESULTS, indent=1, sort_keys=True))
