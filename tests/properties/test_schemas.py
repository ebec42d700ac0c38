"""Our JSON Schemas: sound themselves, and of one mind with the reader."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ocispec import words
from ocispec.config import read_config
from ocispec.defaults import default_config
from ocispec.features import Features
from ocispec.reader import SpecError
from ocispec.state import State
from ocispec.writer import features_document, state_document
from pyrunc.commands.validate import SCHEMAS, schema_errors
from pyrunc.container.features import features_document as build_features
from unit.ocispec.full import FULL
from unit.ocispec.minimal import config_with, minimal, recorded
from unit.ocispec.wrong import RULES, VALUES


def test_schemas_are_sound() -> None:
    files = sorted(SCHEMAS.glob("*.schema.json"))
    assert [path.name for path in files] == [
        f"{kind}.schema.json" for kind in ("config", "features", "process", "state")
    ]
    for path in files:
        schema = json.loads(path.read_bytes())
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == f"pyrunc:{path.name}"


@pytest.mark.parametrize("name", ["containerd", "docker", "podman", "runc-spec", "runc-spec-rootless"])
def test_recorded_configs_fit(name: str) -> None:
    assert schema_errors(recorded(name), "config") == []
    assert schema_errors(recorded(name)["process"], "process") == []


def test_right_configs_fit() -> None:
    right = [FULL, minimal(), default_config(), default_config(rootless=True), *(rule[1] for rule in RULES.values())]
    assert [errors for document in right if (errors := schema_errors(document, "config"))] == []


WRONG = [case for case in VALUES if "surrogate" not in case[3]]  # to a schema half a pair is a character like any


@pytest.mark.parametrize(("place", "value", "where", "_words"), WRONG)
def test_what_the_reader_refuses_the_schema_refuses(place: str, value: object, where: str, _words: str) -> None:
    if type(value) is dict and any(type(item) is float and item == int(item) for item in value.values()):
        value = dict.fromkeys(value, "1.0")  # 1.0 is an integer to a JSON Schema, not to Go and to us
    errors = schema_errors(config_with(place, value), "config")
    assert errors, "the schema lets it pass"
    assert any(where.startswith(error.path) or error.path.startswith(where) for error in errors), errors


@pytest.mark.parametrize("rule", RULES)
def test_rules_between_keys_that_the_schema_knows(rule: str) -> None:
    wrong, _right, _where, _words, in_schema = RULES[rule]
    assert bool(schema_errors(wrong, "config")) == in_schema


OTHERS = ("word", "/path", -1, -2000, 7, 2**64, True, [], {}, [7], {"a": 7}, "\0")


def changed(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[str, Any]]:
    """The full config with one value at a time replaced by one of another type, or by one that is far away."""
    found: list[tuple[str, Any]] = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        others = [other for other in OTHERS if type(other) is not type(value) or other != value]
        found += [(".".join(map(str, (*path, key))), ((*path, key), other)) for other in others]
        if isinstance(value, dict | list):
            found += changed(value, (*path, key))
    return found


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    result = copy.deepcopy(document)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return result


# Where the reader's rules between keys, and its small grammars, see what a schema cannot say.
CHECKS_ONLY = {
    "process.execCPUAffinity",
    "linux.memoryPolicy",
    "linux.sysctl",
    "linux.timeOffsets",
    "linux.netDevices",
    "linux.uidMappings",
    "linux.gidMappings",
    "linux.namespaces",
    "linux.resources.cpu",
    "linux.seccomp.listenerMetadata",
    "linux.seccomp.listenerPath",
    "mounts[0]",
    "hostname",
    "domainname",
    "process.scheduler",
    "process.rlimits",
}


def test_reader_and_schema_agree_on_every_mutation() -> None:
    """Where they differ, the reader is the stricter one, by a rule between keys."""
    differences = []
    count = 0
    mutations = changed(FULL)
    for name, (path, value) in mutations[::5]:
        count += 1
        document = put(FULL, path, value)
        refused = ""
        try:
            read_config(document)
        except SpecError as error:
            refused = error.path
        misfit = bool(schema_errors_fast(document))
        beyond = any(refused.startswith(place) for place in CHECKS_ONLY)
        if misfit != bool(refused) and not (beyond and not misfit):
            differences.append((name, value, refused, misfit))
    assert differences == []
    assert count > 500


_validators: list[Any] = []


def schema_errors_fast(document: Any) -> bool:
    from pyrunc.commands.validate import validator_of, without_nulls

    if not _validators:
        _validators.append(validator_of("config"))
    return not _validators[0].is_valid(without_nulls(document))


CONFIG = json.loads((SCHEMAS / "config.schema.json").read_bytes())
FEATURES = json.loads((SCHEMAS / "features.schema.json").read_bytes())
DEFS = CONFIG["$defs"]
LINUX = DEFS["linux"]["properties"]
PROCESS = DEFS["process"]["properties"]
SECCOMP = DEFS["seccomp"]["properties"]
RULE = SECCOMP["syscalls"]["items"]["properties"]
STATE = json.loads((SCHEMAS / "state.schema.json").read_bytes())

ENUMERATIONS: list[tuple[tuple[str, ...], list[str]]] = [
    (words.NAMESPACES, LINUX["namespaces"]["items"]["properties"]["type"]["enum"]),
    (words.CLOCKS, LINUX["timeOffsets"]["propertyNames"]["enum"]),
    (words.STATUSES, STATE["properties"]["status"]["enum"]),
    (words.HOOKS, list(CONFIG["properties"]["hooks"]["properties"])),
    (words.DEVICE_TYPES, DEFS["device"]["properties"]["type"]["enum"]),
    (
        words.DEVICE_RULE_TYPES,
        DEFS["resources"]["properties"]["devices"]["items"]["properties"]["type"]["enum"],
    ),
    (words.PROPAGATIONS, LINUX["rootfsPropagation"]["enum"]),
    (words.PERSONALITIES, LINUX["personality"]["properties"]["domain"]["enum"]),
    (words.RLIMITS, DEFS["rlimit"]["properties"]["type"]["enum"]),
    (words.SCHEDULER_POLICIES, PROCESS["scheduler"]["properties"]["policy"]["enum"]),
    (words.SCHEDULER_FLAGS, PROCESS["scheduler"]["properties"]["flags"]["items"]["enum"]),
    (words.IO_PRIORITY_CLASSES, PROCESS["ioPriority"]["properties"]["class"]["enum"]),
    (words.MEMORY_POLICY_MODES, LINUX["memoryPolicy"]["properties"]["mode"]["enum"]),
    (words.MEMORY_POLICY_FLAGS, LINUX["memoryPolicy"]["properties"]["flags"]["items"]["enum"]),
    (words.SECCOMP_ACTIONS, DEFS["seccompAction"]["enum"]),
    (words.SECCOMP_ERRNO_ACTIONS, DEFS["seccomp"]["then"]["properties"]["defaultAction"]["enum"]),
    (words.SECCOMP_OPERATORS, RULE["args"]["items"]["properties"]["op"]["enum"]),
    (words.SECCOMP_FLAGS, SECCOMP["flags"]["items"]["enum"]),
    (words.SECCOMP_ARCHITECTURES, SECCOMP["architectures"]["items"]["enum"]),
]


@pytest.mark.parametrize(("ours", "schema"), ENUMERATIONS)
def test_words_are_the_schemas_words(ours: tuple[str, ...], schema: list[str]) -> None:
    assert list(ours) == schema


STATE_DOCUMENT = state_document(State(oci_version="1.3.0", id="c1", status="running", bundle="/b", pid=7))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, ""),
        ({"rootfs": "/r", "created": "2026-11-23T19:09:15.431157606Z", "owner": ""}, ""),
        ({"status": "stopped", "pid": 0}, ""),
        ({"status": "stopped", "pid": None}, ""),
        ({"status": "creating", "pid": 0}, ""),
        ({"status": "running", "pid": 0}, "pid"),
        ({"status": "created", "pid": None}, "pid"),
        ({"status": "dead"}, "status"),
        ({"id": None}, "id"),
        ({"bundle": "b"}, "bundle"),
        ({"annotations": {"a": 1}}, 'annotations["a"]'),
        ({"created": "yesterday"}, "created"),
    ],
)
def test_state_schema(changes: dict[str, Any], where: str) -> None:
    errors = schema_errors({**STATE_DOCUMENT, **changes}, "state")
    assert [error.path for error in errors] == ([where] if where else [])


FEATURES_DOCUMENT = features_document(Features(oci_version_min="1.0.0", oci_version_max="1.3.0"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, ""),
        (
            {"linux": {"seccomp": {"enabled": False, "actions": []}, "mountExtensions": {"idmap": {"enabled": True}}}},
            "",
        ),
        ({"ociVersionMax": None}, "ociVersionMax"),
        ({"hooks": ["prestart", "prestart"]}, "hooks"),
        ({"mountOptions": [""]}, "mountOptions[0]"),
        ({"linux": {"cgroup": {"v1": "yes"}}}, "linux.cgroup.v1"),
        ({"linux": {"capabilities": ["chown"]}}, "linux.capabilities[0]"),
        ({"linux": {"apparmor": True}}, "linux.apparmor"),
    ],
)
def test_features_schema(changes: dict[str, Any], where: str) -> None:
    errors = schema_errors({**FEATURES_DOCUMENT, **changes}, "features")
    assert [error.path for error in errors] == ([where] if where else [])


def test_what_the_features_command_prints_fits() -> None:
    document = build_features()
    assert schema_errors(document, "features") == []
    assert set(document["linux"]["namespaces"]) == set(words.NAMESPACES)
    assert set(document["hooks"]) == set(words.HOOKS)
    assert set(document["linux"]["seccomp"]["actions"]) <= set(words.SECCOMP_ACTIONS)
    assert set(document["linux"]["seccomp"]["archs"]) <= set(words.SECCOMP_ARCHITECTURES)
    assert set(document["linux"]["seccomp"]["operators"]) == set(words.SECCOMP_OPERATORS)
    assert set(document["linux"]["seccomp"]["knownFlags"]) == set(words.SECCOMP_FLAGS)
    assert set(document["linux"]["capabilities"]) == set(words.CAPABILITIES)
