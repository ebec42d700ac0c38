"""events: statistics in runc's shape, the stream, and notices of memory that ran out."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.limits import IS_V2, has_controller, limit_memory, parent_cgroup
from cli.runtime import IS_PYRUNC, Result, Runtime, cgroups_of, wait_until, without_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle

MIB = 1 << 20
# runc's order; it writes "max", "cache", "raw" and the like only when they are not 0.
SHAPE = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
CPUSET = [
    "cpus", "cpu_exclusive", "mems", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
    "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
]  # fmt: skip
# Without the controller (user-mode Linux) nothing was read; what has no "omitempty" is written all the same.
CPUSET_OF_NONE = [name for name in CPUSET if name not in ("cpus", "mems")]


@pytest.fixture
def sleeping(runtime: Runtime, bundle: Bundle) -> str:
    bundle.linux["resources"].update({"memory": {"limit": 40 * MIB}, "pids": {"limit": 20}})
    bundle.args("sleep", "100")
    return runtime.run_detached(bundle)


def stats(runtime: Runtime, container_id: str) -> dict[str, Any]:
    result = runtime("events", "--stats", container_id).ok()
    assert result.err == ""
    assert len(result.lines) == 1
    assert result.out.startswith(f'{{"type":"stats","id":"{container_id}","data":{{"cpu":{{"usage":')
    data: dict[str, Any] = json.loads(result.out)["data"]
    return data


class Stream:
    """`events` in the background."""

    def __init__(self, runtime: Runtime, tmp_path: Path, *words: str) -> None:
        self.file = tmp_path / "events"
        command = [*runtime.beginning, "events", *words]
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def lines(self, kind: str) -> list[str]:
        return [line for line in self.file.read_text().splitlines() if line.startswith(f'{{"type":"{kind}"')]

    def settle(self) -> None:
        """Until it waits, and has not run for a while (proc(5): state, utime, stime; its turns are in status)."""
        before: object = None
        while (seen := self._doings()) != before or seen[0] != "S":
            before = seen
            time.sleep(0.3)

    def _doings(self) -> tuple[str, ...]:
        process = Path(f"/proc/{self.process.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        turns = [line for line in (process / "status").read_text().splitlines() if "voluntary" in line]
        return (fields[0], fields[11], fields[12], *turns)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@pytest.fixture
def stream(runtime: Runtime, sleeping: str, tmp_path: Path) -> Iterator[Stream]:
    made = Stream(runtime, tmp_path, "--interval", "100ms", sleeping)
    yield made
    made.close()


def test_names_and_their_order(runtime: Runtime, sleeping: str) -> None:
    data = stats(runtime, sleeping)
    assert list(data) == SHAPE
    if IS_V2:
        assert set(data["cpuset"]) >= {"mem_hardwall", "sched_relax_domain_level"}
        assert [name for name in data["memory"] if name != "cache"][:4] == ["usage", "swap", "kernel", "kernelTCP"]
        return
    assert list(data["cpu"]["usage"])[-2:] == ["kernel", "user"]
    assert list(data["cpuset"]) == (CPUSET if has_controller("cpuset") else CPUSET_OF_NONE)
    memory = [name for name in data["memory"] if name != "cache"]
    assert memory == ["usage", "swap", "kernel", "kernelTCP", "raw"]
    assert list(data["memory"]["usage"]) == ["limit", "usage", "max", "failcnt"]
    assert list(data["memory"]["raw"]) == sorted(data["memory"]["raw"])
    assert data["intel_rdt"] == {}
    assert data["network_interfaces"] is None


@pytest.mark.pyrunc_only  # it is about the peer beside it
def test_the_names_are_those_of_a_peer(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """The same bundle under runc, on the cgroups of this host: its names, nested as there, and in its order."""
    bundle.linux["resources"].update({"memory": {"limit": 40 * MIB}, "pids": {"limit": 20}})
    bundle.shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=4; sleep 100 & wait")
    ours = list(names_of(settled(runtime, runtime.run_detached(bundle))))
    peer = Peer(tmp_path)
    try:
        theirs = list(names_of(settled(peer, peer.run_detached(bundle))))
    finally:
        peer.clean_up()
    assert [name for name in ours if name in theirs] == theirs
    # Debian's runc does not know of version 2's controllers on a hybrid host, of the peak there, and of misc.
    later = ("hugetlb.", "memory.usage.max", "rdma_stats", "misc_stats", "cpu.psi", "memory.psi", "blkio.psi")
    assert [name for name in ours if name not in theirs and not name.startswith(later)] == []


class Peer(Runtime):
    is_inspected = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.state_root = directory / "peer"

    def raw(self, argv: list[str], **options: Any) -> Result:
        return super().raw(["/usr/sbin/runc", *argv[1:]], **options)


def settled(runtime: Runtime, container_id: str) -> dict[str, Any]:
    """Once it has used what is counted: what is 0 is not written."""
    wait_until(lambda: stats(runtime, container_id)["memory"].get("cache", 0) >= 4 * MIB)
    return stats(runtime, container_id)


def names_of(value: object, above: str = "") -> Iterator[str]:
    """Dotted; a list counts as its first element.  Throttling is left out: it comes and goes."""
    if isinstance(value, list) and value:
        yield from names_of(value[0], above)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name != "throttling":
                yield f"{above}{name}"
                yield from names_of(one, f"{above}{name}.")


def test_numbers(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"].update({"memory": {"limit": 40 * MIB}, "pids": {"limit": 20}})
    bundle.shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=4; sleep 100 & sleep 100 & wait")
    container_id = runtime.run_detached(bundle)
    wait_until(lambda: stats(runtime, container_id)["pids"]["current"] == 3)
    data = stats(runtime, container_id)
    assert data["pids"] == {"current": 3, "limit": 20}
    assert data["memory"]["usage"]["limit"] == 40 * MIB
    assert 4 * MIB < data["memory"]["usage"]["usage"] < 40 * MIB
    assert data["memory"]["cache"] >= 4 * MIB
    assert data["memory"]["raw"]["shmem"] >= 4 * MIB
    assert data["cpu"]["usage"]["total"] > 0
    if not IS_V2:
        assert data["cpu"]["usage"]["total"] == sum(data["cpu"]["usage"]["percpu"])
        if has_controller("cpuset"):  # user-mode Linux has none
            assert data["cpuset"]["cpus"] == list(range(os.cpu_count() or 1))


@pytest.mark.pyrunc_only  # runc tells of no interface that somebody else made
@pytest.mark.root_only("it adds an interface from outside")
def test_network(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 100")
    container_id = runtime.run_detached(bundle)
    assert stats(runtime, container_id)["network_interfaces"] is None
    pid = runtime.state(container_id)["pid"]
    inside = ["nsenter", "--net", "--target", str(pid)]
    subprocess.run([*inside, "ip", "link", "add", "veth7", "type", "veth", "peer", "name", "veth8"], check=True)
    found = stats(runtime, container_id)["network_interfaces"]
    assert sorted(interface["Name"] for interface in found) == ["veth7", "veth8"]
    assert set(found[0]) == {
        "Name", "RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped",
    }  # fmt: skip


def test_throttling(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"]["cpu"] = {"quota": 1000, "period": 10000}
    bundle.shell("while :; do true; done")
    container_id = runtime.run_detached(bundle)

    def throttling() -> dict[str, int]:
        """Whole once some of the waiting is over: what is 0 is not written."""
        seen: dict[str, int] = stats(runtime, container_id)["cpu"].get("throttling", {})
        return seen if "throttledTime" in seen else {}

    assert list(wait_until(throttling)) == ["periods", "throttledPeriods", "throttledTime"]


def test_block_io(runtime: Runtime, bundle: Bundle) -> None:
    """What the machine's disk wrote, if the test runs on one: the keys, at least."""
    bundle.shell("dd if=/dev/zero of=/file bs=1M count=2; sync; sleep 100")
    container_id = runtime.run_detached(bundle)
    wait_until((bundle.rootfs / "file").exists)
    for name, entries in stats(runtime, container_id)["blkio"].items():
        assert name in ("ioServiceBytesRecursive", "ioServicedRecursive")
        assert {entry["op"] for entry in entries} >= {"Read", "Write", "Sync", "Async", "Total"}
        assert all(set(entry) <= {"major", "minor", "op", "value"} for entry in entries)


def test_stopped_and_absent(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    for words in (("--stats",), ()):
        runtime("events", *words, container_id).failed(f"container with id {container_id} is not running")
        runtime("events", *words, "nobody").failed("container does not exist")


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ("0", "duration interval must be greater than 0"), ("0s", "duration interval must be greater than 0"),
        ("-1s", "duration interval must be greater than 0"),
        ("5", 'invalid value "5" for flag -interval: parse error'), ("x", 'invalid value "x" for flag -interval'),
    ],
)  # fmt: skip
def test_intervals_that_are_none(runtime: Runtime, sleeping: str, interval: str, words: str) -> None:
    runtime("events", "--interval", interval, sleeping).failed(words)
    runtime("events", f"--interval={interval}", sleeping).failed(words)


def test_the_stream_ends_with_the_container(runtime: Runtime, sleeping: str, stream: Stream) -> None:
    wait_until(lambda: len(stream.lines("stats")) >= 3)
    runtime("delete", "--force", sleeping).ok()
    assert stream.process.wait(5) == 0
    assert all(json.loads(line)["id"] == sleeping for line in stream.lines("stats"))
    assert stream.lines("oom") == []


def test_the_first_line_comes_after_one_interval(runtime: Runtime, sleeping: str, tmp_path: Path) -> None:
    stream = Stream(runtime, tmp_path, "--interval=1h", sleeping)
    stream.settle()
    runtime("delete", "--force", sleeping).ok()
    assert stream.process.wait(5) == 0
    assert without_warnings(stream.file.read_text()) == []


def oom_line(container_id: str) -> str:
    """runc's, and what pyrunc adds to it: whose limit it was."""
    folder = next(folder for folder in cgroups_of(container_id) if IS_V2 or "memory" in folder.parts)
    cause = f',"cause":"limit","cgroup":"{folder}"' if IS_PYRUNC else ""
    return f'{{"type":"oom","id":"{container_id}"{cause}}}'


def hungry(runtime: Runtime, bundle: Bundle, script: str) -> str:
    """The id of a container that runs the script when it may."""
    bundle.shell(f"while [ ! -e /go ]; do sleep 0.02; done; {script}")
    return runtime.run_detached(bundle)


def eats_memory(runtime: Runtime, bundle: Bundle, tmp_path: Path, container_id: str) -> Stream:
    """It may, as soon as its events are read."""
    stream = Stream(runtime, tmp_path, "--interval", "100ms", container_id)
    wait_until(lambda: stream.lines("stats"))
    (bundle.rootfs / "go").touch()
    return stream


def test_out_of_memory(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 20 * MIB, "swap": 20 * MIB}
    container_id = hungry(runtime, bundle, "(tail /dev/zero); sleep 100")
    notice = oom_line(container_id)  # systemd removes the cgroup of a container that ends
    stream = eats_memory(runtime, bundle, tmp_path, container_id)
    wait_until(lambda: stream.lines("oom"))
    assert set(stream.lines("oom")) == {notice}
    runtime("delete", "--force", container_id).ok()
    assert stream.process.wait(5) == 0


@pytest.mark.cgroupfs_only("systemd removes the cgroup, now and then before anybody has read what it counted")
@pytest.mark.pyrunc_only  # runc's stream goes on until the container is deleted
def test_the_container_itself_dies_of_it(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """The notice comes before the end of the stream; the stream ends although nobody deletes the container."""
    bundle.linux["resources"]["memory"] = {"limit": 20 * MIB, "swap": 20 * MIB}
    container_id = hungry(runtime, bundle, "exec tail /dev/zero")
    notice = oom_line(container_id)  # systemd removes the cgroup of a container that ends
    stream = eats_memory(runtime, bundle, tmp_path, container_id)
    assert stream.process.wait(10) == 0
    assert stream.lines("oom") == [notice]
    assert runtime.state(container_id)["status"] == "stopped"


@pytest.mark.cgroupfs_only("it gives a path")
@pytest.mark.pyrunc_only  # runc does not say whose limit it was
def test_the_limit_of_a_cgroup_above(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    parent = parent_cgroup(f"clitest-pod-{os.getpid()}")
    parent.mkdir()
    try:
        limit_memory(parent, 20 * MIB)
        bundle.linux["cgroupsPath"] = f"/{parent.name}/box"
        stream = eats_memory(runtime, bundle, tmp_path, hungry(runtime, bundle, "exec tail /dev/zero"))
        assert stream.process.wait(10) == 0
        assert {line.partition(',"cause')[2] for line in stream.lines("oom")} == {f'":"ancestor","cgroup":"{parent}"}}'}
    finally:
        runtime.clean_up()
        parent.rmdir()


def test_paused(runtime: Runtime, sleeping: str, stream: Stream) -> None:
    runtime("pause", sleeping).ok()
    count = len(stream.lines("stats"))
    wait_until(lambda: len(stream.lines("stats")) > count + 1)
    assert cgroups_of(sleeping) != []
