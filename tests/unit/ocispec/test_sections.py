"""Which section of the spec speaks of a place."""

from __future__ import annotations

import pytest

from ocispec.sections import section_of, split_place, without_indexes


@pytest.mark.parametrize(
    ("place", "section"),
    [
        ("", "config.md"),
        ("ociVersion", "config.md#specification-version"),
        ("mounts[3].options[1]", "config.md#linux-mount-options"),
        ("mounts[3]", "config.md#mounts"),
        ("process.capabilities.bounding[0]", "config.md#linux-process"),
        ("linux.resources.memory.swap", "config-linux.md#memory"),
        ("linux.resources", "config-linux.md#control-groups"),
        ('linux.sysctl["net.a[0].b"]', "config-linux.md#sysctl"),
        ('linux.netDevices["a\\"].b"].name', "config-linux.md#network-devices"),
        ("linux.noSuchThing", "config-linux.md"),
        ("noSuchThing", "config.md"),
    ],
)
def test_section(place: str, section: str) -> None:
    assert section_of(place) == section


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mounts[3].type: is missing", ("mounts[3].type", "is missing")),
        ('linux.sysctl["a: b"]: is odd: very', ('linux.sysctl["a: b"]', "is odd: very")),
        ("mounts[3] /proc: mount proc: EPERM", ("mounts[3]", "/proc: mount proc: EPERM")),
        ("SCMP_ACT_NOTIFY cannot be used", ("", "SCMP_ACT_NOTIFY cannot be used")),
        ("must be an object, not 7", ("", "must be an object, not 7")),
        ("", ("", "")),
    ],
)
def test_split_place(text: str, found: tuple[str, str]) -> None:
    assert split_place(text) == found


def test_a_place_that_nobody_knows() -> None:
    text = "proces: unknown key, ignoring"
    assert split_place(text) == ("", text)
    assert split_place(text, may_be_unknown=True) == ("proces", "unknown key, ignoring")


def test_without_indexes() -> None:
    assert without_indexes('a[0].b["x.y[\\"]"].c') == "a.b.c"
