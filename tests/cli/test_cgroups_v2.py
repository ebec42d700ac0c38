"""A host with version 2 alone: every command runs in a mount namespace where /sys/fs/cgroup is that tree."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.bundle import in_user_namespace
from cli.driver import is_cgroup
from cli.limits import IS_V2, huge_page
from cli.runtime import Result, Runtime, cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle

IN_V2 = ["unshare", "--mount", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh"]
ONLY_V2 = [] if IS_V2 else IN_V2  # a guest has nothing else (conformance/vm)
COUNTING = "i=0; while :; do i=$((i + 1)); echo $i > /count; done"
# Numbers for local use: no driver answers, so what is allowed fails otherwise.
TRY = """
try() {
    rm -f /node; mknod /node $1 $2 $3
    sh -c "true $4 /node" 2>&1 | grep -q 'not permitted' && echo no || echo yes
}
"""
CGROUP_MOUNT = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["nosuid", "noexec", "nodev", "relatime"],
}


class OnlyV2(Runtime):
    def raw(self, argv: list[str], **options: Any) -> Result:
        return super().raw([*ONLY_V2, *argv], **options)


@pytest.fixture
def runtime(runtime: Runtime, tmp_path: Path) -> Iterator[OnlyV2]:
    made = OnlyV2(tmp_path)
    made.ids = runtime.ids  # the one of conftest looks for what is left
    yield made
    made.clean_up()


def cgroup(container_id: str) -> Path:
    found = cgroups_of(container_id)
    assert len(found) == 1
    return found[0]


def test_it_lives_in_one_hierarchy(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    lines = Path(f"/proc/{runtime.state(container_id)['pid']}/cgroup").read_text().splitlines()
    (line,) = (line for line in lines if container_id in line)
    assert line.startswith("0::/")
    assert is_cgroup(line, container_id)
    pid = runtime.state(container_id)["pid"]
    assert json.loads(runtime("ps", "--format", "json", container_id).ok().out) == [pid]
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(container_id) == []


@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_the_default_devices(runtime: OnlyV2, bundle: Bundle) -> None:
    script = f"""{TRY}
    try c 241 7 '<'; try b 241 7 '<'; try b 241 7 '>'
    for device in null zero full random urandom; do head -c1 </dev/$device >/dev/null && echo ok; done
    echo x >/dev/null && tty </dev/null; test -c /dev/ptmx && echo ptmx
    """
    assert runtime.script(bundle, script).split() == ["no"] * 3 + [
        "ok",
        "ok",
        "ok",
        "ok",
        "ok",
        "not",
        "a",
        "tty",
        "ptmx",
    ]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], "no no no no"),
        ([{"allow": True, "access": "rwm"}], "yes yes yes yes"),
        ([{"allow": True, "type": "c", "major": 241, "access": "rw"}], "yes yes no no"),
        ([{"allow": True, "type": "c", "major": 241, "minor": 7, "access": "r"}], "yes no no no"),
        ([{"allow": True, "type": "b", "minor": 7, "access": "w"}], "no no no yes"),
        pytest.param(
            [{"allow": True, "type": "a", "major": 241, "access": "w"}],
            "no yes no yes",
            marks=pytest.mark.pyrunc_only,  # to runc every rule of type a means everything
        ),
    ],
    ids=["none", "all", "major", "exact", "minor", "both-kinds"],
)
@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_device_rules(runtime: OnlyV2, bundle: Bundle, rules: list[dict[str, Any]], expected: str) -> None:
    bundle.linux["resources"]["devices"] = [{"allow": False, "access": "rwm"}, *rules]
    script = TRY + "try c 241 7 '<'; try c 241 7 '>'; try b 241 7 '<'; try b 241 7 '>'"
    assert runtime.script(bundle, script).split() == expected.split()


@pytest.mark.pyrunc_only  # runc 1.1 lets the last one pass: no rule has both of its letters
@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_one_denied_letter_is_enough(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.linux["resources"]["devices"] = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "c", "major": 241, "minor": 7, "access": "w"},
    ]
    script = TRY + "try c 241 6 '<>'; try c 241 7 '<'; try c 241 7 '>'; try c 241 7 '<>'"
    assert runtime.script(bundle, script).split() == ["yes", "yes", "no", "no"]


@pytest.mark.pyrunc_only  # runc refuses it, as it does on version 1
@pytest.mark.root_only("nobody without privileges may forbid a device")
@pytest.mark.cgroupfs_only("a unit has a list of what is allowed alone")
def test_a_hole_in_a_wider_rule(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 241, "access": "rwm"},
        {"allow": False, "type": "c", "major": 241, "minor": 7, "access": "w"},
    ]
    script = TRY + "try c 241 6 '<>'; try c 241 7 '<'; try c 241 7 '>'; try c 241 7 '<>'"
    assert runtime.script(bundle, script).split() == ["yes", "yes", "no", "no"]


@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_a_second_process_has_the_same_devices(runtime: OnlyV2, bundle: Bundle) -> None:
    rule = {"allow": True, "type": "c", "major": 241, "access": "rw"}
    bundle.linux["resources"]["devices"] = [{"allow": False, "access": "rwm"}, rule]
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    script = TRY + "try c 241 7 '<'; try b 241 7 '<'"
    assert runtime("exec", container_id, "sh", "-c", script).ok().out.split() == ["yes", "no"]


@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_update_leaves_devices_alone(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    everything = json.dumps({"devices": [{"allow": True, "access": "rwm"}]}).encode()
    for _number in range(3):
        runtime("update", "--resources", "-", container_id, input=everything).ok()
    assert runtime("exec", container_id, "sh", "-c", TRY + "try c 241 7 '<'").ok().out.split() == ["no"]


@pytest.mark.cgroupfs_only("it gives a path")
def test_what_a_killed_runtime_left_is_taken_over(runtime: OnlyV2, bundle: Bundle) -> None:
    """An empty cgroup whose device program forbids what the new container may have."""
    bundle.args("sleep", "100")
    first = runtime.run_detached(bundle)
    runtime("kill", first, "KILL").ok()
    runtime.wait_for(first, "stopped")
    bundle.linux["cgroupsPath"] = f"/{first}"
    bundle.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    assert runtime.script(bundle, TRY + "try c 241 7 '<'").split() == ["yes"]


def test_pause_and_resume(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.shell(COUNTING)
    container_id = runtime.run_detached(bundle)
    count = bundle.rootfs / "count"
    wait_until(count.exists)
    runtime("pause", container_id).ok()
    assert runtime.state(container_id)["status"] == "paused"
    assert "frozen 1" in (cgroup(container_id) / "cgroup.events").read_text()
    before = count.read_text()
    time.sleep(0.1)
    assert count.read_text() == before
    runtime("exec", container_id, "true").failed("paused", status=255)
    runtime("resume", container_id).ok()
    assert runtime.state(container_id)["status"] == "running"
    wait_until(lambda: count.read_text() not in ("", before))


@pytest.mark.pyrunc_only  # runc 1.1 kills init alone
@pytest.mark.root_only("a new /proc takes a new pid namespace there")
def test_a_paused_container_is_killed_and_deleted(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.shell("sleep 100 & sleep 100 & wait")
    bundle.without_namespace("pid")
    killed, deleted = runtime.run_detached(bundle), runtime.run_detached(bundle)
    for container_id in (killed, deleted):
        wait_until(lambda name=container_id: len(pids_of(name)) == 3)
        runtime("pause", container_id).ok()
    runtime("kill", killed, "KILL").ok()
    wait_until(lambda: pids_of(killed) == [])
    runtime("delete", "--force", deleted).ok()
    assert pids_of(deleted) == []


def test_stats(runtime: OnlyV2, bundle: Bundle) -> None:
    bundle.shell("i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 100")
    container_id = runtime.run_detached(bundle)

    def stats() -> dict[str, Any]:
        data: dict[str, Any] = json.loads(runtime("events", "--stats", container_id).ok().out)["data"]
        return data

    wait_until(lambda: stats()["cpu"]["usage"].get("total", 0) > 1_000_000)
    data = stats()
    assert data["pids"]["current"] >= 1
    assert set(data["hugetlb"]) == {path.name.split(".")[1] for path in cgroup(container_id).glob("hugetlb.*.max")}


def test_limits_without_their_controller_are_refused(runtime: OnlyV2, bundle: Bundle) -> None:
    """Version 1 has them on this machine, where nobody sees it."""
    bundle.linux["resources"]["unified"] = {"memory.high": "1000000"}
    bundle.save()
    container_id = runtime.new_id()
    result = runtime("create", "--bundle", bundle.path, container_id)
    assert result.status == 1
    words = 'unified resource "memory.high" can\'t be set: controller "memory" not available'
    assert words in result.err.replace('\\"', '"')
    assert cgroups_of(container_id) == []


@pytest.fixture
def threaded() -> Iterator[Path]:
    """A cgroup whose children must be threaded."""
    top = next(
        path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").exists()
    )
    path = top / f"clitest-threaded-{os.getpid()}"
    (path / "inner").mkdir(parents=True)
    (path / "inner/cgroup.type").write_text("threaded")
    yield path / "inner"
    (path / "inner").rmdir()
    path.rmdir()


@pytest.mark.cgroupfs_only("it gives a path")
@pytest.mark.pyrunc_only  # runc cannot list its processes: kill --all fails
def test_below_a_threaded_cgroup(runtime: OnlyV2, bundle: Bundle, threaded: Path) -> None:
    """It becomes threaded too, and there is no cgroup.kill, and no list of processes."""
    assert (threaded.parent / "cgroup.type").read_text() == "domain threaded\n"
    bundle.shell("sleep 100 & sleep 100 & wait")
    bundle.without_namespace("pid")
    bundle.linux["cgroupsPath"] = f"/{threaded.parent.name}/inner/box"
    container_id = runtime.run_detached(bundle)
    pid = runtime.state(container_id)["pid"]
    assert (threaded / "box/cgroup.type").read_text() == "threaded\n"
    assert f"0::/{threaded.parent.name}/inner/box" in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    wait_until(lambda: len((threaded / "box/cgroup.threads").read_text().split()) == 3)
    runtime("exec", container_id, "true").ok()
    runtime("pause", container_id).ok()
    assert runtime.state(container_id)["status"] == "paused"
    runtime("resume", container_id).ok()
    runtime("kill", "--all", container_id, "KILL").ok()
    wait_until(lambda: (threaded / "box/cgroup.threads").read_text() == "")
    runtime("delete", "--force", container_id).ok()
    assert not (threaded / "box").exists()


@pytest.mark.cgroupfs_only("it gives a path")
def test_controllers_that_count_by_process_are_no_use_there(runtime: OnlyV2, bundle: Bundle, threaded: Path) -> None:
    bundle.linux["cgroupsPath"] = f"/{threaded.parent.name}/inner/box"
    size = huge_page()
    bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 1 << 30}]
    bundle.save()
    result = runtime("create", "--bundle", bundle.path, runtime.new_id())
    assert result.status == 1
    assert "with domain controllers -- it is in" in result.err
    assert not (threaded / "box").exists()


def owners(path: Path) -> dict[str, int]:
    """name -> uid of a cgroup's directory, ".", and files."""
    return {".": path.stat().st_uid, **{entry.name: entry.stat().st_uid for entry in path.iterdir()}}


def delegating(bundle: Bundle, *options: str) -> None:
    in_user_namespace(bundle)
    bundle.namespace("cgroup")
    bundle.mounts.append({**CGROUP_MOUNT, "options": [*CGROUP_MOUNT["options"], *options]})


@pytest.mark.pyrunc_only  # runc gives it away under systemd alone
@pytest.mark.root_only("files are given to other users")
def test_a_writable_cgroup_belongs_to_the_container(runtime: OnlyV2, bundle: Bundle) -> None:
    """cgroups(7), delegation: sub-cgroups can be made and joined, the limits stay the host's."""
    delegating(bundle)
    bundle.shell(
        "exec >/tmp/out 2>/dev/null; cd /sys/fs/cgroup && mkdir below && echo 0 >below/cgroup.procs;"
        "tail -n1 /proc/self/cgroup;"
        "for file in hugetlb.*.max cgroup.max.depth; do echo 1 >$file || echo refused; done; echo end; sleep 100"
    )
    container_id = runtime.run_detached(bundle)
    out = bundle.rootfs / "tmp/out"
    wait_until(lambda: out.exists() and "end" in out.read_text())
    lines = out.read_text().split()
    assert lines[0] == "0::/below"
    assert len(lines) > 3
    assert set(lines[1:-1]) == {"refused"}
    found = owners(cgroup(container_id))
    given = {name for name, uid in found.items() if uid == 100000}
    assert given - {"below"} == {".", *Path("/sys/kernel/cgroup/delegate").read_text().split()} & set(found)
    assert set(found.values()) == {0, 100000}
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(container_id) == []


@pytest.mark.pyrunc_only  # what another runtime may leave of it nobody would remove
@pytest.mark.root_only("files are given to other users")
def test_cgroups_nested_deeper_than_a_path_is_long(runtime: OnlyV2, bundle: Bundle) -> None:
    """What a container that has its cgroup may do; it must be listed, killed and deleted like any other."""
    delegating(bundle)
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    directory = os.open(cgroup(container_id), os.O_RDONLY)
    for _level in range(30):
        os.mkdir("d" * 200, dir_fd=directory)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(directory)
    pid = runtime.state(container_id)["pid"]
    assert json.loads(runtime("ps", "--format", "json", container_id).ok().out) == [pid]
    runtime("kill", "--all", container_id, "TERM").ok()
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(container_id) == []


@pytest.mark.parametrize("case", ["read-only", "no-namespace", "no-mount"])
@pytest.mark.root_only("files are given to other users")
def test_otherwise_it_does_not(runtime: OnlyV2, bundle: Bundle, case: str) -> None:
    delegating(bundle, *(["ro"] if case == "read-only" else []))
    if case == "no-namespace":
        bundle.without_namespace("cgroup")
    if case == "no-mount":
        bundle.mounts.pop()
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    assert set(owners(cgroup(container_id)).values()) == {0}


@pytest.mark.pyrunc_only
@pytest.mark.root_only("files are given to other users")
def test_explain_tells_of_both(runtime: OnlyV2, bundle: Bundle) -> None:
    delegating(bundle)
    bundle.save()
    told = runtime("explain", "--bundle", bundle.path).ok().out
    assert "attach a device program of" in told
    assert "to uid 100000" in told
    assert "/devices.allow" not in told
