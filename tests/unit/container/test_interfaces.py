"""Network statistics: /proc/PID/net/dev as the kernel writes it."""

from __future__ import annotations

import os

from pyrunc.container.interfaces import parse_interfaces, read_interfaces

HEADINGS = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop …\n"
LOOPBACK = "    lo: 648 8 0 0 0 0 0 0 648 8 0 0 0 0 0 0\n"
ETHERNET = "eth0:1:   1 2 3 4 5 6 7 8   9 10 11 12 13 14 15 16\n"


def test_columns() -> None:
    found = parse_interfaces(HEADINGS + LOOPBACK + ETHERNET)
    assert found == [
        {
            "Name": "eth0:1", "RxBytes": 1, "RxPackets": 2, "RxErrors": 3, "RxDropped": 4,
            "TxBytes": 9, "TxPackets": 10, "TxErrors": 11, "TxDropped": 12,
        }
    ]  # fmt: skip


def test_the_host_s_own_are_not_the_container_s() -> None:
    assert read_interfaces(os.getpid()) is None


def test_nobody() -> None:
    assert read_interfaces(1 << 22) is None
