"""config.md: version, root, names, annotations, and what is not in the spec."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import PATH

if TYPE_CHECKING:
    from duties.container import Box, Island


# -- ociVersion --------------------------------------------------------------------------------------------------------


def test_oci_version_is_required(box: Box) -> None:
    del box.config["ociVersion"]
    box.refused()


@pytest.mark.parametrize("version", ["invalid", "", "1", "1.0", "v1.0.2", "1.0.2.1", "01.0.2", "1.0.2-", "1.0.2+", 1])
def test_oci_version_is_semantic(box: Box, version: object) -> None:
    """Semantic Versioning 2.0.0, items 2, 9 and 10."""
    box.config["ociVersion"] = version
    box.refused()


def supported(island: Island) -> str:
    """The newest version that the runtime says it knows."""
    result = island.run(PATH, "features")
    if result.status == 0:
        return str(json.loads(result.out)["ociVersionMax"])
    spoken = re.search(r"^spec: (\S+)", island.run(PATH, "--version").ok().out, re.MULTILINE)
    assert spoken
    return spoken[1]


def test_older_versions_of_this_major_are_accepted(box: Box) -> None:
    newest = supported(box.island)
    minors = range(int(newest.split(".")[1]) + 1)
    for version in [*(f"1.{minor}.0" for minor in minors), newest]:
        box.config["ociVersion"] = version
        assert box.output("echo fine") == "fine\n"


# -- root --------------------------------------------------------------------------------------------------------------


def test_root_is_required(box: Box) -> None:
    del box.config["root"]
    box.refused()


@pytest.mark.parametrize("path", [None, "", 7])
def test_root_path_is_required(box: Box, path: object) -> None:
    box.config["root"] = {} if path is None else {"path": path}
    box.refused()


@pytest.mark.parametrize("path", ["nope", "config.json", "/nope/rootfs"])
def test_root_path_is_a_directory(box: Box, path: str) -> None:
    box.config["root"] = {"path": path}
    box.refused()


def test_root_readonly(box: Box) -> None:
    box.config["root"]["readonly"] = True
    script = "touch /x 2>&1; mkdir /work/y 2>&1; touch /dev/shm/fine && echo fine"
    assert box.output(script).count("Read-only file system") == 2
    assert not (box.rootfs / "x").exists()


def test_root_is_writable_otherwise(box: Box) -> None:
    box.output("touch /x")
    assert (box.rootfs / "x").exists()


# -- names -------------------------------------------------------------------------------------------------------------


def test_hostname(box: Box) -> None:
    box.config["hostname"] = "duty-124"
    assert box.output("hostname; cat /proc/sys/kernel/hostname; uname -n") == "duty-124\n" * 3


def test_domainname(box: Box) -> None:
    box.config["domainname"] = "duty.example"
    assert box.output("cat /proc/sys/kernel/domainname") == "duty.example\n"


# -- annotations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [["a"], "a", 7, True])
def test_annotations_are_a_map(box: Box, value: object) -> None:
    box.config["annotations"] = value
    box.refused()


def test_annotation_keys_are_strings(box: Box) -> None:
    box.save()
    path = box.path / "config.json"
    path.write_text(path.read_text().replace("{", '{"annotations": {1: "one"}, ', 1))
    box.create(save=False).refused()


def test_annotation_keys_are_not_empty(box: Box) -> None:
    box.config["annotations"] = {"": "value"}
    box.refused()


@pytest.mark.parametrize("value", [1, True, ["a"], {"a": "b"}])
def test_annotation_values_are_strings(box: Box, value: object) -> None:
    box.config["annotations"] = {"org.example.key": value}
    box.refused()


def test_unknown_annotations_are_carried(box: Box) -> None:
    """Handled like unknown properties: no error."""
    box.config["annotations"] = {"org.example.nobody.knows": "x", "no domain": "y"}
    box.created()
    assert box.state()["annotations"]["org.example.nobody.knows"] == "x"


# -- extensibility -----------------------------------------------------------------------------------------------------

PLACES = ("", "process", "process.user", "root", "linux", "linux.resources", "mounts.0", "linux.namespaces.0")


@pytest.mark.parametrize("where", PLACES)
def test_unknown_properties_are_ignored(box: Box, where: str) -> None:
    place: Any = box.config
    for name in filter(None, where.split(".")):
        place = place[int(name)] if name.isdigit() else place[name]
    place |= {"unknownProperty": {"x": [1, None]}, "org.example.unknown": "y"}
    assert box.output("echo fine") == "fine\n"


INVALID = (
    ("root.readonly", "yes"),
    ("process.terminal", "yes"),
    ("process.user.uid", -1),
    ("process.user.uid", "0"),
    ("process.user.uid", 1 << 32),
    ("process.user.gid", 1.5),
    ("process.env", "A=B"),
    ("process.args", "true"),
    ("mounts", {}),
    ("linux.namespaces", "all"),
    ("linux.rootfsPropagation", "sideways"),
    ("linux.resources", []),
    ("linux.devices", [{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]),
)


@pytest.mark.parametrize(("where", "value"), INVALID, ids=[f"{where}={value}" for where, value in INVALID])
def test_invalid_values_are_refused(box: Box, where: str, value: object) -> None:
    *path, last = where.split(".")
    place = box.config
    for name in path:
        place = place[name]
    place[last] = value
    box.refused()


def test_a_file_system_that_the_kernel_has_not_is_refused(box: Box) -> None:
    box.mounts.append({"destination": "/x", "type": "nosuchfs", "source": "x"})
    box.refused()
