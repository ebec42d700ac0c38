"""update: every flag, JSON on stdin and from files, and nothing half done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.limits import IS_V2, NAMES, Limits, has_controller, shares
from cli.runtime import IS_PYRUNC

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime

MIB = 1 << 20
CPUSET = has_controller("cpuset")  # user-mode Linux has none


@pytest.fixture
def container_id(runtime: Runtime, bundle: Bundle) -> str:
    """Running, with some limits."""
    bundle.linux["resources"].update(
        {
            "memory": {"limit": 40 * MIB, "swap": 60 * MIB},
            "cpu": {"shares": 100, "quota": 20000, "period": 100000} | ({"cpus": "0-1"} if CPUSET else {}),
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
        "memory": "30M",
        "memory-reservation": "25165824",
        "memory-swap": "50m",
        "pids-limit": "10",
    }
    flags |= {"cpuset-cpus": "0", "cpuset-mems": "0"} if CPUSET else {}
    runtime("update", *(f"--{name}={value}" for name, value in flags.items()), container_id).ok()
    expected = {
        "limit": 30 * MIB, "swap": 50 * MIB, "reservation": 24 * MIB, "shares": shares(200),
        "quota": 50000, "period": 200000, "cpus": "0", "mems": "0", "pids": 10,
    }  # fmt: skip
    assert limits.all() == {name: expected[name] for name in NAMES}


# flag, value, what it is and its value then; memory and swap are one number on version 1 and two on version 2
ONE_FLAG: list[tuple[str, str, str, int | str]] = [
    ("cpu-share", "2", "shares", shares(2)), ("cpu-quota", "30000", "quota", 30000), ("cpu-quota", "-1", "quota", -1),
    ("cpu-period", "50000", "period", 50000), ("cpuset-cpus", "1", "cpus", "1"),
    ("memory", "50331648", "limit", 50331648), ("memory", "0.03g", "limit", 32210944),
    ("memory", "33MiB", "limit", 34603008), ("memory-reservation", "10M", "reservation", 10485760),
    ("memory-swap", "-1", "swap", -1), ("pids-limit", "7", "pids", 7), ("pids-limit", "-1", "pids", -1),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "value", "name", "seen"), [row for row in ONE_FLAG if row[2] in NAMES])
def test_one_flag_alone(runtime: Runtime, container_id: str, flag: str, value: str, name: str, seen: int | str) -> None:
    """Nothing else changes."""
    limits = Limits(container_id)
    before = limits.all()
    runtime("update", f"--{flag}", value, container_id).ok()
    expected = {**before, name: seen}
    if name == "limit" and IS_V2:  # memory.swap.max stays: what is together moves
        expected["swap"] = int(before["swap"]) - int(before["limit"]) + int(seen)
    assert limits.all() == expected


def test_memory_without_limit_is_swap_without_limit(runtime: Runtime, container_id: str) -> None:
    runtime("update", "--memory", "-1", container_id).ok()
    limits = Limits(container_id)
    assert (limits["limit"], limits["swap"]) == (-1, -1)


@pytest.mark.parametrize(("memory", "swap"), [(100, 200), (10, 20), (60, 60), (50, 300), (10, 10)])
def test_memory_and_swap_in_the_order_the_kernel_takes(
    runtime: Runtime, container_id: str, memory: int, swap: int
) -> None:
    runtime("update", "--memory", f"{memory}M", "--memory-swap", f"{swap}M", container_id).ok()
    limits = Limits(container_id)
    assert (limits["limit"], limits["swap"]) == (memory * MIB, swap * MIB)


ENGINES = {
    "memory": {"limit": 67108864, "reservation": 0, "swap": 134217728, "kernel": 0},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000} | ({"cpus": "0"} if CPUSET else {}),
    "pids": {"limit": 50},
    "blockIO": {"weight": 0},
}


@pytest.mark.parametrize("words", [("--resources", "-"), ("--resources=-",), ("-r", "-"), ("-r=-",)])
def test_json_on_stdin(runtime: Runtime, container_id: str, words: tuple[str, ...]) -> None:
    """What docker sends: 0 is "not set"."""
    limits = Limits(container_id)
    before = limits.all()
    runtime("update", *words, container_id, input=json.dumps(ENGINES).encode()).ok()
    expected = {"limit": 67108864, "swap": 134217728, "shares": shares(512), "quota": 50000, "cpus": "0", "pids": 50}
    assert limits.all() == before | {name: value for name, value in expected.items() if name in NAMES}


def test_json_from_a_file(runtime: Runtime, container_id: str, tmp_path: Path) -> None:
    """podman's way; the flags do not count then."""
    file = tmp_path / "resources.json"
    file.write_text('{"pids": {"limit": 33}}')
    before = Limits(container_id).all()
    runtime("update", f"--resources={file}", "--cpu-share", "300", container_id).ok()
    assert Limits(container_id).all() == {**before, "pids": 33}


@pytest.mark.parametrize("text", ["{}", '{"pids":{"limit":0},"memory":{"limit":0,"swap":0},"cpu":{"shares":0}}'])
def test_nothing_asked(runtime: Runtime, container_id: str, text: str) -> None:
    before = Limits(container_id).all()
    runtime("update", "--resources", "-", container_id, input=text.encode()).ok()
    assert Limits(container_id).all() == before


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_devices_are_left_alone(runtime: Runtime, container_id: str, allowed: bool) -> None:
    """Whatever engines send along: what was allowed stays, and what was not; on version 1 a hook's doing as well."""
    limits = Limits(container_id)
    if not IS_V2:
        limits.file("devices", "devices.allow").write_text("c 240:7 rw")
    wanted = {"devices": [{"allow": allowed, "access": "rwm"}], "pids": {"limit": 9}}
    script = 'mknod /tmp/node c 241 7; for node in /dev/null /tmp/node; do sh -c "true <$node" 2>&1; done; true'
    before = runtime("exec", container_id, "sh", "-c", script).ok().out
    runtime("update", "-r", "-", container_id, input=json.dumps(wanted).encode()).ok()
    assert runtime("exec", container_id, "sh", "-c", f"rm /tmp/node; {script}").ok().out == before
    assert "not permitted" in before
    if not IS_V2:
        assert "c 240:7 rw" in limits.file("devices", "devices.list").read_text()
    assert limits["pids"] == 9


BAD_LAST = [("--cpu-quota", "500", "invalid argument")]
if CPUSET:
    BAD_LAST.append(("--cpuset-cpus", "99", "numerical result out of range"))


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
    memory, weight = ("memory.max", "cpu.weight") if IS_V2 else ("memory.limit_in_bytes", "cpu.shares")
    for wanted, words, set_back in (
        ({"memory": {"limit": 30 * MIB}, "pids": {"limit": 1 << 40}}, "pids.max", memory),
        *([({"memory": {"limit": 30 * MIB}, "cpu": {"cpus": "4000"}}, "cpuset.cpus", memory)] if CPUSET else []),
        # Who is idle no more has the default weight, unless it is written again.
        ({"cpu": {"idle": 1}, "pids": {"limit": 1 << 40}}, "pids.max", f"cpu.idle, {weight}"),
    ):
        result = runtime("update", "--resources", "-", container_id, input=json.dumps(wanted).encode())
        assert f"; set back: {set_back}" in result.failed(words).err
        assert Limits(container_id).all() == before


def test_limits_that_cannot_be(runtime: Runtime, container_id: str) -> None:
    before = Limits(container_id).all()
    refused = ["--memory 10M --memory-swap 5M", "--cpuset-cpus 99"]
    if not IS_V2:
        # There the nearest weight is taken, memory is reclaimed, and nothing counts memory and swap together.
        refused += ["--memory 70M", "--memory 4k", "--cpu-share 1", "--cpu-share 262145"]
        result = runtime("update", "--memory", "4k", container_id)
        assert "unable to set memory limit to 4096 (current usage: " in result.err
        for value, said in (
            ("1", "minimum allowed cpu-shares is 2"),
            ("262145", "maximum allowed cpu-shares is 262144"),
        ):
            assert said in runtime("update", "--cpu-share", value, container_id).err
    for words in map(str.split, refused):
        assert runtime("update", *words, container_id).status == 1
    if IS_PYRUNC:  # runc leaves what it had written
        assert Limits(container_id).all() == before


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
    assert Limits(container_id)["pids"] == 8


def test_created_and_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    runtime("update", "--pids-limit", "12", container_id).ok()
    assert Limits(container_id)["pids"] == 12
    assert runtime.state(container_id)["status"] == "created"
    runtime("start", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    runtime("update", "--pids-limit", "10", container_id).failed("container not running")
    for words in (("--pids-limit", "10"), ("--memory", "abc"), ("--resources", "/nonexistent")):
        runtime("update", *words, "nobody").failed("container does not exist")
