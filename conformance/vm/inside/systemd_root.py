"""--systemd-cgroup as root, on version 2 and hybrid: the unit, its limits, its devices, its end."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from units import CGROUPS, IS_V2, directories, is_known, memberships, show, systemctl, value_of

from pyrunc.kernel.bpf import attached_device_programs
from pyrunc.kernel.files import open_directory

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

SYSTEMD = ("--systemd-cgroup",)
LIMITS = {
    "memory": {"limit": 64 << 20},
    "cpu": {"shares": 512, "quota": 25000, "period": 100000},
    "pids": {"limit": 50},
}
# What systemd calls them, and shows of them.
SHOWN = {
    "TasksMax": "50",
    "CPUQuotaPerSecUSec": "250ms",
    "Delegate": "yes",
    "MemoryAccounting": "yes",
    "CPUAccounting": "yes",
    "IOAccounting": "yes",
    "TasksAccounting": "yes",
    "DefaultDependencies": "no",
    "DevicePolicy": "strict",
    "Slice": "system.slice",
    "ActiveState": "active",
    "MemoryMax" if IS_V2 else "MemoryLimit": str(64 << 20),
    "CPUWeight" if IS_V2 else "CPUShares": "59" if IS_V2 else "512",
}


REFUSED = "Operation not permitted"


def made(runtime: Runtime, bundle: Bundle, cgroups_path: str, *, start: bool = True) -> tuple[str, str, int]:
    """(container, unit, pid) of a container that sleeps."""
    bundle.args("sleep", "1000")
    bundle.linux["cgroupsPath"] = cgroups_path
    container = runtime.create(bundle, before=SYSTEMD)
    if start:
        runtime("start", container).ok()
    _slice, prefix, name = cgroups_path.split(":")
    return container, f"{prefix}-{name}.scope", runtime.state(container)["pid"]


def test_a_container_is_a_scope_with_its_limits(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"].update(LIMITS)
    container, unit, pid = made(runtime, bundle, "system.slice:vmtest:limits", start=False)
    assert show(unit, *SHOWN) == SHOWN
    assert set(memberships(pid).values()) == {f"/system.slice/{unit}"}
    assert value_of(f"/system.slice/{unit}", "pids", "pids.max") == "50"
    assert value_of(f"/system.slice/{unit}", "pids", "cgroup.procs").split() == [str(pid)]  # who held it open is gone
    runtime("start", container).ok()
    assert memberships(pid)["" if IS_V2 else "name=systemd"] == f"/system.slice/{unit}"


def test_exec_is_in_the_scope(runtime: Runtime, bundle: Bundle) -> None:
    container, unit, pid = made(runtime, bundle, "system.slice:vmtest:exec")
    runtime("exec", "--detach", container, "sleep", "1001").ok()
    inside = value_of(f"/system.slice/{unit}", "pids", "cgroup.procs").split()
    assert len(inside) == 2
    assert str(pid) in inside


def test_delete_leaves_neither_unit_nor_cgroup(runtime: Runtime, bundle: Bundle) -> None:
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:delete")
    assert directories(f"/system.slice/{unit}")
    runtime("delete", "--force", container).ok()
    assert not is_known(unit)
    assert directories(f"/system.slice/{unit}") == []


def test_a_run_in_the_foreground_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["cgroupsPath"] = "system.slice:vmtest:run"
    bundle.linux["resources"].update(LIMITS)
    bundle.args("true")
    runtime.run(bundle, before=SYSTEMD).ok()
    assert not is_known("vmtest-run.scope")
    assert directories("/system.slice/vmtest-run.scope") == []


def test_update_tells_systemd_and_the_kernel(runtime: Runtime, bundle: Bundle) -> None:
    """An amount that systemd would round stays exact in the file."""
    bundle.linux["resources"].update(copy.deepcopy(LIMITS))
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:update")
    runtime("update", "--pids-limit", "77", "--memory", "96M", "--cpu-quota", "12345", container).ok()
    wanted = {"TasksMax": "77", "MemoryMax" if IS_V2 else "MemoryLimit": str(96 << 20), "CPUQuotaPerSecUSec": "130ms"}
    assert show(unit, *wanted) == wanted
    path = f"/system.slice/{unit}"
    assert value_of(path, "pids", "pids.max") == "77"
    quota = value_of(path, "cpu", "cpu.max").split()[0] if IS_V2 else value_of(path, "cpu", "cpu.cfs_quota_us")
    assert quota == "12345"
    systemctl("daemon-reload")
    assert value_of(path, "pids", "pids.max") == "77"
    memory = value_of(path, "memory", "memory.max" if IS_V2 else "memory.limit_in_bytes")
    assert memory == str(96 << 20)


def test_half_a_quota_is_told_whole(runtime: Runtime, bundle: Bundle) -> None:
    """systemd keeps a percentage: of the period that there is, not of one that it takes for granted."""
    bundle.linux["resources"]["cpu"] = {"quota": 20000, "period": 50000}
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:halves")
    wanted = {"CPUQuotaPerSecUSec": "500ms", "CPUQuotaPeriodUSec": "50ms"}
    runtime("update", "--cpu-quota", "25000", container).ok()
    assert show(unit, *wanted) == wanted
    runtime("update", "--cpu-period", "100000", container).ok()
    wanted = {"CPUQuotaPerSecUSec": "250ms", "CPUQuotaPeriodUSec": "100ms"}
    assert show(unit, *wanted) == wanted


def test_idle_and_idle_no_more(runtime: Runtime, bundle: Bundle) -> None:
    """On version 1 systemd has no word for it."""
    bundle.linux["resources"]["cpu"] = {"shares": 512}
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:idle")
    path = f"/system.slice/{unit}"
    runtime("update", "--cpu-idle", "1", container).ok()
    if IS_V2:
        assert show(unit, "CPUWeight") == {"CPUWeight": "idle"}
    systemctl("daemon-reload")
    assert value_of(path, "cpu", "cpu.idle") == "1"
    runtime("update", "--cpu-idle", "0", container).ok()
    systemctl("daemon-reload")
    assert value_of(path, "cpu", "cpu.idle") == "0"
    if IS_V2:
        assert show(unit, "CPUWeight") == {"CPUWeight": value_of(path, "cpu", "cpu.weight")}


def test_no_other_process_at_all(runtime: Runtime, bundle: Bundle) -> None:
    """A limit of none is one for the init, and systemd has it too; who held the unit open was in the way."""
    bundle.linux["resources"]["pids"] = {"limit": 0}
    _container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:none")
    assert show(unit, "TasksMax") == {"TasksMax": "1"}
    assert value_of(f"/system.slice/{unit}", "pids", "pids.max") == "1"
    assert value_of(f"/system.slice/{unit}", "pids", "pids.current") == "1"


def test_what_systemd_refuses_of_an_update_leaves_all_as_it_was(runtime: Runtime, bundle: Bundle) -> None:
    """The files are written before: they are set back."""
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:gone")
    path = f"/system.slice/{unit}"
    pids = value_of(path, "pids", "pids.max")
    state = runtime.state_root / container / "state.json"
    text = state.read_text()
    document = json.loads(text)
    document["cgroup"]["unit"] = "vmtest-no-such.scope"
    state.write_text(json.dumps(document))
    result = runtime("update", "--pids-limit", "77", container)
    state.write_text(text)
    assert result.status == 1
    assert "change the unit vmtest-no-such.scope" in result.err
    assert "set back: pids.max" in result.err
    assert value_of(path, "pids", "pids.max") == pids


def test_an_update_leaves_devices_alone(runtime: Runtime, bundle: Bundle) -> None:
    """A hook may have allowed one more since: neither we nor systemd write the rules again."""
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:hooked")

    def rules() -> list[str]:
        if IS_V2:
            with open_directory(str(directories(f"/system.slice/{unit}")[0])) as directory:
                return [str(number) for number in attached_device_programs(directory)]
        return value_of(f"/system.slice/{unit}", "devices", "devices.list").splitlines()

    if not IS_V2:
        (CGROUPS / "devices/system.slice" / unit / "devices.allow").write_text("c 10:183 rw")
        assert "c 10:183 rw" in rules()
    before = rules()
    assert before
    for number in ("33", "34", "35"):
        runtime("update", "--pids-limit", number, "--memory", "99M", "--cpu-share", "77", container).ok()
        assert rules() == before
    assert runtime.state(container)["status"] == "running"


def opened(runtime: Runtime, container: str, *nodes: str) -> list[str]:
    """What open(2) of each device says: 10:183 has no driver here, so who may open it is told so."""
    scripts = [f"exec 3<>/dev/{node}" if node != "urandom" else f"exec 3</dev/{node}" for node in nodes]
    return [runtime("exec", container, "sh", "-c", script).err.strip().rpartition(": ")[2] for script in scripts]


def test_an_update_leaves_denied_what_is_denied_beside_everything(runtime: Runtime, bundle: Bundle) -> None:
    """systemd knows no such rules: with any property it allows everything again (version 1)."""
    refused = {"type": "c", "major": 10, "minor": 183}
    bundle.linux["devices"] = [refused | {"path": "/dev/refused", "fileMode": 0o666}]
    bundle.linux["resources"]["devices"] = [
        {"allow": True, "access": "rwm"},
        refused | {"allow": False, "access": "rw"},
    ]
    container, _unit, _pid = made(runtime, bundle, "system.slice:vmtest:allbut")
    before = opened(runtime, container, "refused", "null")
    runtime("update", "--pids-limit", "33", container).ok()
    assert (before, opened(runtime, container, "refused", "null")) == ([REFUSED, ""], [REFUSED, ""])
    assert runtime.state(container)["status"] == "running"


def test_daemon_reload_takes_no_device_away_and_gives_none(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        {"path": "/dev/allowed", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
        {"path": "/dev/refused", "type": "c", "major": 10, "minor": 183, "fileMode": 0o666},
    ]
    bundle.linux["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"})
    container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:devices")
    nodes = ("allowed", "refused", "null", "urandom", "ptmx")
    expected = ["", REFUSED, "", "", ""]
    before = opened(runtime, container, *nodes)
    systemctl("daemon-reload")
    assert (before, opened(runtime, container, *nodes)) == (expected, expected)
    assert "char-*" in show(unit, "DeviceAllow")["DeviceAllow"]


def test_slices_are_nested_by_their_names(runtime: Runtime, bundle: Bundle) -> None:
    _container, unit, pid = made(runtime, bundle, "vmtest-deep.slice:pre:nested")
    assert memberships(pid)["" if IS_V2 else "name=systemd"] == f"/vmtest.slice/vmtest-deep.slice/{unit}"


def test_without_a_path_it_is_in_the_system_slice(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "1000")
    container = runtime.create(bundle, before=("--cgroup-manager", "systemd"))
    pid = runtime.state(container)["pid"]
    assert memberships(pid)["" if IS_V2 else "name=systemd"] == f"/system.slice/runc-{container}.scope"


def test_annotations_become_properties(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "7.5",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.RuntimeMaxUSec": "uint64 3600000000",
    }
    _container, unit, _pid = made(runtime, bundle, "system.slice:vmtest:annotations")
    wanted = {"TimeoutStopUSec": "7.500000s", "CollectMode": "inactive-or-failed", "RuntimeMaxUSec": "1h"}
    assert show(unit, *wanted) == wanted


def test_what_systemd_refuses_is_told_and_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.systemd.property.NoSuchProperty": "'x'"}
    bundle.linux["cgroupsPath"] = "system.slice:vmtest:refused"
    bundle.save()
    container = runtime.new_id()
    result = runtime("create", "-b", bundle.path, container, before=SYSTEMD)
    assert result.status == 1
    assert "start the unit vmtest-refused.scope: Cannot set property NoSuchProperty" in result.err
    assert not (runtime.state_root / container).exists()


def test_a_unit_that_is_there_is_not_touched(runtime: Runtime, bundle: Bundle) -> None:
    container, unit, pid = made(runtime, bundle, "system.slice:vmtest:twice")
    other = runtime.new_id()
    result = runtime("create", "-b", bundle.path, other, before=SYSTEMD)
    assert result.status == 1
    assert "is not empty" in result.err
    assert show(unit, "ActiveState") == {"ActiveState": "active"}
    assert runtime.state(container)["status"] == "running"
    assert str(pid) in value_of(f"/system.slice/{unit}", "pids", "cgroup.procs").split()


def test_a_failed_unit_of_that_name_gives_way(runtime: Runtime, bundle: Bundle) -> None:
    unit = "vmtest-failed.scope"
    subprocess.run(["systemd-run", "--scope", f"--unit={unit}", "-pRuntimeMaxSec=1", "sleep", "100"], check=False)
    end = time.monotonic() + 10
    while show(unit, "ActiveState") != {"ActiveState": "failed"}:
        assert time.monotonic() < end
        time.sleep(0.1)
    _container, _unit, _pid = made(runtime, bundle, "system.slice:vmtest:failed")
    assert show(unit, "ActiveState") == {"ActiveState": "active"}


@pytest.mark.parametrize("path", ["/plain/path", "system.slice:only-two", "system:a:b", "system.slice:a:b.slice"])
def test_paths_that_are_no_unit(runtime: Runtime, bundle: Bundle, path: str) -> None:
    bundle.linux["cgroupsPath"] = path
    bundle.save()
    runtime("create", "-b", bundle.path, runtime.new_id(), before=SYSTEMD).failed("cgroupsPath")


@pytest.mark.parametrize("peer", ["runc", "crun"])
def test_the_unit_is_as_a_peer_makes_it(runtime: Runtime, bundle: Bundle, tmp_path: Path, peer: str) -> None:
    """The same bundle, one after the other: what systemd shows of their units."""
    bundle.linux["resources"].update(LIMITS)
    _container, unit, _pid = made(runtime, bundle, f"system.slice:vmtest:as-{peer}")
    names = ("Slice", "Delegate", "TasksMax", "MemoryMax", "MemoryLimit", "CPUQuotaPerSecUSec", "MemoryAccounting",
             "CPUAccounting", "TasksAccounting", "DefaultDependencies", "Description")  # fmt: skip
    ours = show(unit, *names)
    bundle.linux["cgroupsPath"] = f"system.slice:vmtest:{peer}"
    bundle.save()
    program = shutil.which(peer)
    assert program is not None
    call = [program, "--root", str(tmp_path / peer), "--systemd-cgroup"]
    runtime.raw([*call, "create", "--bundle", str(bundle.path), peer]).ok()
    try:
        theirs = show(f"vmtest-{peer}.scope", *names)
    finally:
        runtime.raw([*call, "delete", "--force", peer])
    ours["Description"] = ours["Description"].replace(f"as-{peer}", peer)
    if peer == "crun":  # Debian's 1.8 tells systemd of no limit, accounts for what it needs, and has its own words
        names = ("Slice", "Delegate", "DefaultDependencies")
        ours, theirs = ({name: one[name] for name in names} for one in (ours, theirs))
    assert ours == theirs


def test_no_cgroups_at_all(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"].update(LIMITS)
    bundle.args("sleep", "1000")
    container = runtime.create(bundle, before=("--cgroup-manager", "disabled"))
    pid = runtime.state(container)["pid"]
    assert memberships(pid) == memberships(os.getpid())
    runtime("start", container).ok()
    runtime("kill", "--all", container, "KILL").ok()
    runtime.wait_for(container, "stopped")
    runtime("delete", container).ok()
