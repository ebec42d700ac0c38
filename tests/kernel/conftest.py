"""Fixtures of the tests that need a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stage_process import build_stage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage, freshly built for this machine."""
    return build_stage(tmp_path_factory.mktemp("stage") / "stage")
