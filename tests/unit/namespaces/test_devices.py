"""Network devices as values: free names, which addresses go along, the messages; tests/cli has the kernel."""

from __future__ import annotations

from _struct import Struct

import pytest

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    IFA_F_PERMANENT,
    IFA_F_TENTATIVE,
    IFA_FLAGS,
    IFA_LABEL,
    NLMSG_DONE,
    RT_SCOPE_UNIVERSE,
)
from pyrunc.kernel.netlink import HEADER, _messages, attribute, attributes
from pyrunc.namespaces.devices import Link, free_name, is_kept, moved_address

ADDRESS = Struct("=BBBBI")
IFA_LOCAL, IFA_F_NODAD, LINK_SCOPE = 2, 0x02, 253


def address(*, index: int = 7, scope: int = RT_SCOPE_UNIVERSE, low: int = 0, wide: int | None = None) -> bytes:
    content = ADDRESS.pack(2, 24, low, scope, index) + attribute(IFA_LOCAL, bytes((192, 0, 2, 7)))
    content += attribute(IFA_LABEL, b"left:x\0")
    return content if wide is None else content + attribute(IFA_FLAGS, wide.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("wanted", "taken", "found"),
    [
        ("eth0", {"lo"}, "eth0"),
        ("eth%d", {"lo"}, "eth0"),
        ("eth%d", {"eth0", "eth1", "eth3"}, "eth2"),
        ("a%db", {"a0b"}, "a1b"),
    ],
)
def test_free_name(wanted: str, taken: set[str], found: str) -> None:
    assert free_name(wanted, frozenset(taken)) == found


@pytest.mark.parametrize(
    ("wanted", "words"), [("lo", 'has a device "lo" already'), ("e%s", "must have one %d"), ("e%d%d", "must have one")]
)
def test_no_free_name(wanted: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        free_name(wanted, frozenset({"lo"}))


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (address(low=IFA_F_PERMANENT), True),
        (address(wide=IFA_F_PERMANENT), True),
        (address(low=IFA_F_PERMANENT, wide=0), False),
        (address(low=0), False),
        (address(low=IFA_F_PERMANENT, scope=LINK_SCOPE), False),
        (address(low=IFA_F_PERMANENT, index=8), False),
    ],
)
def test_which_addresses_are_kept(content: bytes, kept: bool) -> None:
    assert is_kept(content, 7) is kept


def test_an_address_follows_its_device() -> None:
    """New index and label; what the kernel says about it is not asked for, what the user wanted is."""
    found = moved_address(
        address(wide=IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_NODAD), Link(name="eth0", index=3, is_up=False), "left"
    )
    assert ADDRESS.unpack_from(found) == (2, 24, IFA_F_NODAD, RT_SCOPE_UNIVERSE, 3)
    rest = attributes(found[ADDRESS.size :])
    assert rest == {IFA_LOCAL: bytes((192, 0, 2, 7)), IFA_LABEL: b"eth0:x\0", IFA_FLAGS: b"\2\0\0\0"}


def test_a_label_is_never_too_long() -> None:
    found = moved_address(address(low=IFA_F_PERMANENT), Link(name="a" * 15, index=3, is_up=False), "left")
    assert attributes(found[ADDRESS.size :])[IFA_LABEL] == b"a" * 15 + b"\0"


def test_attributes_are_padded_to_four_bytes() -> None:
    content = attribute(1, b"abc") + attribute(0x8002, b"")
    assert content == b"\7\0\1\0abc\0\4\0\2\x80"
    assert attributes(content) == {1: b"abc", 2: b""}


def test_several_messages_in_one_read() -> None:
    content = HEADER.pack(18, 16, 0, 5, 0) + b"ab" + b"\0\0" + HEADER.pack(16, NLMSG_DONE, 0, 5, 0)
    assert list(_messages(content)) == [(16, 5, b"ab"), (NLMSG_DONE, 5, b"")]


@pytest.mark.parametrize("content", [b"", b"\0" * 15, bytes(16), HEADER.pack(0, 1, 0, 1, 0) * 3])
def test_lengths_that_lie_end(content: bytes) -> None:
    assert len(list(_messages(content))) <= 3
    assert len(attributes(content)) <= 4
