"""update: every flag, JSON on stdin and from files, and nothing half done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.runtime import Runtime, cgroups_of

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle

MIB = 1 << 20
NO_LIMIT = 9223372036854771712
FILES = {
    "limit": "memory/memory.limit_in_bytes",
    "swap": "memory/memory.memsw.limit_in_bytes",
    "reservation": "memory/memory.soft_limit_in_bytes",
    "shares": "cpu/cpu.shares",
    "quota": "cpu/cpu.cfs_quota_us",
    "period": "cpu/cpu.cfs_period_us",
    "cpus": "cpuset/cpuset.cpus",
    "mems": "cpuset/cpuset.mems",
    "pids": "pids/pids.max",
}


class Limits:
    """The limits of a container, as the kernel has them."""

    def __init__(self, container_id: str) -> None:
        self.folders = cgroups_of(container_id)

    def __getitem__(self, name: str) -> str:
        controller, file = FILES[name].split("/")
        return self.file(controller, file).read_text().strip()

    def file(self, controller: str, name: str) -> Path:
        return next(folder / name for folder in self.folders if controller in folder.parts)

    def all(self) -> dict[str, str]:
        return {name: self[name] for name in FILES}


@pytest.fixture
def container_id(runtime: Runtime, bundle: Bundle) -> str:
    """Running, with some limits."""
    bundle.linux["resources"].update(
        {
            "memory": {"limit": 40 * MIB, "swap": 60 * MIB},
            "cpu": {"shares": 100, "quota": 20000, "period": 100000, "cpus": "0-1"},
            "pids": {"limit": 20},
        }
    )
    bundle.args("sleep", "100")
    return runtime.run_detached(bundle)


def test_every_flag(runtime: Runtime, container_id: str) -> None:
    limits = Limits(container_id)
    flags = {
        "cpu-period": "200000",
        "cpu-quota": "50000",
        "cpu-share": "200",
        "cpuset-cpus": "0",
        "cpuset-mems": "0",
        "memory": "30M",
        "memory-reservation": "25165824",
        "memory-swap": "50m",
        "pids-limit": "10",
    }
    runtime("update", *(f"--{name}={value}" for name, value in flags.items()), container_id).ok()
    assert limits.all() == {
        "limit": str(30 * MIB), "swap": str(50 * MIB), "reservation": str(24 * MIB), "shares": "200",
        "quota": "50000", "period": "200000", "cpus": "0", "mems": "0", "pids": "10",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "value", "name", "seen"),
    [
        ("cpu-share", "2", "shares", "2"), ("cpu-quota", "30000", "quota", "30000"), ("cpu-quota", "-1", "quota", "-1"),
        ("cpu-period", "50000", "period", "50000"), ("cpuset-cpus", "1", "cpus", "1"),
        ("memory", "50331648", "limit", "50331648"), ("memory", "0.03g", "limit", "32210944"),
        ("memory", "33MiB", "limit", "34603008"), ("memory-reservation", "10M", "reservation", "10485760"),
        ("memory-swap", "-1", "swap", str(NO_LIMIT)), ("pids-limit", "7", "pids", "7"),
        ("pids-limit", "-1", "pids", "max"),
    ],
)  # fmt: skip
def test_one_flag_alone(runtime: Runtime, container_id: str, flag: str, value: str, name: str, seen: str) -> None:
    """Nothing else changes."""
    limits = Limits(container_id)
    before = limits.all()
    runtime("update", f"--{flag}", value, container_id).ok()
    assert limits.all() == {**before, name: seen}


def test_memory_without_limit_is_swap_without_limit(runtime: Runtime, container_id: str) -> None:
    runtime("update", "--memory", "-1", container_id).ok()
    limits = Limits(container_id)
    assert (limits["limit"], limits["swap"]) == (str(NO_LIMIT), str(NO_LIMIT))


@pytest.mark.parametrize(("memory", "swap"), [(100, 200), (10, 20), (60, 60), (50, 300), (10, 10)])
def test_memory_and_swap_in_the_order_the_kernel_takes(
    runtime: Runtime, container_id: str, memory: int, swap: int
) -> None:
    runtime("update", "--memory", f"{memory}M", "--memory-swap", f"{swap}M", container_id).ok()
    limits = Limits(container_id)
    assert (limits["limit"], limits["swap"]) == (str(memory * MIB), str(swap * MIB))


ENGINES = {
    "memory": {"limit": 67108864, "reservation": 0, "swap": 134217728, "kernel": 0},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 50},
    "blockIO": {"weight": 0},
}


@pytest.mark.parametrize("words", [("--resources", "-"), ("--resources=-",), ("-r", "-"), ("-r=-",)])
def test_json_on_stdin(runtime: Runtime, container_id: str, words: tuple[str, ...]) -> None:
    """What docker sends: 0 is "not set"."""
    limits = Limits(container_id)
    before = limits.all()
    runtime("update", *words, container_id, input=json.dumps(ENGINES).encode()).ok()
    assert limits.all() == {
        **before, "limit": "67108864", "swap": "134217728", "shares": "512", "quota": "50000", "cpus": "0",
        "pids": "50",
    }  # fmt: skip


def test_json_from_a_file(runtime: Runtime, container_id: str, tmp_path: Path) -> None:
    """podman's way; the flags do not count then."""
    file = tmp_path / "resources.json"
    file.write_text('{"pids": {"limit": 33}}')
    before = Limits(container_id).all()
    runtime("update", f"--resources={file}", "--cpu-share", "300", container_id).ok()
    assert Limits(container_id).all() == {**before, "pids": "33"}


@pytest.mark.parametrize("text", ["{}", '{"pids":{"limit":0},"memory":{"limit":0,"swap":0},"cpu":{"shares":0}}'])
def test_nothing_asked(runtime: Runtime, container_id: str, text: str) -> None:
    before = Limits(container_id).all()
    runtime("update", "--resources", "-", container_id, input=text.encode()).ok()
    assert Limits(container_id).all() == before


def test_devices_are_left_alone(runtime: Runtime, container_id: str) -> None:
    """What a hook allowed beside the runtime stays allowed, whatever engines send along."""
    limits = Limits(container_id)
    limits.file("devices", "devices.allow").write_text("c 240:7 rw")
    before = limits.file("devices", "devices.list").read_text()
    assert "c 240:7 rw" in before
    wanted = {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 9}}
    runtime("update", "-r", "-", container_id, input=json.dumps(wanted).encode()).ok()
    assert limits.file("devices", "devices.list").read_text() == before
    assert limits["pids"] == "9"


BAD_LAST = [
    ("--cpuset-cpus", "99", "numerical result out of range"),
    ("--cpu-quota", "500", "invalid argument"),
]


@pytest.mark.pyrunc_only  # runc writes its old values over and may fail at that
@pytest.mark.parametrize(("flag", "value", "words"), BAD_LAST)
def test_all_or_nothing(runtime: Runtime, container_id: str, flag: str, value: str, words: str) -> None:
    before = Limits(container_id).all()
    good = ["--memory", "100M", "--memory-swap", "200M", "--cpu-share", "300"]
    runtime("update", *good, flag, value, container_id).failed(words)
    assert Limits(container_id).all() == before


@pytest.mark.pyrunc_only  # runc leaves what it had written
def test_the_error_says_what_was_set_back(runtime: Runtime, container_id: str) -> None:
    before = Limits(container_id).all()
    for wanted, words, set_back in (
        ({"memory": {"limit": 30 * MIB}, "cpu": {"cpus": "4000"}}, "cpuset.cpus", "memory.limit_in_bytes"),
        # Who is idle no more has the default weight, unless it is written again.
        ({"cpu": {"idle": 1}, "pids": {"limit": 1 << 40}}, "pids.max", "cpu.idle, cpu.shares"),
    ):
        result = runtime("update", "--resources", "-", container_id, input=json.dumps(wanted).encode())
        assert f"; set back: {set_back}" in result.failed(words).err
        assert Limits(container_id).all() == before


def test_limits_that_cannot_be(runtime: Runtime, container_id: str) -> None:
    before = Limits(container_id).all()
    for words in (
        ("--memory", "4k"), ("--memory", "10M", "--memory-swap", "5M"), ("--memory", "70M"), ("--cpu-share", "1"),
        ("--cpuset-cpus", "99"),
    ):  # fmt: skip
        assert runtime("update", *words, container_id).status == 1
    assert Limits(container_id)["cpus"] == before["cpus"]
    result = runtime("update", "--memory", "4k", container_id)
    assert "unable to set memory limit to 4096 (current usage: " in result.err
    assert "the minimum allowed cpu-shares is 2" in runtime("update", "--cpu-share", "1", container_id).err
    assert "the maximum allowed cpu-shares is 262144" in runtime("update", "--cpu-share", "262145", container_id).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--memory", "abc"), "invalid value for memory: invalid size: 'abc'"),
        (("--memory-swap", "5X"), "invalid value for memory-swap: invalid size: '5X'"),
        (("--cpu-period", "x"), 'invalid value for cpu-period: strconv.ParseUint: parsing "x": invalid syntax'),
        (("--cpu-share", "-1"), 'invalid value for cpu-share: strconv.ParseUint: parsing "-1": invalid syntax'),
        (("--cpu-quota", "1.5"), 'invalid value for cpu-quota: strconv.ParseInt: parsing "1.5": invalid syntax'),
        (("--pids-limit", "x"), 'invalid value "x" for flag -pids-limit: parse error'),
        (("--l3-cache-schema", "L3:0=f"), "Intel RDT/CAT: l3 cache schema is not enabled"),
        (("--mem-bw-schema", "MB:0=10"), "Intel RDT/MBA: memory bandwidth schema is not enabled"),
        (("--resources", "/nonexistent"), "open /nonexistent: no such file or directory"),
        ((), 'requires exactly 1 argument(s)'),
    ],
)  # fmt: skip
def test_what_makes_no_sense(runtime: Runtime, container_id: str, words: tuple[str, ...], message: str) -> None:
    ids = (container_id,) if words else ()
    before = Limits(container_id).all()
    runtime("update", *words, *ids).failed(message)
    assert Limits(container_id).all() == before


@pytest.mark.parametrize("text", ["", "{", '{"memory":{"limit":"1"}}', "[]", '{"memory":{"limit":1e999}}'])
def test_json_that_is_none(runtime: Runtime, container_id: str, text: str) -> None:
    before = Limits(container_id).all()
    runtime("update", "-r", "-", container_id, input=text.encode()).failed()
    assert Limits(container_id).all() == before


def test_kernel_memory_is_ignored(runtime: Runtime, container_id: str) -> None:
    result = runtime("update", "--kernel-memory", "5M", "--pids-limit", "8", container_id).ok()
    assert "Kernel memory settings are ignored" in result.err
    assert Limits(container_id)["pids"] == "8"


def test_created_and_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    runtime("update", "--pids-limit", "12", container_id).ok()
    assert Limits(container_id)["pids"] == "12"
    assert runtime.state(container_id)["status"] == "created"
    runtime("start", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    runtime("update", "--pids-limit", "10", container_id).failed("container not running")
    for words in (("--pids-limit", "10"), ("--memory", "abc"), ("--resources", "/nonexistent")):
        runtime("update", *words, "nobody").failed("container does not exist")
