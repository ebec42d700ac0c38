"""The state root."""

import os
import stat
from pathlib import Path

import pytest

from ocispec.config import Hook
from ocispec.record import replace
from pyrunc.container.record import ContainerRecord
from pyrunc.container.store import Store, check_id
from pyrunc.errors import StateError

RECORD = ContainerRecord(
    container_id="c1",
    oci_version="1.3.0",
    bundle="/b",
    rootfs="/b/rootfs",
    created="2026-11-23T18:00:37Z",
    owner=0,
    cgroup={"hierarchies": [{"version": 2, "controllers": ["pids"], "path": "/c/c1"}], "made": ["/c/c1"]},
)


@pytest.mark.parametrize("container_id", ["c1", "a", "A_b-c+d.e", "_x", "-x", "+x", "0", "a" * 255])
def test_ids(container_id: str) -> None:
    assert check_id(container_id) == container_id


@pytest.mark.parametrize("container_id", ["", ".", "..", ".a", "a/b", "../x", "a b", "a\n", "ä", "a\0", "٣", "a" * 256])
def test_what_is_no_id(container_id: str) -> None:
    with pytest.raises(StateError, match="invalid container ID format"):
        check_id(container_id)


def test_saved_and_loaded(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/a/b")
    with store.create("c1") as directory:
        directory.save(RECORD)
    assert store.load("c1") == RECORD
    assert store.ids() == ("c1",)
    assert stat.S_IMODE(os.stat(f"{tmp_path}/a/b").st_mode) == 0o711
    assert stat.S_IMODE(os.stat(f"{tmp_path}/a/b/c1").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{tmp_path}/a/b/c1/state.json").st_mode) == 0o600


def test_an_id_is_given_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1"):
        pass
    with pytest.raises(StateError) as caught:
        store.create("c1")
    assert str(caught.value) == "container with given ID already exists"


def test_absent(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/nothing")
    for action in (store.load, store.open):
        with pytest.raises(StateError, match=r"^container does not exist$"):
            action("c1")
    assert not os.path.exists(f"{tmp_path}/nothing")


def test_one_command_at_a_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1"), pytest.raises(StateError, match="another command"):
        store.open("c1", wait=False)
    with store.open("c1", wait=False) as directory:
        assert directory.path == f"{tmp_path}/c1"


def test_removed_with_all_in_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1") as directory:
        directory.save(RECORD)
        previous = os.umask(0o077)
        with directory.make_fifo():
            assert stat.S_IMODE(os.stat(f"{tmp_path}/c1/exec.fifo").st_mode) == 0o622
        os.umask(previous)
        directory.remove()
    assert store.ids() == ()


def test_a_state_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1") as directory:
        directory.save(RECORD)
    path = tmp_path / "c1" / "state.json"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StateError, match=r"^state.json is damaged: "):
        store.load("c1")


def test_the_journal_is_one_link_and_stands_in_for_state_json(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1") as directory:
        directory.note(replace(RECORD, annotations={"a": "b"}, config={"process": {}}, bundle="/\udcff"))
    assert os.listdir(tmp_path / "c1") == ["journal"]
    assert store.load("c1") == store.load_journal("c1") == replace(RECORD, annotations={"a": "b"}, bundle="/\udcff")
    with store.open("c1") as directory:
        directory.save(replace(RECORD, pid=7))
    assert (store.load("c1").pid, store.load_journal("c1").pid) == (7, 0)


@pytest.mark.parametrize(
    ("changes", "has_journal"),
    [
        ({"bundle": "/b" * 2048}, False),
        ({"annotations": {"a": "b" * 4096}}, True),
        ({"poststop": (Hook(path="/x"),)}, True),
    ],
    ids=["too long", "annotations too long", "poststop hooks"],
)
def test_what_the_journal_cannot_hold_is_in_state_json(
    tmp_path: Path, changes: dict[str, object], has_journal: bool
) -> None:
    store = Store(str(tmp_path))
    record = replace(RECORD, **changes)
    with store.create("c1") as directory:
        directory.note(record)
    assert store.load("c1") == record
    assert (tmp_path / "c1/journal").is_symlink() == has_journal


def test_the_note_on_the_process(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1") as directory:
        assert directory.noted_process() is None
        directory.note_process(replace(RECORD, pid=7, start_time=8, boot_id="b"))
        assert directory.noted_process() == (7, 8, "b")
        directory.remove()
    assert os.listdir(tmp_path) == []
    with store.create("c1") as directory:
        (tmp_path / "c1/process").symlink_to("/x")
        with pytest.raises(StateError, match=r"^process is damaged$"):
            directory.noted_process()


def test_a_journal_that_is_none_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("c1"):
        (tmp_path / "c1/journal").symlink_to("/x")
    with pytest.raises(StateError, match=r"^journal is damaged: "):
        store.load("c1")
