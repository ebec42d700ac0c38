"""Containers of an ordinary user: with one id, with newuidmap, and in a user namespace that is there already.

Every command runs as a uid that has no capabilities, no passwd entry and a state root of its own.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.agent import Agent
from cli.bundle import APPLETS, BUSYBOX
from cli.runtime import PATH, Result, wait_until
from pyrunc.program.numbers import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 12345
SUBORDINATE = 500000  # the first of 65536 ids that /etc/subuid gives to USER
_numbers = itertools.count()


class Home:
    """A directory of the user's with a bundle that `spec --rootless` made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bundle = path / "bundle"
        self.ids: list[str] = []
        self.before: list[str] = []  # put before the runtime's argv
        self.uid = USER  # who runs that; 0: it prepares something, and becomes the user itself
        path.mkdir()
        bin_directory = self.bundle / "rootfs/bin"
        bin_directory.mkdir(parents=True)
        for name in ("proc", "dev", "sys", "tmp", "root", "etc"):
            (self.bundle / "rootfs" / name).mkdir()
        shutil.copy(BUSYBOX, bin_directory / "busybox")  # not the template's: that is everybody's by hard links
        for applet in APPLETS:
            (bin_directory / applet).symlink_to("busybox")
        for entry in (path, *path.rglob("*")):
            os.chown(entry, USER, USER, follow_symlinks=False)

    def __call__(self, *words: str) -> Result:
        argv = [*self.before, PATH, "--root", str(self.path / "state"), *words]
        with (self.path / "out").open("w+b") as out, (self.path / "err").open("w+b") as err:
            status = subprocess.run(
                argv,
                user=self.uid,
                group=self.uid,
                extra_groups=[],
                cwd=self.bundle,
                env={"XDG_RUNTIME_DIR": str(self.path), "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=20,
                check=False,
            ).returncode
            return Result(status, (self.path / "out").read_bytes(), (self.path / "err").read_bytes())

    def configure(self, script: str, **more: Any) -> None:
        file = self.bundle / "config.json"
        file.unlink(missing_ok=True)
        self("spec", "--rootless").ok()
        config = json.loads(file.read_text())
        config["process"] |= {"terminal": False, "args": ["sh", "-c", script]} | more.pop("process", {})
        config["linux"] |= more.pop("linux", {})
        config |= more
        file.write_text(json.dumps(config))

    def new_id(self) -> str:
        self.ids.append(f"rootless-{os.getpid()}-{next(_numbers)}")
        return self.ids[-1]

    def run(self) -> Result:
        return self("run", self.new_id())


@pytest.fixture
def home() -> Iterator[Home]:
    # Not below pytest's own directory: every session that starts closes that to others again.
    with tempfile.TemporaryDirectory(prefix="pyrunc-rootless-") as directory:
        Path(directory).chmod(0o755)
        home = Home(Path(directory) / "home")
        yield home
        clean_up(home)


def clean_up(home: Home) -> None:
    for container_id in home.ids:
        if (home.path / "state" / container_id).exists():
            home("delete", "--force", container_id)


def test_what_spec_rootless_writes_runs(home: Home) -> None:
    home.configure("id -u; id -g; cat /proc/self/uid_map; hostname; touch /tmp/x || echo read-only")
    out = home.run().ok().out.split()
    assert out == ["0", "0", "0", str(USER), "1", "runc", "read-only"]


def test_whole_life(home: Home) -> None:
    home.configure("echo up > /dev/shm/up; sleep 60")
    container_id = home.new_id()
    home("create", container_id).ok()
    assert json.loads(home("state", container_id).ok().out)["status"] == "created"
    home("start", container_id).ok()
    up = wait_until(lambda: home("exec", container_id, "cat", "/dev/shm/up").out)
    assert up == "up\n"
    pid = json.loads(home("state", container_id).ok().out)["pid"]
    assert Path(f"/proc/{pid}").stat().st_uid == USER
    home("kill", container_id, "KILL").ok()
    wait_until(lambda: json.loads(home("state", container_id).ok().out)["status"] == "stopped")
    home("delete", container_id).ok()
    home("state", container_id).failed("container does not exist")


@pytest.mark.pyrunc_only("state.json is each runtime's own")
@pytest.mark.parametrize("content", [b"", None], ids=["empty", "gone"])
@pytest.mark.parametrize("is_started", [False, True])
def test_delete_force_without_state_json(home: Home, content: bytes | None, is_started: bool) -> None:
    """No cgroup says where the process is."""
    home.configure("sleep 60")
    container_id = home.new_id()
    home("create", container_id).ok()
    pid = json.loads(home("state", container_id).ok().out)["pid"]
    if is_started:
        home("start", container_id).ok()
    file = home.path / "state" / container_id / "state.json"
    file.unlink() if content is None else file.write_bytes(content)
    home("delete", "--force", container_id).ok()
    assert not has_process(pid)
    assert list((home.path / "state").iterdir()) == []


def has_process(pid: int) -> bool:
    """Not as a zombie either: that is whoever takes in orphans to remove."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@contextmanager
def hidden_processes(home: Home) -> Iterator[None]:
    """What is called inside has a /proc of its own that does not show the stage to its user."""
    script = f'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"'
    home.uid, home.before = 0, ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
    try:
        yield
    finally:
        home.uid, home.before = USER, []


@pytest.mark.pyrunc_only("the words")
def test_an_init_that_procfs_hides(home: Home) -> None:
    home.configure("sleep 60")
    container_id = home.new_id()
    with hidden_processes(home):
        home("create", container_id).failed("it hides processes (hidepid, proc(5))")
    home("state", container_id).failed("does not exist")


@pytest.mark.pyrunc_only("runc 1.1 says that it has deleted it")
@pytest.mark.parametrize("force", [False, True])
def test_a_process_that_procfs_hides(home: Home, force: bool) -> None:
    """hidepid, proc(5): it is not shown to whoever may not trace it, and the stage not to its own user."""
    home.configure("sleep 60")
    container_id = home.new_id()
    home("create", container_id).ok()
    pid = json.loads(home("state", container_id).ok().out)["pid"]
    with hidden_processes(home):
        home("delete", *(["--force"] if force else []), container_id).failed("/proc does not show it")
    assert has_process(pid)
    assert json.loads(home("state", container_id).ok().out)["status"] == "created"
    home("delete", container_id).ok()
    assert not has_process(pid)


def test_no_user_namespace(home: Home) -> None:
    home.configure("true")
    file = home.bundle / "config.json"
    config = json.loads(file.read_text())
    config["linux"]["namespaces"] = [row for row in config["linux"]["namespaces"] if row["type"] != "user"]
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    file.write_text(json.dumps(config))
    home.run().failed("rootless container requires user namespaces")


def test_an_id_that_is_not_mapped(home: Home) -> None:
    home.configure("true", process={"user": {"uid": 5, "gid": 0}})
    assert home.run().status == 1


def test_groups_cannot_be_set_with_one_id(home: Home) -> None:
    home.configure("true", process={"user": {"uid": 0, "gid": 0, "additionalGids": [0]}})
    assert home.run().status == 1


@pytest.fixture
def subordinate_ids(home: Home) -> Home:
    """/etc/subuid and /etc/subgid with ids for this user, in a mount namespace of the command's own."""
    etc = home.path.parent / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(f"mapper:x:{USER}:{USER}::/:/bin/sh\n")
    for name in ("subuid", "subgid"):
        (etc / name).write_text(f"mapper:{SUBORDINATE}:65536\n")
    for file in etc.iterdir():
        file.chmod(0o644)
    script = f'for f in passwd subuid subgid; do mount --bind {etc}/$f /etc/$f; done; exec setpriv \
--reuid {USER} --regid {USER} --clear-groups "$@"'
    home.uid = 0
    home.before = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
    return home


MAPPED = [{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": SUBORDINATE, "size": 65536}]


NO_GROUPS = "runc 1.1 sets no groups without privileges"


@pytest.mark.parametrize("groups", [[], pytest.param([7, 8], marks=pytest.mark.pyrunc_only(NO_GROUPS))])
def test_newuidmap(subordinate_ids: Home, groups: list[int]) -> None:
    home = subordinate_ids
    home.configure(
        "id -u; id -G; cat /proc/self/uid_map",
        linux={"uidMappings": MAPPED, "gidMappings": MAPPED},
        process={"user": {"uid": 1000, "gid": 1001, "additionalGids": groups}},
    )
    user, found, *maps = home.run().ok().lines
    assert (user, found) == ("1000", " ".join(map(str, [1001, *groups])))
    assert " ".join(maps).split() == ["0", str(USER), "1", "1", str(SUBORDINATE), "65536"]


def test_newuidmap_refuses(subordinate_ids: Home) -> None:
    home = subordinate_ids
    more = [*MAPPED, {"containerID": 65537, "hostID": 0, "size": 1}]
    home.configure("true", linux={"uidMappings": more, "gidMappings": more})
    result = home.run()
    assert result.status == 1
    assert "uid range [65537-65538) -> [0-1) not allowed" in result.err or "gid range" in result.err


@pytest.mark.pyrunc_only("runc 1.1: nsexec: failed to setns to host mntns")
def test_in_a_user_namespace_that_is_there(home: Home) -> None:
    """Root there, nobody outside: what rootlesskit and `podman unshare` start."""
    home.before = ["unshare", "--user", "--map-root-user"]
    home.configure("id -u; cat /proc/self/uid_map; touch /dev/shm/x && echo fine")
    assert home.run().ok().out.split() == ["0", "0", "0", "1", "fine"]


@pytest.mark.pyrunc_only("runc 1.1 wants its cgroup")
def test_without_one_of_its_own_in_one_that_is_there(home: Home) -> None:
    home.before = ["unshare", "--user", "--map-root-user"]
    home.configure("cat /proc/self/uid_map; readlink /proc/self/ns/user > /dev/shm/x && echo fine")
    file = home.bundle / "config.json"
    config = json.loads(file.read_text())
    config["linux"]["namespaces"] = [row for row in config["linux"]["namespaces"] if row["type"] != "user"]
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    file.write_text(json.dumps(config))
    assert home.run().ok().out.split() == ["0", str(USER), "1", "fine"]


@pytest.mark.pyrunc_only("runc 1.1 may not take the listener: pidfd_getfd of a non-dumpable process")
def test_seccomp_agent(home: Home) -> None:
    path = home.path / "agent"
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(path),
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    home.configure("mkdir /dev/shm/x 2>&1; sleep 60", linux={"seccomp": profile})
    with Agent(path, {NUMBERS["x86_64"]["mkdir"]: errno.EXDEV}) as agent:
        os.chown(path, USER, USER)
        container_id = home.new_id()
        home("create", container_id).ok()
        agent.received(1)
        home("start", container_id).ok()
        wait_until(lambda: agent.asked)
        home("exec", container_id, "true").failed("without privileges SCMP_ACT_NOTIFY needs a new pid", status=255)
        home("delete", "--force", container_id).ok()


@pytest.mark.pyrunc_only("runc shows the exit status alone")
def test_output_of_a_failing_start_container_hook(home: Home) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo reason >&2; exit 3"]}
    home.configure("true", hooks={"startContainer": [hook]})
    container_id = home.new_id()
    home("create", container_id).ok()
    home("start", container_id).failed("startContainer hook #0: exit status 3, output: reason")
    home("state", container_id).failed("container does not exist")
    assert list((home.path / "state").iterdir()) == []
    home.run().failed("startContainer hook #0: exit status 3, output: reason")
