"""The small grammars, at random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ocispec.forms import dotted_sysctl_key, is_sysctl_key
from ocispec.spelling import edit_distance


@given(st.text(alphabet="ab./ \n", max_size=12))
def test_no_accepted_sysctl_key_leaves_the_directory(key: str) -> None:
    dotted = dotted_sysctl_key(key)
    path = dotted.translate({ord("."): "/", ord("/"): "."})
    if is_sysctl_key(dotted):
        assert not {"", ".", ".."} & set(path.split("/"))
        assert "\n" not in path


@given(st.text(alphabet="abc", max_size=8), st.text(alphabet="abc", max_size=8))
def test_edit_distance_is_a_distance(left: str, right: str) -> None:
    distance = edit_distance(left, right)
    assert distance == edit_distance(right, left)
    assert (distance == 0) == (left == right)
    assert abs(len(left) - len(right)) <= distance <= max(len(left), len(right))
