"""features: the document of features.md; containerd and docker read it at their start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.runtime import Runtime


@pytest.fixture
def features(runtime: Runtime) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(runtime("features").ok().out)
    return document


def test_versions(features: dict[str, Any]) -> None:
    assert features["ociVersionMin"] == "1.0.0"
    assert features["ociVersionMax"].split(".")[0] == "1"


def test_what_engines_read(features: dict[str, Any]) -> None:
    assert "rro" in features["mountOptions"]
    assert {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"} <= set(features["linux"]["namespaces"])
    assert "CAP_CHOWN" in features["linux"]["capabilities"]
    assert features["linux"]["cgroup"]["v1"] is True
    assert features["linux"]["seccomp"]["enabled"] is True
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]
    assert "SCMP_ARCH_X86_64" in features["linux"]["seccomp"]["archs"]
    assert "SCMP_CMP_MASKED_EQ" in features["linux"]["seccomp"]["operators"]


def test_hooks(features: dict[str, Any]) -> None:
    hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert features["hooks"] == hooks


@pytest.mark.pyrunc_only("what runc 1.1 does not tell")
def test_nothing_is_promised_that_is_not_there(features: dict[str, Any]) -> None:
    assert "SCMP_ACT_NOTIFY" not in features["linux"]["seccomp"]["actions"]
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is False
    assert features["linux"]["cgroup"]["systemd"] is False
