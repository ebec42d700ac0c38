"""bundle.md: where config.json and the root filesystem are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from duties.container import Box


def test_config_json_is_required(box: Box) -> None:
    box.save()
    (box.path / "config.json").rename(box.path / "other.json")
    box.create(save=False).refused()
    assert box.status() == "absent"


@pytest.mark.parametrize("name", ["Config.json", "config.JSON", "config"])
def test_no_other_name_will_do(box: Box, name: str) -> None:
    box.save()
    (box.path / "config.json").rename(box.path / name)
    box.create(save=False).refused()


def test_a_relative_root_is_below_the_bundle(box: Box) -> None:
    """Not below the caller's directory, which holds a `rootfs` too."""
    decoy = box.directory / "cwd"
    shutil.copytree(box.rootfs, decoy / "rootfs", symlinks=True)
    (decoy / "rootfs/decoy").touch()
    (box.rootfs / "true").touch()
    assert box.output("ls -d /decoy /true 2>/dev/null", cwd=decoy).split() == ["/true"]
