"""features: the document of features.md; containerd and docker read it at their start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.runtime import PATH

if TYPE_CHECKING:
    from pathlib import Path

    from cli.runtime import Runtime


LAUNCHERS = ("static", "shared", "script", "library")


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
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True
    assert features["linux"]["cgroup"]["systemd"] is True
    assert features["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "false"


@pytest.mark.pyrunc_only("runc is started by nothing but the kernel")
def test_the_launcher_is_named(runtime: Runtime, features: dict[str, Any]) -> None:
    """What --version says, and one of the kinds that csrc/build_launcher.py makes."""
    launcher = features["annotations"]["org.opencontainers.pyrunc.launcher"]
    assert runtime("--version").ok().lines[3:] == [f"launcher: {launcher}"]
    assert launcher.split()[0] in LAUNCHERS


@pytest.mark.pyrunc_only  # keys of runtime-spec 1.3
def test_what_spec_1_3_added(features: dict[str, Any]) -> None:
    assert "MPOL_BIND" in features["linux"]["memoryPolicy"]["modes"]
    assert "MPOL_F_STATIC_NODES" in features["linux"]["memoryPolicy"]["flags"]
    assert features["linux"]["netDevices"]["enabled"] is True
    assert features["linux"]["cgroup"]["rdma"] is True
    assert features["linux"]["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    unsafe = ["bundle", "org.criu.config", "org.systemd.property.", "run.oci."]
    assert features["potentiallyUnsafeConfigAnnotations"] == unsafe
    assert features["linux"]["seccomp"]["supportedFlags"] == features["linux"]["seccomp"]["knownFlags"]
    assert "SCMP_ACT_NOTIFY" in features["linux"]["seccomp"]["actions"]


@pytest.mark.pyrunc_only  # runc is runc
def test_called_as_runc(runtime: Runtime, tmp_path: Path, features: dict[str, Any]) -> None:
    """Engines find it under that name: the version names it, the document is the same."""
    link = tmp_path / "runc"
    link.symlink_to(PATH)
    assert json.loads(runtime.raw([str(link), "features"]).ok().out) == features
    version = runtime.raw([str(link), "--version"]).ok().lines
    assert version[0].startswith("runc version ")
    assert [line.partition(":")[0] for line in version[1:]] == ["commit", "spec", "launcher"]
