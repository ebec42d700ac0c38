"""linux.resources and annotations to properties, by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ocispec.resources import Cpu, read_resources
from pyrunc.cgroups.systemd_names import ScopeName
from pyrunc.cgroups.systemd_properties import (
    INFINITY,
    annotation_properties,
    bit_mask,
    device_properties,
    limit_properties,
    parse_version,
    scope_properties,
    since,
    weight_property,
)
from pyrunc.cgroups.variant_text import parse_variant
from pyrunc.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def limits(document: dict[str, Any], *, only_v2: bool = True) -> dict[str, tuple[str, Any]]:
    return dict(limit_properties(read_resources(document), only_v2=only_v2))


def test_a_scope() -> None:
    scope = ScopeName(slice="a.slice", unit="p-n.scope", name="n")
    assert dict(scope_properties(scope)) == {
        "Description": ("s", "libcontainer container n"),
        "Slice": ("s", "a.slice"),
        "Delegate": ("b", True),
        "MemoryAccounting": ("b", True),
        "CPUAccounting": ("b", True),
        "IOAccounting": ("b", True),
        "TasksAccounting": ("b", True),
        "DefaultDependencies": ("b", False),
        "OOMPolicy": ("s", "continue"),
    }


@pytest.mark.parametrize(
    ("text", "version"),
    [("252.38-1~deb12u1", 252), ("v255-rc1", 255), ("239 (239-82.el8)", 239), ("260", 260), ("", 0), ("main", 0)],
)
def test_versions(text: str, version: int) -> None:
    assert parse_version(text) == version


def test_what_an_older_one_does_not_know() -> None:
    """systemd's NEWS; one word that it does not know and it refuses the whole unit."""
    document = {
        "cpu": {"idle": 1, "shares": 512, "quota": 5000, "period": 50000, "cpus": "0", "mems": "0"},
        "unified": {"memory.zswap.max": "5", "memory.oom.group": "1", "memory.max": "7"},
    }
    first = {name: since((name, value)) for name, value in limits(document).items()}
    assert first == {
        "CPUWeight": 252,
        "CPUQuotaPeriodUSec": 242,
        "CPUQuotaPerSecUSec": 0,
        "AllowedCPUs": 244,
        "AllowedMemoryNodes": 244,
        "MemoryZSwapMax": 253,
        "OOMPolicy": 253,
        "MemoryMax": 0,
    }
    assert since(("CPUWeight", ("t", 100))) == 0


def test_idle_no_more_is_the_weight_there_is(tmp_path: Path) -> None:
    (tmp_path / "cpu.weight").write_text("59\n")
    assert list(weight_property(Cpu(idle=0), str(tmp_path))) == [("CPUWeight", ("t", 59))]
    assert list(weight_property(Cpu(idle=0, shares=1024), str(tmp_path))) == []  # limit_properties has said it


@pytest.mark.parametrize(
    ("document", "v2", "v1"),
    [
        ({}, {}, {}),
        (
            {"memory": {"limit": 100, "reservation": 50, "swap": 150}},
            {"MemoryMax": ("t", 100), "MemoryLow": ("t", 50), "MemorySwapMax": ("t", 50)},
            {"MemoryLimit": ("t", 100)},
        ),
        (
            {"memory": {"limit": -1}},
            {"MemoryMax": ("t", INFINITY), "MemorySwapMax": ("t", INFINITY)},
            {"MemoryLimit": ("t", INFINITY)},
        ),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": ("t", 100)}, {"CPUShares": ("t", 1024)}),
        ({"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": ("t", 0)}, {"CPUShares": ("t", 1024)}),
        ({"cpu": {"shares": 1024, "idle": 0}}, {"CPUWeight": ("t", 100)}, {"CPUShares": ("t", 1024)}),
        ({"pids": {"limit": 7}}, {"TasksMax": ("t", 7)}, {"TasksMax": ("t", 7)}),
        ({"pids": {"limit": -1}}, {"TasksMax": ("t", INFINITY)}, {"TasksMax": ("t", INFINITY)}),
        ({"pids": {"limit": 0}}, {"TasksMax": ("t", 1)}, {"TasksMax": ("t", 1)}),
        ({"blockIO": {"weight": 500}}, {"IOWeight": ("t", 4950)}, {"BlockIOWeight": ("t", 500)}),
        ({"blockIO": {"weight": 5}}, {}, {"BlockIOWeight": ("t", 5)}),
        (
            {"cpu": {"cpus": "0-3,8", "mems": "0"}},
            {"AllowedCPUs": ("ay", b"\x0f\x01"), "AllowedMemoryNodes": ("ay", b"\x01")},
            {},
        ),
    ],
)
def test_limits(document: dict[str, Any], v2: dict[str, Any], v1: dict[str, Any]) -> None:
    assert limits(document) == v2
    assert limits(document, only_v2=False) == v1


@pytest.mark.parametrize(
    ("cpu", "per_second", "period"),
    [
        ({"quota": 50000, "period": 100000}, 500000, 100000),
        ({"quota": 12345}, 130000, None),  # rounded up to a percent
        ({"quota": 5000, "period": 100000}, 50000, 100000),
        ({"quota": 200000, "period": 50000}, 4000000, 50000),
        ({"quota": -1}, INFINITY, None),
        ({"period": 50000}, INFINITY, 50000),
        ({"quota": 1, "period": 3}, 340000, 3),
    ],
)
def test_quotas(cpu: dict[str, int], per_second: int, period: int | None) -> None:
    expected = {"CPUQuotaPerSecUSec": ("t", per_second)} | ({"CPUQuotaPeriodUSec": ("t", period)} if period else {})
    assert limits({"cpu": cpu}) == expected


def test_unified() -> None:
    unified = {"memory.high": "max", "pids.max": "9\n", "cpu.max": "50000 200000", "cpuset.cpus": "1", "io.max": "x"}
    assert limits({"unified": unified}) == {
        "MemoryHigh": ("t", INFINITY),
        "TasksMax": ("t", 9),
        "AllowedCPUs": ("ay", b"\x02"),
        "CPUQuotaPeriodUSec": ("t", 200000),
        "CPUQuotaPerSecUSec": ("t", 250000),
    }
    assert limits({"unified": {"cpu.idle": "1\n"}}) == {"CPUWeight": ("t", 0)}
    assert limits({"unified": {"cpu.idle": "0", "memory.oom.group": "0"}}) == {"OOMPolicy": ("s", "continue")}
    assert limits({"unified": {"memory.oom.group": "1"}}) == {"OOMPolicy": ("s", "kill")}
    assert limits({"unified": {"cpu.max": "max 100000"}})["CPUQuotaPerSecUSec"] == ("t", INFINITY)


@pytest.mark.parametrize("unified", [{"memory.high": "much"}, {"pids.max": "-2"}, {"cpu.max": "1 x"}])
def test_unified_that_is_none(unified: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="neither a number nor max"):
        limits({"unified": unified})


@pytest.mark.parametrize("cpus", ["", "a", "3-1", "0-99999", "1-", "0,,1", "-1"])
def test_cpus_that_are_none(cpus: str) -> None:
    with pytest.raises(ConfigError):
        bit_mask(cpus)


def devices(*rules: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return dict(device_properties(read_resources({"devices": list(rules)}).devices))


def test_devices_are_an_allow_list_with_the_default_ones() -> None:
    found = devices(
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
    )
    assert found["DevicePolicy"] == ("s", "strict")
    signature, entries = found["DeviceAllow"]
    assert signature == "a(ss)"
    for entry in (
        ("/dev/char/10:229", "rw"),
        ("block-8", "r"),
        ("char-*", "m"),
        ("block-*", "m"),
        ("/dev/char/1:3", "rwm"),
        ("char-136", "rwm"),
    ):
        assert entry in entries
    assert len(entries) == 13


def test_everything_allowed_is_no_policy() -> None:
    found = devices({"allow": True, "access": "rwm"})
    assert found == {"DevicePolicy": ("s", "auto"), "DeviceAllow": ("a(ss)", [])}


def test_no_rules_are_the_default_devices_alone() -> None:
    assert len(devices()["DeviceAllow"][1]) == 11


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("CollectMode", "'inactive'", ("CollectMode", ("s", "inactive"))),
        ("TimeoutStopSec", "5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopSec", "uint64 5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopSec", "0.5", ("TimeoutStopUSec", ("t", 500_000))),
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", ("t", 5))),
        ("MemoryMax", "uint64 9", ("MemoryMax", ("t", 9))),
        ("SendSIGHUP", "true", ("SendSIGHUP", ("b", True))),
        ("After", "['a.service', 'b.service']", ("After", ("as", ["a.service", "b.service"]))),
    ],
)
def test_annotations(key: str, text: str, expected: tuple[str, Any]) -> None:
    found = list(annotation_properties({"org.other": "x", f"org.systemd.property.{key}": text}))
    assert found == [expected]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("ab", "1"),
        ("A/B", "1"),
        ("Memory1", "1"),
        ("MemoryMax", "uint64 -1"),
        ("MemoryMax", "1.5"),
        ("XSec", "-1"),
        ("XSec", "'1'"),
        ("XSec", "1e300"),
        ("X" * 3, ""),
    ],
)
def test_annotations_that_are_none(key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"annotations: org\.systemd\.property"):
        list(annotation_properties({f"org.systemd.property.{key}": text}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", ("i", 5)),
        (" -5 ", ("i", -5)),
        ("0x10", ("i", 16)),
        ("byte 255", ("y", 255)),
        ("int64 -9", ("x", -9)),
        ("uint32 9", ("u", 9)),
        ("false", ("b", False)),
        ('"a\\"b\\n"', ("s", 'a"b\n')),
        ("objectpath '/a'", ("o", "/a")),
        ("@as []", ("as", [])),
        ("[uint64 1, 2]", ("at", [1, 2])),
        ("[('/dev/null', 'rw'), ('/dev/zero', 'r')]", ("a(ss)", [("/dev/null", "rw"), ("/dev/zero", "r")])),
        ("('a',)", ("(s)", ("a",))),
        ("1.5", ("d", 1.5)),
    ],
)
def test_variants(text: str, expected: tuple[str, Any]) -> None:
    assert parse_variant(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "'a", "[1, 'a']", "[", "[]", "()", "1 2", "byte 256", "uint64 'a'", "{'a': 1}", "<1>", "@", "[" * 50,
     "true1", "boolean 1", "4294967296", "[(1, 2), (1, 'a')]", "1.2.3", "'\\"],
)  # fmt: skip
def test_variants_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="GVariant"):
        parse_variant(text)
