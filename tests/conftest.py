"""Rules for every test: no skip goes unnoticed, and what passed passes again.

A test that cannot run here is a failure, so that a machine which lacks something says so, unless it stands in
ALLOWED_SKIPS with the reason why it may be missing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from launchers import KINDS, build_launcher

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# The same examples every time: a run that differs from the last one does so because the sources do.  A slow machine is
# no error.  NEW_EXAMPLES=1 looks for others; what it finds becomes an @example.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("new", database=None, deadline=None)
settings.load_profile("new" if os.environ.get("NEW_EXAMPLES") else "same")

ALLOWED_SKIPS: dict[str, str] = {}  # node id (or the part before "[") -> why


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that nobody allowed into a failure; an expected failure stays what it is."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail") or report.nodeid.split("[")[0] in ALLOWED_SKIPS:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: a skipped test is a failed test (tests/conftest.py): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.fixture(scope="session")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind -> a launcher of that kind; some 20 s for all of them."""
    top = tmp_path_factory.mktemp("launchers")
    top.chmod(0o711)
    return {kind: build_launcher(kind, top / kind) for kind in KINDS}
