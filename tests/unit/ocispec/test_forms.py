"""The small grammars, and the guesses about misspelt words."""

from __future__ import annotations

import pytest

from ocispec.forms import (
    dotted_sysctl_key,
    is_interface_name,
    is_page_size,
    is_sysctl_key,
    major_version,
    parse_number_list,
)
from ocispec.spelling import closest, edit_distance


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("1.0.0", 1),
        ("1.0.2-dev", 1),
        ("1.0.0-rc.1+20130313144700", 1),
        ("1.0.0+build-5", 1),
        ("10.20.30", 10),
        ("0.0.0", 0),
        ("", None),
        ("1", None),
        ("1.0", None),
        ("1.0.0.0", None),
        ("01.0.0", None),
        ("1.0.0-", None),
        ("1.0.0-a..b", None),
        ("1.0.0+", None),
        ("v1.0.0", None),
        (" 1.0.0", None),
        ("1.0.0\n", None),
        ("1.0.-1", None),
        ("1.0.\u0665", None),
        ("1.0.0-\u00e9", None),
        ("1.0." + "9" * 5000, None),
    ],
)
def test_major_version(text: str, major: int | None) -> None:
    assert major_version(text) == major


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", ()),
        (" ", ()),
        ("0", ((0, 0),)),
        ("0-3, 7", ((0, 3), (7, 7))),
        ("3-3", ((3, 3),)),
        ("3-1", None),
        ("a", None),
        ("1,", None),
        ("-1", None),
        ("1-", None),
        ("1\n2", None),
        ("\u0661", None),
        ("9" * 5000, None),
    ],
)
def test_number_lists(text: str, ranges: tuple[tuple[int, int], ...] | None) -> None:
    assert parse_number_list(text) == ranges


@pytest.mark.parametrize(
    ("key", "dotted"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/conf/eth0.1/x", "net.ipv4.conf.eth0/1.x"),
        ("net.ipv4.conf.eth0/1.x", "net.ipv4.conf.eth0/1.x"),
        ("kernel", "kernel"),
    ],
)
def test_dotted_sysctl_keys(key: str, dotted: str) -> None:
    assert dotted_sysctl_key(key) == dotted
    assert dotted_sysctl_key(dotted) == dotted


@pytest.mark.parametrize("key", ["", ".a", "a..b", "a.//.b", "../a", "a/../b", "a\nb"])
def test_sysctl_keys_that_leave_the_directory(key: str) -> None:
    assert not is_sysctl_key(dotted_sysctl_key(key))


def test_page_sizes() -> None:
    for good in ("2MB", "64KB", "1GB"):
        assert is_page_size(good)
    for bad in ("", "MB", "2M", "02MB", "0MB", "2MB/", "../2MB", "-2MB", "2 MB", "2mb"):
        assert not is_page_size(bad)


def test_interface_names() -> None:
    for good in ("eth0", "a", "x" * 15, "e%d", "\u00e9"):
        assert is_interface_name(good)
    for bad in ("", ".", "..", "a/b", "a:b", "a b", "a\tb", "x" * 16, "\u00e9" * 8):
        assert not is_interface_name(bad)


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("proces", ("process", "root"), "process"),
        ("Process", ("process", "root"), "process"),
        ("prcoess", ("process", "root"), "process"),
        ("rot", ("process", "root"), "root"),
        ("nothing", ("process", "root"), ""),
        ("", ("process", "root"), ""),
        ("p" * 100, ("p" * 99,), ""),
    ],
)
def test_closest(word: str, known: tuple[str, ...], meant: str) -> None:
    assert closest(word, known) == meant


def test_edit_distance_counts_a_swap_once() -> None:
    assert edit_distance("ab", "ba") == 1
    assert edit_distance("kitten", "sitting") == 3
