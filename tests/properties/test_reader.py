"""A config with anything at any place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocispec.config import read_config
from ocispec.reader import SpecError
from unit.ocispec.full import FULL

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, item in items for leaf in leaves(item, (*path, key)))]


PLACES = leaves(FULL)[1:]


@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
@example([(("linux", "maskedPaths", 0), None)])
def test_nothing_but_spec_errors(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Whatever stands anywhere in a config is accepted or refused in printable words, and all at once too."""
    document = copy.deepcopy(FULL)
    for path, value in changes:
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key] if isinstance(inner, list | dict) and key in keys_of(inner) else {}
        if isinstance(inner, dict | list) and path[-1] in keys_of(inner):
            inner[path[-1]] = value
    problems: list[SpecError] = []
    warnings: list[str] = []
    read_config(document, warnings, problems=problems)
    assert all(text.isprintable() for text in [*warnings, *map(str, problems)])
    if problems:
        with pytest.raises(SpecError) as caught:
            read_config(document)
        assert str(caught.value) == str(problems[0])
    else:
        assert read_config(document).oci_version == "1.3.0" or document["ociVersion"] != "1.3.0"


def keys_of(value: Any) -> Any:
    return value.keys() if isinstance(value, dict) else range(len(value))
