"""Our schemas against the official ones, which Debian has in golang-github-opencontainers-specs-dev.

Path by path; every difference must be explained in official_differences.toml, and every explanation be needed.
`make setup` installs the package (tests/packages.txt).
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyrunc.commands.validate import SCHEMAS
from unit.ocispec.flatten import Schemas

PACKAGE = "golang-github-opencontainers-specs-dev"
OTHER_PLATFORMS = ("/windows", "/solaris", "/vm", "/zos", "/freebsd")
KINDS = ("config", "state")  # the package is older than the features document
EXPLAINED = tomllib.loads((Path(__file__).parent / "official_differences.toml").read_text())["difference"]

Difference = tuple[str, str, Any, Any]  # path, fact (or "only"), official, ours


@cache
def official_directory() -> Path:
    listed = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=False)
    assert listed.returncode == 0, f"{PACKAGE} is not installed: run make setup"
    return next(Path(line).parent for line in listed.stdout.splitlines() if line.endswith("/config-schema.json"))


@cache
def differences(kind: str) -> list[Difference]:
    official = Schemas(official_directory()).flatten(f"{kind}-schema.json")
    ours = Schemas(SCHEMAS).flatten(f"{kind}.schema.json")
    return compare(official, ours)


def compare(official: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> list[Difference]:
    found: list[Difference] = []
    for path in sorted(official.keys() | ours.keys()):
        if path.startswith(OTHER_PLATFORMS):
            continue
        if path not in official or path not in ours:
            found.append((path, "only", path in official, path in ours))
            continue
        theirs, mine = official[path], ours[path]
        facts = sorted(theirs.keys() | mine.keys())
        found += [
            (path, fact, theirs.get(fact), mine.get(fact)) for fact in facts if theirs.get(fact) != mine.get(fact)
        ]
    return found


def explains(entry: dict[str, Any], difference: Difference) -> bool:
    path, fact, official, ours = difference
    if not matches(entry["path"], path):
        return False
    if "only" in entry:
        return fact == "only" and {"ours": ours, "official": official}[entry["only"]]
    if fact == "only" or not matches(entry["fact"], fact):
        return False
    if "added" in entry:
        return sorted([*(official or []), *entry["added"]], key=str) == ours
    return all(entry[key] == value for key, value in (("official", official), ("ours", ours)) if key in entry)


def matches(pattern: str, text: str) -> bool:
    """`*` stands for anything, all else for itself."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_every_difference_is_explained(kind: str) -> None:
    unexplained = [d for d in differences(kind) if not any(explains(entry, d) for entry in EXPLAINED)]
    assert unexplained == []


def test_every_explanation_explains_one() -> None:
    every = [difference for kind in KINDS for difference in differences(kind)]
    unused = [entry for entry in EXPLAINED if not any(explains(entry, difference) for difference in every)]
    assert unused == []
    assert all(entry["reason"] for entry in EXPLAINED)


def test_the_official_schemas_are_read_whole() -> None:
    table = Schemas(official_directory()).flatten("config-schema.json")
    assert len(table) > 300
    assert table["/linux/seccomp/syscalls/[]"]["required"] == ["action", "names"]
    assert table["/process/user/uid"]["maximum"] == 4294967295


def test_no_type_differs() -> None:
    assert [d for kind in KINDS for d in differences(kind) if d[1] == "type"] == []


def test_a_difference_is_seen() -> None:
    left = {"/a": {"type": "string"}, "/b": {}}
    assert compare(left, {"/a": {"type": "integer"}, "/c": {}}) == [
        ("/a", "type", "string", "integer"),
        ("/b", "only", True, False),
        ("/c", "only", False, True),
    ]
    assert compare(left, left) == []
    assert not explains({"path": "/a", "only": "ours"}, ("/a", "only", True, False))
    assert not explains({"path": "/a", "fact": "enum", "added": ["x"]}, ("/a", "enum", ["y"], ["x", "y", "z"]))
