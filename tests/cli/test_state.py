"""state: the document of runtime.md, with runc's additions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cli.runtime import Runtime

if TYPE_CHECKING:
    from cli.bundle import Bundle

KEYS = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]


def test_document(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    result = runtime("state", container_id).ok()
    state = runtime.state(container_id)
    assert list(state) == KEYS
    assert state["id"] == container_id
    assert state["bundle"] == str(bundle.path)
    assert state["rootfs"] == str(bundle.rootfs)
    assert state["owner"] == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", state["created"])
    assert result.lines[:2] == ["{", f'  "ociVersion": "{state["ociVersion"]}",']
    assert result.err == ""


def test_annotations(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.example.key": 'a "value"', "empty": ""}
    container_id = runtime.create(bundle)
    assert runtime.state(container_id)["annotations"] == bundle.config["annotations"]


def test_every_status(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.create(bundle)
    created = runtime.state(container_id)
    runtime("start", container_id).ok()
    running = runtime.state(container_id)
    runtime("kill", container_id, "KILL").ok()
    stopped = runtime.wait_for(container_id, "stopped")
    assert [state["status"] for state in (created, running, stopped)] == ["created", "running", "stopped"]
    assert created["pid"] == running["pid"] > 0
    assert stopped["pid"] == 0
    assert created["created"] == running["created"] == stopped["created"]


def test_absent(runtime: Runtime) -> None:
    runtime("state", "nobody").failed("container does not exist")


@pytest.mark.pyrunc_only("runc 1.1 makes it")
def test_state_root_is_not_made(runtime: Runtime) -> None:
    """Asking for what is not there must not leave traces; the root may be somebody's typing mistake."""
    runtime("state", "nobody").failed()
    runtime("delete", "--force", "nobody").ok()
    runtime("kill", "nobody").failed()
    runtime("start", "nobody").failed()
    assert not runtime.state_root.exists()


def test_other_state_root(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    other = Runtime(bundle.path)
    other("state", container_id).failed("container does not exist")


def test_broken_state_file(runtime: Runtime) -> None:
    (runtime.state_root / "broken").mkdir(parents=True)
    (runtime.state_root / "broken/state.json").write_text("{")
    runtime("state", "broken").failed()
