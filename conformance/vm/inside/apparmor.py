"""AppArmor enforces in the guest: process.apparmorProfile, in create and exec."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

PROFILE = """
profile vmtest flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  mount,
  deny /work/forbidden rw,
}
"""


@pytest.fixture(scope="module", autouse=True)
def _profile(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("apparmor") / "profile"
    file.write_text(PROFILE)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(file)], check=True)
    assert "vmtest (enforce)" in Path("/sys/kernel/security/apparmor/profiles").read_text()


def test_the_profile_confines_the_container(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "work/forbidden").write_text("x")
    script = "cat /proc/self/attr/current; cat /work/forbidden 2>/dev/null; echo $?"
    bundle.process["apparmorProfile"] = "vmtest"
    assert runtime.script(bundle, script).split("\n")[:2] == ["vmtest (enforce)", "1"]
    del bundle.process["apparmorProfile"]
    assert runtime.script(bundle, script).split("\n")[:2] == ["unconfined", "x0"]


def test_exec_has_the_containers_profile_or_its_own(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "vmtest"
    bundle.args("sleep", "1000")
    container = runtime.run_detached(bundle)
    current = ("cat", "/proc/self/attr/current")
    assert runtime("exec", container, *current).ok().out.strip() == "vmtest (enforce)"
    result = runtime("exec", "--apparmor", "unconfined", container, *current)
    assert result.out.strip() in ("unconfined", "vmtest (enforce)")  # a confined process may not leave by itself


def test_a_profile_that_is_not_there(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "no-such-profile"
    result = runtime.run(bundle)
    assert result.status == 1
    assert "apparmor" in result.err
