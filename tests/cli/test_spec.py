"""spec: a config.json that works at once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime


def test_writes_a_config(runtime: Runtime, tmp_path: Path) -> None:
    assert runtime("spec", cwd=tmp_path).ok().out == ""
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    assert config["root"] == {"path": "rootfs", "readonly": True}
    assert {row["type"] for row in config["linux"]["namespaces"]} >= {"pid", "network", "ipc", "uts", "mount"}


def test_bundle(runtime: Runtime, tmp_path: Path) -> None:
    runtime("spec", "--bundle", tmp_path).ok()
    assert (tmp_path / "config.json").is_file()


def test_never_overwrites(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    runtime("spec", cwd=tmp_path).failed("File config.json exists. Remove it first")
    assert (tmp_path / "config.json").read_text() == "mine"


def test_no_such_bundle(runtime: Runtime, tmp_path: Path) -> None:
    runtime("spec", "-b", tmp_path / "nope").failed("no such file or directory")


def test_rootless(runtime: Runtime, tmp_path: Path) -> None:
    runtime("spec", "--rootless", cwd=tmp_path).ok()
    config = json.loads((tmp_path / "config.json").read_text())
    mapping = {"containerID": 0, "hostID": os.geteuid(), "size": 1}
    assert config["linux"]["uidMappings"] == [mapping]
    assert config["linux"]["gidMappings"] == [mapping | {"hostID": os.getegid()}]
    kinds = {row["type"] for row in config["linux"]["namespaces"]}
    assert "user" in kinds
    assert "network" not in kinds


def test_it_runs(runtime: Runtime, bundle: Bundle) -> None:
    runtime("spec", cwd=bundle.path).ok()
    bundle.config = json.loads((bundle.path / "config.json").read_text())
    bundle.process["terminal"] = False
    assert runtime.script(bundle, "echo $TERM $(cat /proc/1/comm)") == "xterm sh\n"
