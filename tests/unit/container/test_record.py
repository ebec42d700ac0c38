"""ContainerRecord and state.json are the same thing."""

import pytest

from ocispec.config import Hook
from pyrunc import jsonio
from pyrunc.container.record import VERSION, ContainerRecord, from_json, to_json
from pyrunc.errors import StateError


def record(**changes: object) -> ContainerRecord:
    values: dict[str, object] = {
        "container_id": "c1",
        "oci_version": "1.3.0",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "created": "2026-11-23T18:00:37.000000001Z",
        "owner": 0,
        "pid": 42,
        "start_time": 123456,
        "boot_id": "0a-b",
        "annotations": {"a.b": "ü"},
        "cgroup": {"hierarchies": [], "made": []},
        "has_private_pid_namespace": False,
        "poststart": (Hook(path="/bin/true", args=("true", "x"), env=("A=b",), timeout=3),),
        "poststop": (Hook(path="/bin/false"),),
        "config": {"process": {"args": ["sh"]}},
        "start_failures": {"7": "exec /x: {errno}"},
    }
    return ContainerRecord(**{**values, **changes})


def test_what_is_written_is_what_is_read() -> None:
    text = jsonio.dumps(to_json(record()))
    assert from_json(jsonio.loads(text.encode())) == record()


def test_a_newer_version_is_refused_by_name() -> None:
    document = {**to_json(record()), "version": VERSION + 1}
    with pytest.raises(StateError, match=f"version {VERSION + 1}, this pyrunc knows {VERSION}"):
        from_json(document)


@pytest.mark.parametrize("document", [[], 7, None, {}, {"version": "1"}])
def test_what_is_no_state_file_is_refused(document: object) -> None:
    with pytest.raises(StateError, match="not a state file"):
        from_json(document)


@pytest.mark.parametrize("key", [key for key in to_json(record()) if key != "version"])
def test_every_key_is_needed(key: str) -> None:
    document = to_json(record())
    del document[key]
    with pytest.raises(StateError, match=f"damaged.*{key}"):
        from_json(document)


@pytest.mark.parametrize("key", [key for key in to_json(record()) if key != "version"])
def test_every_key_has_its_type(key: str) -> None:
    with pytest.raises(StateError, match=f"damaged.*{key}"):
        from_json({**to_json(record()), key: None})


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": True},
        {"pid": -1},
        {"pid": 1 << 40},
        {"cgroup": {}},
        {"cgroup": {"hierarchies": [], "made": [1]}},
        {"cgroup": {"hierarchies": [[]], "made": []}},
        {"cgroup": {"hierarchies": [{"version": 1, "controllers": []}], "made": []}},
        {"poststop": [{"path": "/x"}]},
        {"poststop": ["/x"]},
    ],
)
def test_values_are_checked(changes: dict[str, object]) -> None:
    with pytest.raises(StateError, match="damaged"):
        from_json({**to_json(record()), **changes})
