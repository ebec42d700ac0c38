"""Every error of the reader and of the checks: the place, the words, and that the right neighbour passes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ocispec.checks import CONFIG_CHECKS
from ocispec.checks_of_linux import sysctl_owner
from ocispec.checks_of_process import PROCESS_CHECKS
from ocispec.checks_of_resources import RESOURCES_CHECKS
from ocispec.config import read_config, read_process
from ocispec.reader import MOST_WARNINGS, Reader, SpecError, shown
from ocispec.resources import read_resources
from unit.ocispec.full import FULL
from unit.ocispec.minimal import config_with, minimal
from unit.ocispec.wrong import RULES, VALUES


def names() -> list[str]:
    return [f"{where}-{index}" for index, (_place, _value, where, _words) in enumerate(VALUES)]


@pytest.mark.parametrize(("place", "value", "where", "words"), VALUES, ids=names())
def test_wrong_value(place: str, value: object, where: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_config(config_with(place, value))
    assert caught.value.path == where
    assert words in caught.value.problem
    assert str(caught.value) == f"{where}: {caught.value.problem}"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("rule", RULES)
def test_rule_between_keys(rule: str) -> None:
    wrong, right, where, words, _in_schema = RULES[rule]
    with pytest.raises(SpecError) as caught:
        read_config(wrong)
    assert (caught.value.path, words in caught.value.problem) == (where, True), str(caught.value)
    assert read_config(right).oci_version == "1.3.0"


@pytest.mark.parametrize("document", [None, [], "x", 7, True])
def test_document_must_be_an_object(document: object) -> None:
    with pytest.raises(SpecError) as caught:
        read_config(document)
    assert str(caught.value) == f"must be an object, not {shown(document)}"


def test_every_check_is_in_a_table_and_refuses_something() -> None:
    """Each check is taken away in turn: some wrong config must then pass the remaining ones."""
    wrong = [rule[0] for rule in RULES.values()] + [config_with(place, value) for place, value, *_ in VALUES]
    configs = [config for document in wrong if (config := parsed(document)) is not None]
    for check in CONFIG_CHECKS:
        assert any(list(check(config)) for config in configs), check.__name__
    for process_check in PROCESS_CHECKS:
        assert any(c.process is not None and list(process_check(c.process)) for c in configs), process_check.__name__
    for resources_check in RESOURCES_CHECKS:
        found = [c for c in configs if c.linux.resources is not None and list(resources_check(c.linux.resources))]
        assert found, resources_check.__name__


def parsed(document: dict[str, Any]) -> Any:
    """The record before the checks; None when it cannot be read at all."""
    from ocispec.config import parse_config

    try:
        return parse_config(Reader(document))
    except SpecError:
        return None


def test_all_problems_at_once() -> None:
    document = minimal()
    document["process"] = {"args": [], "cwd": 7, "user": "root", "rlimits": [{}], "env": [1, "A=b", None]}
    document["mounts"] = [{"destination": 1}, "x"]
    document["root"] = 3
    problems: list[SpecError] = []
    read_config(document, problems=problems)
    assert [error.path for error in problems] == [
        "root",
        "process.args",
        "process.cwd",
        "process.user",
        "process.env[0]",
        "process.env[2]",
        "process.rlimits[0].type",
        "process.rlimits[0].soft",
        "process.rlimits[0].hard",
        "mounts[0].destination",
        "mounts[1]",
    ]


def test_all_problems_between_keys_at_once() -> None:
    document = config_with("hostname", "h" * 65)
    document["process"]["rlimits"] = [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}] * 2
    problems: list[SpecError] = []
    read_config(document, problems=problems)
    assert [error.path for error in problems] == [
        "process.rlimits[0]",
        "process.rlimits[1].type",
        "process.rlimits[1]",
        "hostname",
    ]


def test_places_of_bare_documents() -> None:
    with pytest.raises(SpecError, match=r"^user\.uid: must be an integer"):
        read_process({"args": ["sh"], "cwd": "/", "user": {"uid": "x"}})
    with pytest.raises(SpecError, match=r"^rlimits\[0\]: soft limit"):
        read_process({"args": ["sh"], "cwd": "/", "rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]})
    with pytest.raises(SpecError, match=r"^cpu\.burst: must not be above"):
        read_resources({"cpu": {"quota": 1, "burst": 2}})
    with pytest.raises(SpecError, match=r"^pids: must be an object"):
        read_resources({"pids": 7})


def test_null_is_absent() -> None:
    document = minimal()
    for key in ("mounts", "hooks", "annotations", "hostname"):
        document[key] = None
    document["process"]["rlimits"] = None
    document["linux"]["seccomp"] = None
    document["linux"]["resources"] = {"memory": {"limit": None}, "unified": None}
    assert read_config(document) == read_config({**minimal(), "linux": {**document["linux"]}})


def test_keys_match_exactly() -> None:
    document = minimal()
    document["process"]["CWD"] = document["process"].pop("cwd")
    warnings: list[str] = []
    with pytest.raises(SpecError, match=r"^process\.cwd: is missing"):
        read_config(document, warnings)


def test_unknown_keys_are_warnings() -> None:
    document = minimal()
    document["proces"] = 1
    document["x\ny"] = 1
    document["process"]["capabilites"] = {}
    document["linux"]["namespaces"][0]["Path"] = "/x"
    document["linux"]["sysctl"] = {"net.something.odd": "1"}
    warnings: list[str] = []
    before = copy.deepcopy(document)
    config = read_config(document, warnings)
    assert warnings == [
        "process.capabilites: unknown key, ignoring (did you mean capabilities?)",
        "linux.namespaces[0].Path: unknown key, ignoring (did you mean path?)",
        "proces: unknown key, ignoring (did you mean process?)",
        '["x\\ny"]: unknown key, ignoring',
    ]
    assert document == before
    assert config == read_config(document)


def test_a_file_full_of_unknown_keys_takes_no_time() -> None:
    document = {**minimal(), **{f"procces{number}": 1 for number in range(100_000)}}
    warnings: list[str] = []
    read_config(document, warnings)
    assert len(warnings) == MOST_WARNINGS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", '"plain"'),
        ('quo"te', '"quo\\"te"'),
        ("it's", '"it\'s"'),
        ("both ' and \"", '"both \' and \\""'),
        ("esc\x1b[31m\n", '"esc\\x1b[31m\\n"'),
        ("back\\slash", '"back\\\\slash"'),
        ("é" * 61, '"' + "é" * 60 + '…"'),
        (1.5, "1.5"),
        (2**64, "a number of more than 64 bits"),
        (None, "null"),
        (True, "true"),
        ({}, "an object"),
        ([1], "a list"),
    ],
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_owners_of_sysctls() -> None:
    assert sysctl_owner("kernel.sem") == "ipc"
    assert sysctl_owner("kernel.semx") == ""
    assert sysctl_owner("network.x") == ""


def test_nobody_asks_for_a_key_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """`finish` counts: a key that was asked for twice would hide an unknown one."""
    finish, read = Reader.finish, []

    def checked(self: Reader) -> None:
        assert len(set(self._asked)) == len(self._asked), self.path()
        read.append(self.path())
        finish(self)

    monkeypatch.setattr(Reader, "finish", checked)
    read_config(FULL)
    read_config(minimal())
    assert len(read) > 50


def test_one_unknown_key_among_known_ones_is_told() -> None:
    warnings: list[str] = []
    read_config({**copy.deepcopy(FULL), "hostnam": "x"}, warnings)
    assert [text for text in warnings if text.startswith("hostnam")] == [
        "hostnam: unknown key, ignoring (did you mean hostname?)"
    ]
