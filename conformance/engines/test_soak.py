"""Under load: eight at a time, none lost, none left over.  The full numbers are marked slow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from engines.island import hierarchies, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.daemons import Docker

WORKERS = 8
FEW, MANY = 8, 500
NUMBERS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


def at_once(count: int, action: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(action, range(count)))


def traces(docker: Docker) -> dict[str, list[str]]:
    """What containers left: their shims, their directories, their cgroups."""
    inside = docker.island.run
    state = f"{docker.island.directory}/docker/exec/runtime-runc/moby"
    cgroups = [str(path) for top in hierarchies() for path in top.glob(f"{docker.island.name}/*") if path.is_dir()]
    return {
        "shims": inside("pgrep", "-f", "containerd-shim").text.split(),
        "state": inside("find", state, "-mindepth", "1", "-maxdepth", "1").text.split(),
        "cgroups": cgroups,
    }


def nothing_left(docker: Docker) -> bool:
    return not any(traces(docker).values())


@pytest.mark.parametrize("count", NUMBERS)
def test_run(docker: Docker, count: int) -> None:
    def run(number: int) -> None:
        assert docker.run("--network", "none", "box", "echo", f"number {number}").ok().text == f"number {number}"

    at_once(count, run)
    assert docker("ps", "--all", "--quiet").ok().text == ""
    wait_until(lambda: nothing_left(docker))


@pytest.mark.parametrize("count", NUMBERS)
def test_exec(docker: Docker, name: str, count: int) -> None:
    docker("run", "--detach", "--network", "none", "--name", name, "box", "sleep", "1000000").ok()

    def execute(number: int) -> None:
        docker("exec", name, "sh", "-c", f"echo number {number}; exit {number % 100}").must_end(
            number % 100, f"number {number}"
        )

    at_once(count, execute)
    rows = docker("top", name, "-o", "pid,args").ok().out.splitlines()
    assert len(rows) == 2, rows
    docker("rm", "--force", name).ok()
    wait_until(lambda: nothing_left(docker))
