"""Lists of device rules: random ones, and what each means, worked out the slow way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ocispec.resources import DeviceRule
from pyrunc.cgroups.devices import ANY, DEFAULT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAJORS, MINORS = (1, 5, 8, 136, 511), (0, 2, 3, 4)

RULES = st.lists(
    st.builds(
        DeviceRule,
        allow=st.booleans(),
        type=st.sampled_from(["", "a", "b", "c", "c"]),
        major=st.sampled_from([None, None, 1, 5, 8]),
        minor=st.sampled_from([None, 0, 2, 3]),
        access=st.sampled_from(["r", "w", "m", "rw", "rwm", "rwm", "wr"]),
    ),
    max_size=6,
)


def rule(allow: bool, text: str) -> DeviceRule:
    """`c 1:* rw`."""
    kind, numbers, access = text.split()
    major, minor = (None if n == "*" else int(n) for n in numbers.split(":"))
    return DeviceRule(allow=allow, type=kind, major=major, minor=minor, access=access)


def may_by_the_list(rules: Sequence[DeviceRule], kind: str, major: int, minor: int, letter: str) -> bool:
    """The last rule that speaks of the access decides; the default devices come last."""
    numbers = [(True, *key, letters) for key, letters in DEFAULT_ALLOWED]
    listed = [
        (r.allow, r.type or "a", ANY if r.major is None else r.major, ANY if r.minor is None else r.minor, r.access)
        for r in rules
    ]
    answer = False
    for allow, of_kind, of_major, of_minor, letters in (*listed, *numbers):
        if of_kind in ("a", kind) and of_major in (ANY, major) and of_minor in (ANY, minor) and letter in letters:
            answer = allow
    return answer


def devices() -> Iterator[tuple[str, int, int]]:
    for kind in "bc":
        for major in MAJORS:
            for minor in MINORS:
                yield kind, major, minor
