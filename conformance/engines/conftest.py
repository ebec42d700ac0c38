"""One island an engine, for all tests of its module; a test's containers have names of their own."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from engines.daemons import Containerd, Docker, Podman
from engines.island import RUNTIME_PATH, Island

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _what_is_needed() -> None:
    assert os.geteuid() == 0, "conformance/engines starts daemons: run it as root"
    assert os.access(RUNTIME_PATH, os.X_OK), f"no such runtime: {RUNTIME_PATH}"


@pytest.fixture
def name() -> str:
    """For a container; unique on the island."""
    return f"box{next(_numbers)}"


@pytest.fixture(scope="module")
def island() -> Iterator[Island]:
    island = Island()
    try:
        yield island
    finally:
        island.end()


@pytest.fixture(scope="module")
def containerd(island: Island) -> Containerd:
    return Containerd(island)


@pytest.fixture(scope="module")
def docker(island: Island) -> Docker:
    return Docker(island)


@pytest.fixture(scope="module", params=["rootful", "rootless"])
def podman(request: pytest.FixtureRequest) -> Iterator[Podman]:
    island = Island()
    try:
        yield Podman(island, rootless=request.param == "rootless")
    finally:
        island.end()
