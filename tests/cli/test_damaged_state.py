"""state.json that cannot be used: the journal beside it says what is to be removed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.bundle import Bundle

pytestmark = pytest.mark.pyrunc_only("state.json is each runtime's own")


def changed(**keys: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **keys}).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "another document": lambda _content: b'{"id": "x"}',
    "newer": changed(version=2),
    "pid is a word": changed(pid="init"),
    "pid is negative": changed(pid=-1),
    "cgroup is a list": changed(cgroup=[]),
    "cgroup is empty": changed(cgroup={}),
    "hooks are numbers": changed(poststop=[1]),
}


def state_file(runtime: Runtime, container_id: str) -> Path:
    return runtime.state_root / container_id / "state.json"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("hooks", [{}, {"poststop": [{"path": "/bin/true"}]}], ids=["", "poststop"])
def test_delete_force_leaves_nothing(runtime: Runtime, bundle: Bundle, damage: str, hooks: dict[str, object]) -> None:
    bundle.args("sleep", "100")
    bundle.config["hooks"] = hooks
    container_id = runtime.run_detached(bundle)
    file = state_file(runtime, container_id)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    for verb in ("state", "start", "kill", "delete", "pause", "ps"):
        runtime(verb, container_id).failed()
    runtime("exec", container_id, "true").failed(status=255)
    assert runtime("list").ok().lines[1:] == []
    runtime("delete", "--force", container_id).ok()
    wait_until(lambda: (pids_of(container_id), cgroups_of(container_id)) == ([], []))
    assert not file.parent.exists()


def test_of_another_boot(runtime: Runtime, bundle: Bundle) -> None:
    """The pid and the cgroup are somebody else's by now."""
    bundle.args("sleep", "100")
    bundle.without_namespace("pid")
    container_id = runtime.run_detached(bundle)
    file = state_file(runtime, container_id)
    content = file.read_bytes()
    file.write_bytes(changed(bootId="0" * 32)(content))
    assert runtime.state(container_id)["status"] == "stopped"
    runtime("start", container_id).failed("cannot start a container that has stopped")
    runtime("delete", container_id).failed("cgroup")
    assert len(pids_of(container_id)) == 1
    file.write_bytes(content)
    runtime("delete", "--force", container_id).ok()


@contextmanager
def creating(runtime: Runtime, bundle: Bundle, kind: str, begun: Callable[[str], object]) -> Iterator[str]:
    """A create that is in a hook of this kind.  Afterwards it has been killed, and the stage has died with it."""
    bundle.config["hooks"] = {kind: [{"path": "/bin/sleep", "args": ["sleep", "30"]}]}
    bundle.save()
    container_id = runtime.new_id()
    argv = [PATH, "--root", str(runtime.state_root), "create", "--bundle", str(bundle.path), container_id]
    null = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as process:
        wait_until(lambda: begun(container_id))
        try:
            yield container_id
        finally:
            hooks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            process.kill()
            for hook in hooks if kind == "createRuntime" else ():
                with contextlib.suppress(ProcessLookupError):  # the stage is one of them: pid 1 may have reaped it
                    os.kill(int(hook), signal.SIGKILL)


@pytest.mark.parametrize("has_pid_namespace", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_killed_in_a_hook_inside(runtime: Runtime, bundle: Bundle, has_pid_namespace: bool, force: bool) -> None:
    """The hook is the stage's child: it ends with the pid namespace, or is left for `delete`."""
    if not has_pid_namespace:
        bundle.without_namespace("pid")
    with creating(runtime, bundle, "createContainer", lambda name: len(pids_of(name)) == 2) as container_id:
        assert runtime.state(container_id)["status"] == "creating"
    if not has_pid_namespace:
        assert pids_of(container_id)
    runtime("delete", *(["--force"] if force else []), container_id).ok()
    wait_until(lambda: (pids_of(container_id), cgroups_of(container_id)) == ([], []))


def test_what_was_killed_does_not_take_the_cgroup_of_another(runtime: Runtime, bundle: Bundle) -> None:
    """Both name the same cgroup: the first never got to use it, the second does."""
    name = f"clitest-shared-{os.getpid()}"
    bundle.linux["cgroupsPath"] = f"/{name}"
    bundle.args("sleep", "100")
    with creating(runtime, bundle, "createContainer", lambda _id: len(pids_of(name)) == 2) as first:
        pass
    for pid in pids_of(name):
        with contextlib.suppress(ProcessLookupError):  # without the hook the stage ends by itself
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pids_of(name) == [])
    del bundle.config["hooks"]
    second = runtime.run_detached(bundle)
    assert "in use by another container" in runtime("delete", "--force", first).ok().err
    assert runtime.state(second)["status"] == "running"
    assert not (runtime.state_root / first).exists()


def test_the_journal_stands_in_for_state_json(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.create(bundle)
    state_file(runtime, container_id).unlink()
    state = runtime.state(container_id)
    assert (state["status"], state["pid"], state["bundle"]) == ("stopped", 0, str(bundle.path))
    runtime("delete", container_id).ok()
    assert (pids_of(container_id), cgroups_of(container_id)) == ([], [])


def test_a_path_too_long_for_the_journal(runtime: Runtime, bundle: Bundle) -> None:
    """More than PATH_MAX: state.json is written at once."""
    bundle.linux["cgroupsPath"] = "/" + "/".join([f"clitest-{os.getpid()}", *["c" * 200] * 10])
    with creating(runtime, bundle, "createRuntime", lambda _id: pids_of("c" * 200)) as container_id:
        assert json.loads(state_file(runtime, container_id).read_bytes())["pid"] == 0
    runtime("delete", container_id).ok()
    assert cgroups_of(f"clitest-{os.getpid()}") == []
