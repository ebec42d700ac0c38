"""Rules between keys when other keys are wrong: said where nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocispec.checks import CONFIG_CHECKS
from ocispec.config import read_config
from ocispec.partial import READS, further_problems
from unit.ocispec.minimal import minimal

if TYPE_CHECKING:
    from ocispec.reader import SpecError


def told(document: dict[str, Any]) -> list[str]:
    found: list[SpecError] = []
    config = read_config(document, problems=found)
    return [str(error) for error in further_problems(config, found)]


def test_every_check_says_what_it_reads() -> None:
    assert set(READS) == set(CONFIG_CHECKS)


def test_a_rule_is_told_beside_a_wrong_key_elsewhere() -> None:
    document = minimal()
    document["process"]["cwd"] = 7
    document["linux"]["namespaces"].append({"type": "uts"})
    document["linux"]["devices"] = [{"type": "c", "path": "/dev/x"}]
    assert told(document) == [
        "linux.namespaces[8].type: uts is given twice",
        "linux.devices[0]: a device of type c must have major and minor",
    ]


def test_nothing_is_guessed_from_a_key_that_is_wrong() -> None:
    """A misspelt namespace is not an absent one."""
    document = minimal()
    document["linux"]["namespaces"] = [{"type": "Network"}]
    document["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    document["hostname"] = "x"
    del document["linux"]["uidMappings"], document["linux"]["gidMappings"]
    assert told(document) == []
