"""A bundle, the program that disturbs, and the world before."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.conftest import bundle, rootfs_template
from cli.runtime import wait_until
from faults import hierarchies, injector
from faults.injector import Injector
from faults.scenes import ID
from faults.world import World, bury, children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle

__all__ = ["bundle", "rootfs_template"]

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(autouse=True)
def private_mounts() -> Iterator[None]:
    """Two runs of these tests do not see each other's mounts, and what is mounted here goes with the test."""
    with hierarchies.private_mounts():
        yield


@pytest.fixture(autouse=True)
def nobody_left(private_mounts: None) -> Iterator[None]:
    """Orphans come to this process (PR_SET_CHILD_SUBREAPER): none of them is a later test's business."""
    known = children()
    yield
    wait_until(lambda: bury(known) or not children() - known)


@pytest.fixture(scope="module")
def inject() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pyrunc-faults-") as directory:
        yield injector.build(Path(directory))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not below pytest's own directory: every session that starts closes that to ordinary users again."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-faults-") as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def _orphans_are_ours() -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"faults-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def stage(bundle: Bundle, inject: Path, tmp_path: Path, name: str) -> Iterator[tuple[Injector, Bundle, World]]:
    bundle.args("sleep", "1000")
    bundle.linux["cgroupsPath"] = f"/{name}/{ID}"
    bundle.linux["resources"]["memory"] = {"limit": 1 << 28}
    bundle.save()
    (tmp_path / "state").mkdir()
    world = World(tmp_path, name)
    yield Injector(inject, tmp_path / "state"), bundle, world
    world.clear()
