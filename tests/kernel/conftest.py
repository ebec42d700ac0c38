"""Fixtures of the tests that need a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from stage_process import build_stage


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about cgroups of version 1 is not for a host without: taken out, not skipped (conformance/vm)."""
    if any(line.split()[2] == "cgroup" for line in Path("/proc/self/mounts").read_text().splitlines()):
        return
    here = Path(__file__).parent
    out = {item for item in items if here in item.path.parents and item.get_closest_marker("v1_only")}
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage, freshly built for this machine."""
    return build_stage(tmp_path_factory.mktemp("stage") / "stage")
