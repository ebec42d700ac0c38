"""config-linux.md#network-devices (1.3): one end of a veth pair goes into the container."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duties.container import Box

_numbers = itertools.count()


@pytest.fixture
def pair(box: Box) -> Iterator[tuple[str, str]]:
    """Names of the two ends, in the host's network namespace."""
    number = f"{os.getpid()}x{next(_numbers)}"
    ours, theirs = f"a{number}", f"b{number}"
    box.island.run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs).ok()
    yield ours, theirs
    box.island.run("ip", "link", "del", ours)  # gone with the container's namespace


def inside(box: Box, pid: int, *words: str) -> str:
    return box.island.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words).ok().out


def outside(box: Box, *words: str) -> str:
    return box.island.run("ip", *words).out


def give(box: Box, name: str, new_name: str | None = None) -> None:
    box.linux["netDevices"] = {name: {"name": new_name} if new_name else {}}


@pytest.mark.parametrize("new_name", [None, "eth9"])
def test_listed_devices_are_moved(box: Box, pair: tuple[str, str], new_name: str | None) -> None:
    give(box, pair[1], new_name)
    pid = box.created()
    assert f" {new_name or pair[1]}@" in inside(box, pid, "-o", "link")
    assert f" {pair[1]}@" not in outside(box, "-o", "link")


def test_a_device_that_is_not_there_is_refused(box: Box) -> None:
    give(box, "nosuchdevice0")
    box.refused()


def test_without_a_network_namespace_of_its_own_it_is_refused(box: Box, pair: tuple[str, str]) -> None:
    give(box, pair[1])
    box.without_namespace("network")
    box.config["mounts"] = [row for row in box.mounts if row["type"] != "sysfs"]
    box.refused()
    assert f" {pair[1]}@" in outside(box, "-o", "link")


def test_a_name_that_is_taken_inside_is_refused(box: Box, pair: tuple[str, str]) -> None:
    give(box, pair[1], "lo")
    box.refused()
    assert f" {pair[1]}@" in outside(box, "-o", "link")


def test_a_name_may_be_a_template(box: Box, pair: tuple[str, str]) -> None:
    give(box, pair[1], "eth%d")
    pid = box.created()
    assert " eth0@" in inside(box, pid, "-o", "link")


def test_addresses_and_attributes_are_kept(box: Box, pair: tuple[str, str]) -> None:
    """Global permanent addresses; MTU and hardware address."""
    name = pair[1]
    box.island.run("ip", "link", "set", name, "address", "02:00:00:00:99:01", "mtu", "1400", "up").ok()
    box.island.run("ip", "addr", "add", "10.99.1.2/24", "dev", name).ok()
    box.island.run("ip", "addr", "add", "fd00:99::2/64", "dev", name, "nodad").ok()
    give(box, name)
    pid = box.created()
    text = inside(box, pid, "addr", "show", "dev", name)
    assert "10.99.1.2/24" in text
    assert "fd00:99::2/64" in text
    assert "mtu 1400" in text
    assert "02:00:00:00:99:01" in text


def test_devices_are_up_afterwards(box: Box, pair: tuple[str, str]) -> None:
    give(box, pair[1], "eth0")
    pid = box.created()
    assert ",UP" in inside(box, pid, "-o", "link", "show", "dev", "eth0").replace("<", ",")


def test_devices_are_left_alone_later(box: Box, pair: tuple[str, str]) -> None:
    """What somebody does inside is not undone by any operation."""
    give(box, pair[1], "eth0")
    box.args("sleep", "1000")
    pid = box.created()
    inside(box, pid, "link", "set", "eth0", "down")
    box.start().ok()
    box.state()
    assert ",UP" not in inside(box, pid, "-o", "link", "show", "dev", "eth0").replace("<", ",")


def test_devices_do_not_come_back(box: Box, pair: tuple[str, str]) -> None:
    """The namespace takes them along; the other end of a veth goes too."""
    give(box, pair[1])
    pid = box.created()
    box.kill().ok()
    box.wait(pid)
    box.delete().ok()
    assert pair[1] not in outside(box, "-o", "link")
