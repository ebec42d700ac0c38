"""Hooks: that they run, in order, at their moments, with the state; what their failures do (runtime.md#lifecycle)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import wait_until
from duties.hooks import CREATE_KINDS, KINDS, PID, add, place, ran, whole_life

if TYPE_CHECKING:
    from duties.container import Box


def test_prestart_runs(box: Box) -> None:
    assert ran(box, "prestart")


def test_create_runtime_runs(box: Box) -> None:
    assert ran(box, "createRuntime")


def test_create_container_runs(box: Box) -> None:
    assert ran(box, "createContainer")


def test_start_container_runs(box: Box) -> None:
    assert ran(box, "startContainer")


def test_poststart_runs(box: Box) -> None:
    assert ran(box, "poststart")


def test_poststop_runs(box: Box) -> None:
    assert ran(box, "poststop")


# -- failures ----------------------------------------------------------------------------------------------------------


def failing(box: Box, kind: str) -> None:
    """The second of three hooks of this kind fails; poststop tells that it ran."""
    box.shell("echo > /started; exec sleep 1000")
    add(box, kind, "exit 0")
    add(box, kind, "exit 3")
    add(box, kind, f"echo > {place(box, kind, 'third')}")
    add(box, "poststop", f"echo > {box.rootfs}/poststop")


def check_destroyed(box: Box) -> None:
    """Stopped, destroyed, and poststop hooks have run."""
    assert box.status() == "absent"
    assert box.leftovers() == []
    assert (box.rootfs / "poststop").exists(), "poststop hooks did not run"
    assert not (box.rootfs / "third").exists(), "hooks after the failing one ran"


def check_create_fails(box: Box, kind: str) -> None:
    failing(box, kind)
    box.create().refused()
    check_destroyed(box)
    assert not (box.rootfs / "started").exists()


def test_failing_prestart(box: Box) -> None:
    check_create_fails(box, "prestart")


def test_failing_create_runtime(box: Box) -> None:
    check_create_fails(box, "createRuntime")


def test_failing_create_container(box: Box) -> None:
    check_create_fails(box, "createContainer")


def test_failing_start_container(box: Box) -> None:
    failing(box, "startContainer")
    box.created()
    box.start().refused()
    wait_until(lambda: box.status() == "absent", 1)
    check_destroyed(box)
    assert not (box.rootfs / "started").exists()


def test_failing_poststart(box: Box) -> None:
    """runtime-spec 1.3; before, it was a warning."""
    failing(box, "poststart")
    box.created()
    box.start().refused()
    wait_until(lambda: box.status() == "absent", 1)
    check_destroyed(box)


def test_failing_poststop_is_a_warning(box: Box) -> None:
    """The remaining hooks run, the container is deleted, somebody is told."""
    add(box, "poststop", "exit 3")
    add(box, "poststop", f"echo > {box.rootfs}/second")
    box.stopped()
    result = box.delete().ok()
    assert (box.rootfs / "second").exists()
    assert result.err.strip()
    assert box.leftovers() == []


def test_a_warning_changes_nothing(box: Box) -> None:
    """A life with warnings (failing poststop) and one without end the same."""
    add(box, "poststop", "exit 3")
    assert box.output("echo same") == "same\n"
    assert box.status() == "absent"
    box.created()


# -- the state on stdin ------------------------------------------------------------------------------------------------


def documents(box: Box) -> dict[str, dict[str, Any]]:
    """What each kind of hook reads."""
    box.config["annotations"] = {"org.example.key": 'va"lue'}
    for kind in KINDS:
        add(box, kind, f'printf %s "$state" > {place(box, kind, kind)}')
    whole_life(box)
    return {kind: json.loads((box.rootfs / kind).read_text()) for kind in KINDS}


def check_state(box: Box, state: dict[str, Any]) -> None:
    assert state["id"] == box.id
    assert state["bundle"] == str(box.path)
    assert state["ociVersion"].startswith("1.")
    assert state["status"] in ("creating", "created", "running", "stopped")
    assert state["annotations"]["org.example.key"] == 'va"lue'


def test_state_for_host_hooks(box: Box) -> None:
    found = documents(box)
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        check_state(box, found[kind])
    assert found["poststop"]["status"] == "stopped"
    assert found["prestart"]["pid"] > 1


def test_state_for_container_hooks(box: Box) -> None:
    found = documents(box)
    for kind in ("createContainer", "startContainer"):
        check_state(box, found[kind])
    assert found["startContainer"]["status"] == "created"
    assert found["createContainer"]["status"] in ("creating", "created")


def test_state_says_which_moment_it_is(box: Box) -> None:
    """creating until the createRuntime hooks have ended, created until the program runs, then running, stopped."""
    found = {kind: document["status"] for kind, document in documents(box).items() if kind.startswith("post")}
    assert found["poststart"] in ("running", "stopped")
    assert found["poststop"] == "stopped"


def test_pid_inside(box: Box) -> None:
    """runtime.md#state: hooks that run in the container's namespaces get the pid as seen there."""
    found = documents(box)
    assert {kind: found[kind]["pid"] for kind in ("createContainer", "startContainer")} == {
        "createContainer": 1,
        "startContainer": 1,
    }


# -- order -------------------------------------------------------------------------------------------------------------


def journal(box: Box) -> list[str]:
    """Two hooks of each kind and the program write their names; so do we between the operations."""
    log = box.rootfs / "log"
    log.touch()
    for kind in KINDS:
        for number in (1, 2):
            add(box, kind, f"echo {kind}{number} >> {place(box, kind, 'log')}")
    box.shell("echo program >> /log; sleep 0.05")

    def tell(word: str) -> None:
        with log.open("a") as file:
            file.write(f"{word}\n")

    tell("create")
    pid = box.created()
    tell("created")
    box.start().ok()
    tell("started")
    box.wait(pid)
    tell("stopped")
    box.delete().ok()
    tell("deleted")
    return log.read_text().split()


def test_hooks_of_a_kind_run_in_their_order(box: Box) -> None:
    found = journal(box)
    for kind in KINDS:
        assert [word for word in found if word.startswith(kind)] == [f"{kind}1", f"{kind}2"]


def check_between(found: list[str], kind: str, before: str, after: str) -> None:
    first, last = found.index(f"{kind}1"), found.index(f"{kind}2")
    assert found.index(before) < first < last < found.index(after), found


def test_prestart_is_part_of_create(box: Box) -> None:
    check_between(journal(box), "prestart", "create", "created")


def test_prestart_comes_before_create_runtime(box: Box) -> None:
    check_between(journal(box), "prestart", "create", "createRuntime1")


def test_create_runtime_is_part_of_create(box: Box) -> None:
    check_between(journal(box), "createRuntime", "create", "created")


def test_create_container_is_part_of_create(box: Box) -> None:
    check_between(journal(box), "createContainer", "create", "created")


def test_create_container_comes_after_create_runtime(box: Box) -> None:
    check_between(journal(box), "createContainer", "createRuntime2", "created")


def test_start_container_comes_before_the_program(box: Box) -> None:
    check_between(journal(box), "startContainer", "created", "program")


def test_poststart_is_part_of_start(box: Box) -> None:
    """After the program was executed: /proc/PID/exe is the program's."""
    check_between(journal(box), "poststart", "created", "started")
    box.config["hooks"] = {}
    add(box, "poststart", f"{PID}; readlink /proc/$pid/exe > {box.rootfs}/exe")
    pid = box.running()
    assert (box.rootfs / "exe").read_text().strip().endswith("/bin/busybox")
    box.kill().ok()
    box.wait(pid)


def test_poststop_is_part_of_delete(box: Box) -> None:
    """After the container is gone: its cgroups are."""
    check_between(journal(box), "poststop", "stopped", "deleted")
    box.config["hooks"] = {}
    add(box, "poststop", f"ls -d /sys/fs/cgroup/*/{box.id} > {box.rootfs}/left 2>/dev/null")
    box.output("true")
    assert (box.rootfs / "left").read_text() == ""


# -- namespaces --------------------------------------------------------------------------------------------------------


def namespaces_of(box: Box, kind: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Links in /proc/self/ns: of the hook, of the container's process, of the runtime."""
    names = ("mnt", "uts", "ipc", "net")
    show = "for n in " + " ".join(names) + "; do readlink /proc/self/ns/$n; done"
    add(box, kind, f"({show}) > {place(box, kind, 'hook')}")
    inside = box.output(f"{show}; sleep 0.05").split()
    outside = box.island.run("sh", "-c", show).ok().out.split()
    return (
        dict(zip(names, (box.rootfs / "hook").read_text().split(), strict=True)),
        dict(zip(names, inside, strict=True)),
        dict(zip(names, outside, strict=True)),
    )


def check_on_the_host(box: Box, kind: str) -> None:
    """The path and the namespaces are the runtime's; the root is not the container's."""
    program = box.directory / "own-hook"
    program.write_text(f"#!/bin/sh\nls -d /bin/busybox {box.rootfs} > {box.rootfs}/seen\n")
    program.chmod(0o755)
    box.config["hooks"] = {kind: [{"path": str(program)}]}
    hook, inside, outside = namespaces_of(box, kind)
    assert str(box.rootfs) in (box.rootfs / "seen").read_text()
    assert hook == outside
    assert hook["net"] != inside["net"]


def test_prestart_runs_on_the_host(box: Box) -> None:
    check_on_the_host(box, "prestart")


def test_create_runtime_runs_on_the_host(box: Box) -> None:
    check_on_the_host(box, "createRuntime")


def test_poststart_runs_on_the_host(box: Box) -> None:
    check_on_the_host(box, "poststart")


def test_poststop_runs_on_the_host(box: Box) -> None:
    check_on_the_host(box, "poststop")


def test_create_container_path_is_the_hosts(box: Box) -> None:
    program = box.directory / "own-hook"
    program.write_text(f"#!/bin/sh\necho > {box.rootfs}/ran\n")
    program.chmod(0o755)
    box.config["hooks"] = {"createContainer": [{"path": str(program)}]}
    box.created()
    assert (box.rootfs / "ran").exists()


def test_create_container_runs_in_the_container(box: Box) -> None:
    hook, inside, outside = namespaces_of(box, "createContainer")
    assert hook == inside
    assert hook["mnt"] != outside["mnt"]


def test_start_container_path_is_the_containers(box: Box) -> None:
    program = box.rootfs / "inside-only"
    program.write_text("#!/bin/sh\necho > /ran\n")
    program.chmod(0o755)
    box.config["hooks"] = {"startContainer": [{"path": "/inside-only"}]}
    box.output("true")
    assert (box.rootfs / "ran").exists()


def test_start_container_runs_in_the_container(box: Box) -> None:
    hook, inside, outside = namespaces_of(box, "startContainer")
    assert hook == inside
    assert hook["mnt"] != outside["mnt"]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime"])
def test_the_environment_is_there_for_hooks_of_create(box: Box, kind: str) -> None:
    """Namespaces exist, pivot_root has not been called: the process still sees the host's files at their paths."""
    script = f"readlink /proc/$pid/ns/net > {box.rootfs}/net; ls -d /proc/$pid/root{box.rootfs} > {box.rootfs}/seen"
    add(box, kind, f"{PID}; {script}")
    inside = box.output("readlink /proc/self/ns/net")
    assert (box.rootfs / "net").read_text() == inside
    assert (box.rootfs / "seen").read_text().strip().endswith(str(box.rootfs))


def test_mounts_are_there_for_create_container(box: Box) -> None:
    """Below the rootfs' own path, as pivot_root has not been called."""
    add(box, "createContainer", f"cat /proc/self/mountinfo > {box.rootfs}/mounts; ls -d {box.rootfs}/bin")
    box.created()
    points = [line.split()[4] for line in (box.rootfs / "mounts").read_text().splitlines()]
    assert {f"{box.rootfs}/dev", f"{box.rootfs}/dev/shm", f"{box.rootfs}/sys"} <= set(points)


# -- members -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [{"args": ["true"]}, {"path": ""}])
def test_hook_paths_are_given(box: Box, kind: str, row: dict[str, Any]) -> None:
    box.config["hooks"] = {kind: [row]}
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["bin/true", "true", "./x"])
def test_hook_paths_are_absolute(box: Box, kind: str, path: str) -> None:
    """runc and crun take what execve(2) takes, in whatever directory they are; config.md says MUST be absolute."""
    for folder in (box.path, box.rootfs):
        (folder / "x").symlink_to("/bin/true")
    box.config["hooks"] = {kind: [{"path": path}]}
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize("kind", CREATE_KINDS)
@pytest.mark.parametrize("timeout", [0, -1])
def test_hook_timeouts_are_positive(box: Box, kind: str, timeout: int) -> None:
    box.config["hooks"] = {kind: [{"path": "/bin/true", "timeout": timeout}]}
    box.refused()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_hooks_end_after_their_timeout(box: Box, kind: str) -> None:
    add(box, kind, "exec sleep 30", timeout=1)
    box.refused()
