"""RUNTIME names the runtime under test (default: build/pyrunc); the same tests pass on Debian's runc.  What is about
cgroups passes under systemd too, as root and as a user (CGROUP_DRIVER=systemd; conformance/vm).

Every test has its own state root below its temporary directory, and leaves nothing behind: containers are deleted
and then looked for as processes, cgroups, mounts and state directories.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli import driver
from cli.bundle import Bundle, make_rootfs, of_a_user
from cli.runtime import IS_PYRUNC, Runtime, cgroups_of, pids_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests about pyrunc's own ways are not for another runtime, and so on: taken out, not skipped."""
    absent = {"pyrunc_only": not IS_PYRUNC, "cgroupfs_only": driver.SYSTEMD, "root_only": not driver.IS_ROOT}
    marks = [mark for mark, is_absent in absent.items() if is_absent]
    here = Path(__file__).parent
    out = {item for item in items if here in item.path.parents and any(map(item.get_closest_marker, marks))}
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session", autouse=True)
def _root_is_needed() -> None:
    assert driver.IS_ROOT or driver.SYSTEMD, "tests/cli make containers: run them as root"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(tmp_path)
    mounts_before = mounts_below(tmp_path)
    yield runtime
    runtime.clean_up()
    left = {container_id: (pids_of(container_id), cgroups_of(container_id)) for container_id in runtime.ids}
    assert not {key: value for key, value in left.items() if value != ([], [])}
    assert mounts_below(tmp_path) == mounts_before
    assert not [entry for entry in runtime.state_root.glob("*") if entry.name in runtime.ids]


@pytest.fixture(scope="session")
def rootfs_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rootfs = tmp_path_factory.mktemp("template") / "rootfs"
    make_rootfs(rootfs)
    return rootfs


@pytest.fixture
def bundle(tmp_path: Path, rootfs_template: Path) -> Bundle:
    """A bundle whose root filesystem may be changed; busybox itself is a hard link."""
    tmp_path.chmod(0o711)
    path = tmp_path / "bundle"
    path.mkdir()
    shutil.copytree(rootfs_template, path / "rootfs", symlinks=True, copy_function=link)
    bundle = Bundle(path)
    if driver.IS_ROOT:
        os.chown(path / "rootfs/home/user", 1000, 1000)
    else:
        of_a_user(bundle)
    return bundle


def link(source: str, target: str) -> str:
    if source.endswith("/busybox"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


def mounts_below(path: Path) -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(path) in line]
