"""Capability names -> masks -> operations."""

from __future__ import annotations

import subprocess
import sys
from _struct import Struct
from pathlib import Path

import pytest

from ocispec.config import Capabilities
from pyrunc.kernel.constants import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
)
from pyrunc.program.builder import Program
from pyrunc.program.simulator import simulate
from pyrunc.security.capabilities import (
    CapabilitySets,
    emit_ambient,
    emit_bounding,
    emit_sets,
    names_of,
    resolve,
)
from pyrunc.security.capability_names import CAPABILITY_NAMES

LAST = len(CAPABILITY_NAMES) - 1
TOP = Path(__file__).resolve().parents[3]


def test_the_names_are_those_of_the_header() -> None:
    subprocess.run([sys.executable, TOP / "csrc/capability_names.py", "--check"], check=True)
    assert CAPABILITY_NAMES[0] == "CAP_CHOWN"
    assert CAPABILITY_NAMES[21] == "CAP_SYS_ADMIN"
    assert CAPABILITY_NAMES[40] == "CAP_CHECKPOINT_RESTORE"


def test_no_capabilities_are_none() -> None:
    assert resolve(None, LAST) == CapabilitySets()
    assert resolve(Capabilities(), LAST) == CapabilitySets()


def test_each_set_is_its_own() -> None:
    sets = resolve(
        Capabilities(
            bounding=("CAP_CHOWN", "CAP_KILL"),
            effective=("CAP_KILL",),
            permitted=("CAP_CHOWN",),
            inheritable=("CAP_BPF",),
            ambient=(),
        ),
        LAST,
    )
    assert (sets.bounding, sets.effective, sets.permitted) == (1 | 1 << 5, 1 << 5, 1)
    assert (sets.inheritable, sets.ambient, sets.warnings) == (1 << 39, 0, ())


def test_inheritable_is_never_filled_up() -> None:
    """CVE-2022-29162: inheritable capabilities that nobody asked for."""
    everything = Capabilities(bounding=CAPABILITY_NAMES, effective=CAPABILITY_NAMES, permitted=CAPABILITY_NAMES)
    assert resolve(everything, LAST).inheritable == 0


def test_unknown_ones_are_ignored_with_runcs_warning_once() -> None:
    names = ("CAP_FOO", "CAP_CHOWN", "CAP_BAR", "chown")
    sets = resolve(Capabilities(bounding=names, permitted=names), LAST)
    assert (sets.bounding, sets.permitted) == (1, 1)
    assert sets.warnings == ("ignoring unknown or unavailable capabilities: [CAP_BAR CAP_FOO chown]",)


def test_what_this_kernel_lacks_is_unavailable() -> None:
    sets = resolve(Capabilities(bounding=("CAP_BPF", "CAP_AUDIT_READ")), 37)
    assert sets.bounding == 1 << 37
    assert sets.warnings == ("ignoring unknown or unavailable capabilities: [CAP_BPF]",)


@pytest.mark.parametrize("missing", ["permitted", "inheritable"])
def test_ambient_ones_that_cannot_be_raised_are_a_warning(missing: str) -> None:
    given = {"permitted": ("CAP_CHOWN", "CAP_KILL"), "inheritable": ("CAP_CHOWN", "CAP_KILL")} | {
        missing: ("CAP_KILL",)
    }
    sets = resolve(Capabilities(ambient=("CAP_CHOWN", "CAP_KILL"), **given), LAST)
    assert sets.ambient == 1 << 5
    assert sets.warnings == ("can't raise ambient capability CAP_CHOWN: operation not permitted",)


def test_bounding_drops_all_others_up_to_the_last() -> None:
    p = Program()
    emit_bounding(p, CapabilitySets(bounding=0b101), 4)
    assert simulate(p).calls("prctl") == [(PR_CAPBSET_DROP, number) for number in (1, 3, 4)]


def test_a_newer_kernels_capabilities_are_dropped_too() -> None:
    p = Program()
    emit_bounding(p, CapabilitySets(bounding=(1 << LAST + 1) - 1), LAST + 2)
    assert simulate(p).calls("prctl") == [(PR_CAPBSET_DROP, LAST + 1), (PR_CAPBSET_DROP, LAST + 2)]


def test_capset_has_low_and_high_words() -> None:
    p = Program()
    sets = CapabilitySets(effective=1 | 1 << 33, permitted=1 << 31 | 1 << 32, inheritable=1 << 40)
    emit_sets(p, sets, kept=1 << 21)
    ((header, data),) = simulate(p).calls("capset")
    assert header == Struct("<Ii").pack(0x20080522, 0)
    assert Struct("<6I").unpack(data) == (1 | 1 << 21, 1 << 31 | 1 << 21, 0, 1 << 1, 1, 1 << 8)


def test_ambient_is_cleared_then_raised() -> None:
    p = Program()
    emit_ambient(p, CapabilitySets(ambient=1 << 3 | 1 << 10))
    assert simulate(p).calls("prctl") == [
        (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
        (PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 3, 0, 0),
        (PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0),
    ]


def test_names_of() -> None:
    assert names_of(0b100001) == ("CAP_CHOWN", "CAP_KILL")


def test_what_cannot_be_granted_is_a_warning() -> None:
    """config.md#linux-process: "cannot be granted otherwise" is to be logged, and no error."""
    asked = Capabilities(bounding=("CAP_CHOWN", "CAP_KILL"), permitted=("CAP_KILL",), ambient=("CAP_KILL",))
    sets = resolve(asked, LAST, available=1 << 0)
    assert (sets.bounding, sets.permitted, sets.ambient) == (1 << 0, 0, 0)
    assert sets.warnings == ("ignoring unknown or unavailable capabilities: [CAP_KILL]",)
