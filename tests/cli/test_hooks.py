"""Hooks: their moments, namespaces, input, environment and failures (config.md#posix-platform-hooks)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.kernel.processes import start_time

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

HOST_KINDS = ("prestart", "createRuntime", "poststart", "poststop")
ALL_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def add(bundle: Bundle, kind: str, script: str, **more: Any) -> None:
    bundle.config.setdefault("hooks", {}).setdefault(kind, []).append(hook(script, **more))


def test_order(runtime: Runtime, bundle: Bundle) -> None:
    """Of kinds, and of the hooks of one kind; startContainer and the process write inside."""
    log = bundle.rootfs / "log"
    log.touch()
    for kind in ("prestart", "createRuntime", "createContainer", "poststop"):
        for number in (1, 2):
            add(bundle, kind, f"echo {kind}{number} >> {log}")
    for number in (1, 2):
        add(bundle, "startContainer", f"echo startContainer{number} >> /log")
    bundle.shell("echo process >> /log")
    container_id = runtime.create(bundle)
    expected = [f"{kind}{number}" for kind in ("prestart", "createRuntime", "createContainer") for number in (1, 2)]
    assert log.read_text().split() == expected
    runtime("start", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    expected += ["startContainer1", "startContainer2", "process"]
    assert log.read_text().split() == expected
    runtime("delete", container_id).ok()
    assert log.read_text().split() == [*expected, "poststop1", "poststop2"]


@pytest.mark.pyrunc_only("runc 1.1 runs them at the end of create")
def test_poststart(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    add(bundle, "poststart", f"cat > {tmp_path}/document")
    bundle.args("sleep", "100")
    container_id = runtime.create(bundle)
    assert not (tmp_path / "document").exists()
    runtime("start", container_id).ok()
    assert json.loads((tmp_path / "document").read_text())["status"] == "running"


@pytest.mark.pyrunc_only("runc 1.1 runs them at the end of create")
def test_failing_poststart_destroys_the_container(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """runtime.md#lifecycle, step 9: on with step 12."""
    add(bundle, "poststart", "exit 3")
    add(bundle, "poststop", f"touch {tmp_path}/poststop")
    bundle.args("sleep", "100")
    container_id = runtime.create(bundle)
    pid = runtime.state(container_id)["pid"]
    runtime("start", container_id).failed("exit status 3")
    found = start_time(pid)
    assert found is None or found[1] in "ZX"  # whoever is pid 1 here may be slow to reap it
    runtime("state", container_id).failed("container does not exist")
    assert (tmp_path / "poststop").exists()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("prestart", "creat"), ("createRuntime", "creat"), ("poststop", "stopped")],
)
def test_state_on_stdin(runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, status: str) -> None:
    add(bundle, kind, f"cat > {tmp_path}/document")
    bundle.config["annotations"] = {"key": "value"}
    bundle.shell("sleep 0.3")
    runtime.run(bundle).ok()
    state = json.loads((tmp_path / "document").read_text())
    assert state["id"] == runtime.ids[-1]
    assert state["bundle"] == str(bundle.path)
    assert state["annotations"] == {"key": "value"}
    # runc says creating, crun and pyrunc say created, as runtime-tools wants (docs/compat.md)
    assert state["status"].startswith(status)
    assert state["ociVersion"]
    if kind != "poststop":
        assert state["pid"] > 1


def test_state_of_container_hooks(runtime: Runtime, bundle: Bundle) -> None:
    add(bundle, "createContainer", f"cat > {bundle.rootfs}/create")
    add(bundle, "startContainer", "cat > /start")
    runtime.run(bundle).ok()
    create = json.loads((bundle.rootfs / "create").read_text())
    start = json.loads((bundle.rootfs / "start").read_text())
    assert create["id"] == start["id"] == runtime.ids[-1]
    assert create["status"] in ("creating", "created")
    assert start["status"] == "created"


def test_namespaces(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """createRuntime runs outside; createContainer inside, but before pivot_root; startContainer all inside."""
    add(bundle, "createRuntime", f"readlink /proc/self/ns/uts > {tmp_path}/runtime; hostname > {tmp_path}/name")
    add(bundle, "createContainer", f"readlink /proc/self/ns/uts > {bundle.rootfs}/create; ls -d {bundle.rootfs}/bin")
    add(bundle, "startContainer", "readlink /proc/self/ns/uts > /start; test -x /bin/busybox")
    inside = runtime.script(bundle, "readlink /proc/self/ns/uts")
    assert (bundle.rootfs / "create").read_text() == inside
    assert (bundle.rootfs / "start").read_text() == inside
    assert (tmp_path / "runtime").read_text().strip() == str(Path("/proc/self/ns/uts").readlink())


@pytest.mark.parametrize("kind", HOST_KINDS)
def test_environment_is_empty_unless_given(runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str) -> None:
    add(bundle, kind, f"/bin/cat /proc/self/environ > {tmp_path}/env", env=["A=1", "B=two words"])
    bundle.shell("sleep 0.3")
    runtime.run(bundle).ok()
    entries = [entry for entry in (tmp_path / "env").read_bytes().split(b"\0") if entry]
    own = {b"A=1", b"B=two words"}
    assert own <= set(entries)
    assert {entry.split(b"=")[0] for entry in entries} <= {b"A", b"B", b"PWD", b"SHLVL", b"_", b"OLDPWD"}


def test_arguments(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """args[0] is the hook's own argv[0]."""
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$1|$2|$#" > {tmp_path}/args\n')
    script.chmod(0o755)
    row = {"path": str(script), "args": ["name", "a b", ""]}
    bundle.config["hooks"] = {"createRuntime": [row]}
    runtime.run(bundle).ok()
    assert (tmp_path / "args").read_text() == "a b||2\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_failure_before_the_start(runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str) -> None:
    """The container is undone, and poststop runs."""
    add(bundle, kind, "exit 0")
    add(bundle, kind, "echo reason >&2; exit 3")
    bundle.shell("touch /started")
    bundle.save()
    container_id = runtime.new_id()
    result = runtime("create", "-b", bundle.path, container_id)
    assert result.status == 1
    assert "hook #1" in result.err
    assert "exit status 3" in result.err
    assert "reason" in result.err
    assert len(result.err.splitlines()) == 1
    runtime("state", container_id).failed("container does not exist")
    assert not (bundle.rootfs / "started").exists()


def test_failure_of_start_container(runtime: Runtime, bundle: Bundle) -> None:
    add(bundle, "startContainer", "exit 3")
    bundle.shell("touch /started")
    result = runtime.run(bundle)
    assert result.status != 0
    assert not (bundle.rootfs / "started").exists()


@pytest.mark.pyrunc_only("runc leaves the stopped container to `delete`")
def test_failing_start_container_destroys_the_container(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """runtime.md#lifecycle, step 7: on with step 12.  A program that cannot be executed leaves the container."""
    add(bundle, "startContainer", "exit 3")
    add(bundle, "poststop", f"touch {tmp_path}/poststop")
    container_id = runtime.create(bundle)
    runtime("start", container_id).failed("error running startContainer hook #0: exit status 3")
    runtime("state", container_id).failed("container does not exist")
    assert (tmp_path / "poststop").exists()


def test_failure_after_the_stop_is_only_a_warning(runtime: Runtime, bundle: Bundle) -> None:
    add(bundle, "poststop", "exit 3")
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    result = runtime("delete", container_id).ok()
    assert "exit status 3" in result.err
    runtime("state", container_id).failed("container does not exist")


@pytest.mark.pyrunc_only("runc 1.1 gives up after the first")
def test_every_poststop_hook_runs(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """runtime.md: after an error "the remaining hooks and lifecycle continue"."""
    add(bundle, "poststop", "exit 3")
    add(bundle, "poststop", f"touch {tmp_path}/second")
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    runtime("delete", container_id).ok()
    assert (tmp_path / "second").exists()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_timeout(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    add(bundle, kind, "exec sleep 30", timeout=1)
    runtime.run(bundle).failed("hook ran past specified timeout of 1")
    assert not (runtime.state_root / runtime.ids[-1]).exists()


def test_missing_executable(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [{"path": "/nope/hook"}]}
    runtime.run(bundle).failed("/nope/hook")


def test_network_is_there_for_create_runtime(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """What docker's libnetwork does: open the namespace of the pid in the state."""
    script = f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net > {tmp_path}/net"
    add(bundle, "prestart", script, env=["PATH=/usr/bin:/bin"])
    inside = runtime.script(bundle, "readlink /proc/self/ns/net")
    assert (tmp_path / "net").read_text() == inside


@pytest.mark.pyrunc_only("runc shows the exit status alone, and leaves a stopped container")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "exit status 3, output: reason"),
        ({"timeout": 1}, "hook ran past specified timeout of 1.0s, output: reason"),
    ],
)
def test_failing_start_container_destroys(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, more: dict[str, int], words: str
) -> None:
    """runtime.md#lifecycle, step 7: an error that says why, nothing left, and poststop hooks."""
    add(bundle, "startContainer", "echo reason >&2; " + ("sleep 30" if more else "exit 3"), **more)
    add(bundle, "poststop", f"touch {tmp_path}/poststop")
    bundle.shell("touch /started")
    container_id = runtime.create(bundle)
    runtime("start", container_id).failed(f"error running startContainer hook #0: {words}")
    runtime("state", container_id).failed("container does not exist")
    assert (tmp_path / "poststop").exists()
    assert not (bundle.rootfs / "started").exists()


@pytest.mark.pyrunc_only("runc shows the exit status alone")
def test_start_container_output_in_run(runtime: Runtime, bundle: Bundle) -> None:
    add(bundle, "startContainer", "echo fine")
    add(bundle, "startContainer", "echo reason; exit 3")
    error = runtime.run(bundle).failed("error running startContainer hook #1: exit status 3, output: fine").err
    assert "reason" in error


@pytest.mark.pyrunc_only("the rule is new in runtime-spec 1.3")
def test_failing_poststart_destroys(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """runtime.md#lifecycle, step 9."""
    add(bundle, "poststart", "echo reason; exit 3")
    add(bundle, "poststop", f"touch {tmp_path}/poststop")
    bundle.args("sleep", "60")
    container_id = runtime.create(bundle)
    runtime("start", container_id).failed("poststart hook #0: exit status 3, stdout: reason")
    runtime("state", container_id).failed("container does not exist")
    assert (tmp_path / "poststop").exists()


@pytest.mark.pyrunc_only("runc gives up after the first")
def test_every_poststop_hook_runs_after_a_create_that_failed(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    add(bundle, "createRuntime", "exit 3")
    add(bundle, "poststop", "exit 4")
    add(bundle, "poststop", f"touch {tmp_path}/second")
    result = runtime.run(bundle)
    assert "createRuntime hook #0" in result.err
    assert "poststop hook #0: exit status 4" in result.err
    assert (tmp_path / "second").exists()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_a_timeout_for_ever(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    add(bundle, kind, "exit 0", timeout=(1 << 63) // 10**9 - 1)
    runtime.run(bundle).ok()


@pytest.mark.pyrunc_only("runc's timeouts are nanoseconds in 64 bits")
@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_a_timeout_longer_than_time(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    add(bundle, kind, "exit 0", timeout=(1 << 63) - 1)
    runtime.run(bundle).ok()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_state_is_compact(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """One line, slashes as they are: hooks take it apart with sed (crun 1.29 broke some)."""
    inside = kind in ("createContainer", "startContainer")
    bundle.rootfs.joinpath("state").touch()
    target = "/state" if kind == "startContainer" else f"{bundle.rootfs}/state"
    add(bundle, kind, f"cat > {target}")
    bundle.config["annotations"] = {"org.example/x": "a/b <c> é"}
    bundle.shell("sleep 0.2")
    runtime.run(bundle).ok()
    text = (bundle.rootfs / "state").read_text()
    document = json.loads(text)
    assert len(text.splitlines()) == 1
    assert "\\/" not in text
    assert '": ' not in text
    assert document["annotations"]["org.example/x"] == "a/b <c> é"
    assert not inside or "pid" not in document or document["pid"] >= 1
