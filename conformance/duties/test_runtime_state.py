"""runtime.md: the state document, and the operations' refusals."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from duties.container import PATH, status_of

if TYPE_CHECKING:
    from duties.container import Box

STATUSES = ("creating", "created", "running", "stopped")


def test_oci_version(box: Box) -> None:
    box.created()
    major, minor, _patch = box.state()["ociVersion"].split(".", 2)
    assert (major, minor.isdigit()) == ("1", True)


def test_id(box: Box) -> None:
    box.created()
    assert box.state()["id"] == box.id


def test_an_id_in_use_is_refused(box: Box, other: Box) -> None:
    """And whoever has it keeps it."""
    pid = box.created()
    other.save()
    box("create", "--bundle", other.path, box.id).refused()
    state = box.state()
    assert (state["pid"], state["bundle"], state["status"]) == (pid, str(box.path), "created")


def test_statuses(box: Box) -> None:
    seen = []
    pid = box.created()
    seen.append(box.state()["status"])
    box.start().ok()
    box.wait(pid)
    seen.append(box.state()["status"])
    box.delete().ok()
    box.running()
    seen.append(box.state()["status"])
    assert seen == ["created", "stopped", "running"]
    assert set(seen) <= set(STATUSES)


def test_a_killed_container_is_stopped(box: Box) -> None:
    pid = box.created()
    box.kill().ok()
    box.wait(pid)
    assert box.status() == "stopped"


def test_pid(box: Box) -> None:
    """Of a process with the container's root, counted in our pid namespace, the same before and after start."""
    box.args("sleep", "1000")
    pid = box.created()
    assert box.cgroup("pids").joinpath("cgroup.procs").read_text().split() == [str(pid)]
    assert status_of(pid)["NSpid"].split()[-1] == "1"
    box.start().ok()
    assert box.state()["pid"] == pid
    assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep\0")


@pytest.mark.parametrize("given", ["absolute", "relative", "cwd"])
def test_bundle_is_absolute(box: Box, given: str) -> None:
    box.save()
    words = {"absolute": ["--bundle", str(box.path)], "relative": ["--bundle", "bundle"], "cwd": ["--bundle", "."]}
    cwd = box.path if given == "cwd" else box.directory
    box("create", *words[given], box.id, cwd=cwd).ok()
    assert box.state()["bundle"] == str(box.path)


def test_annotations(box: Box) -> None:
    annotations = {"org.example.key": "value", "k": 'ünï "quoted" \\ \n</&>', "empty": ""}
    box.config["annotations"] = annotations
    box.created()
    found = box.state()["annotations"]
    assert {key: value for key, value in found.items() if key in annotations} == annotations


@pytest.mark.parametrize("moment", ["created", "running", "stopped"])
def test_the_state_is_as_its_schema_says(box: Box, moment: str) -> None:
    """state-schema.json: types, required members, no null."""
    box.config["annotations"] = {"a": "b"}
    {"created": box.created, "running": box.running, "stopped": box.stopped}[moment]()
    state = box.state()
    strings = ("ociVersion", "id", "status", "bundle")
    assert all(isinstance(state[name], str) and state[name] for name in strings)
    assert state["status"] == moment
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in state["annotations"].items())
    pid = state.get("pid", 0)
    assert isinstance(pid, int)
    assert not isinstance(pid, bool)
    assert (pid > 0) == (moment != "stopped")


# -- operations --------------------------------------------------------------------------------------------------------


def test_all_five_operations_are_there(box: Box) -> None:
    box.args("sleep", "1000")
    box.create().ok()
    box.start().ok()
    box("state", box.id).ok()
    pid = box.state()["pid"]
    box("kill", box.id, "KILL").ok()
    box.wait(pid)
    box("delete", box.id).ok()
    assert box.status() == "absent"


@pytest.mark.parametrize("environment", ["small", "other directory"])
def test_who_created_a_container_can_do_all_to_it(box: Box, environment: str) -> None:
    """From another process, directory and environment of the same user."""
    pid = box.created()
    more = {"env": {"PATH": os.environ["PATH"]}} if environment == "small" else {"cwd": Path("/tmp")}
    box("state", box.id, **more).ok()
    box("start", box.id, **more).ok()
    box.wait(pid)
    box("delete", box.id, **more).ok()


def operation_without_id(box: Box, *words: str) -> None:
    result = box(*words)
    assert result.status not in (0, None), result
    assert (result.out + result.err).strip(), result


def test_state_without_id(box: Box) -> None:
    operation_without_id(box, "state")


def test_create_without_id(box: Box) -> None:
    box.save()
    operation_without_id(box, "create", "--bundle", str(box.path))
    assert not [path for path in box.root.glob("*") if path.is_dir()]


def test_start_without_id(box: Box) -> None:
    operation_without_id(box, "start")


def test_kill_without_id(box: Box) -> None:
    operation_without_id(box, "kill")


def test_delete_without_id(box: Box) -> None:
    operation_without_id(box, "delete")


def test_state_of_an_unknown_id(box: Box) -> None:
    assert box("state", box.id).refused().out == ""


def test_state_prints_one_document(box: Box) -> None:
    box.created()
    result = box("state", box.id).ok()
    assert json.loads(result.out)["id"] == box.id
    assert result.err == ""


@pytest.mark.parametrize("given", ["nothing", "missing", "a file"])
def test_create_without_a_bundle(box: Box, given: str) -> None:
    """Without the option the command lines take the working directory, which holds no bundle here."""
    path = {"nothing": None, "missing": box.directory / "nope", "a file": Path("/etc/passwd")}[given]
    words = ["--bundle", path] if path else []
    box("create", *words, box.id, cwd=box.directory).refused()
    assert box.status() == "absent"


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/b", "../escape", "x" * 5000, "a b", "a\nb", "-x", "ä"])
def test_ids_of_a_wrong_form_are_refused(box: Box, name: str) -> None:
    """runtime.md leaves the form to the runtime; these cannot be names of directories and cgroups."""
    box.save()
    result = box("create", "--bundle", box.path, name)
    if name in ("a b", "a\nb", "ä") and result.status == 0:
        box("delete", "--force", name).ok()  # the runtime's choice
        return
    assert result.status not in (0, None), result
    assert not list(box.directory.rglob("escape*"))
    assert not [path for path in box.root.glob("*") if path.is_dir()]


def test_no_container_comes_of_a_refused_id(box: Box, other: Box) -> None:
    """Processes, cgroups and state are those of before."""
    box.created()
    other.config["linux"]["cgroupsPath"] = f"/{other.id}"
    other.save()
    before = sorted(path.name for path in box.root.iterdir())
    box("create", "--bundle", other.path, box.id).refused()
    assert other.processes() == []
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{other.id}"))
    assert sorted(path.name for path in box.root.iterdir()) == before


def test_the_runtime_is_one_executable() -> None:
    """What the rest of the suite takes for granted."""
    assert subprocess.run([PATH, "--version"], capture_output=True, check=False, timeout=10).returncode == 0
