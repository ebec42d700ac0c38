"""The time namespace and linux.timeOffsets (config-linux.md#offset-for-time-namespace); runc 1.1 has neither."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only("runc 1.1 knows no time namespace")
DAYS = 86400


def offsets(bundle: Bundle, **clocks: dict[str, int]) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = clocks


def host_uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def uptime(text: str) -> float:
    return float(text.split()[0])


def test_offsets_as_the_kernel_has_them(runtime: Runtime, bundle: Bundle) -> None:
    offsets(bundle, monotonic={"secs": 3 * DAYS, "nanosecs": 7}, boottime={"secs": 9 * DAYS})
    lines = [line.split() for line in runtime.script(bundle, "cat /proc/self/timens_offsets").splitlines()]
    assert lines == [["monotonic", str(3 * DAYS), "7"], ["boottime", str(9 * DAYS), "0"]]


def test_backwards(runtime: Runtime, bundle: Bundle) -> None:
    offsets(bundle, boottime={"secs": -5})
    assert -6.5 < uptime(runtime.script(bundle, "cat /proc/uptime")) - host_uptime() < -3.5


def test_a_namespace_without_offsets(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    inside = runtime.script(bundle, "readlink /proc/self/ns/time").strip()
    assert inside != os.readlink("/proc/self/ns/time")


def test_exec_is_in_it(runtime: Runtime, bundle: Bundle) -> None:
    offsets(bundle, boottime={"secs": 100 * DAYS})
    bundle.args("sleep", "60")
    container_id = runtime.run_detached(bundle)
    found = uptime(runtime("exec", container_id, "cat", "/proc/uptime").ok().out)
    assert abs(found - host_uptime() - 100 * DAYS) < 10


def test_with_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    offsets(bundle, boottime={"secs": 100 * DAYS})
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    for directory in (bundle.path, *bundle.path.parents):
        directory.chmod(directory.stat().st_mode | 0o111)
    found = uptime(runtime.script(bundle, "cat /proc/uptime"))
    assert abs(found - host_uptime() - 100 * DAYS) < 10


def test_joined_by_path(runtime: Runtime, bundle: Bundle) -> None:
    offsets(bundle, boottime={"secs": 100 * DAYS})
    bundle.args("sleep", "60")
    pid = runtime.state(runtime.run_detached(bundle))["pid"]
    del bundle.linux["timeOffsets"]
    bundle.namespace("time", f"/proc/{pid}/ns/time")
    out = runtime.script(bundle, "readlink /proc/self/ns/time; cat /proc/uptime").splitlines()
    assert out[0] == os.readlink(f"/proc/{pid}/ns/time")
    assert abs(uptime(out[1]) - host_uptime() - 100 * DAYS) < 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"namespace": None}, "time namespace offsets specified, but time namespace isn't enabled"),
        ({"namespace": "/proc/self/ns/time"}, "must not be given for a time namespace joined by path"),
        ({"clock": "realtime"}, 'must be one of monotonic, boottime, not "realtime"'),
        ({"nanosecs": 10**9}, "must be from 0 to 999999999"),
        ({"secs": -(1 << 40)}, "linux.timeOffsets: set the offsets of its clocks: ERANGE"),
    ],
)
def test_what_cannot_be(runtime: Runtime, bundle: Bundle, change: dict[str, Any], words: str) -> None:
    bundle.linux["timeOffsets"] = {
        change.get("clock", "boottime"): {"secs": change.get("secs", 1), "nanosecs": change.get("nanosecs", 0)}
    }
    if "namespace" not in change:
        bundle.namespace("time")
    elif change["namespace"]:
        bundle.namespace("time", change["namespace"])
    assert words in runtime.run(bundle).failed().err.replace('\\"', '"')
    assert not Path(runtime.state_root / runtime.ids[-1]).exists()
