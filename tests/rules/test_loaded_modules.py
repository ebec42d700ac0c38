"""The import budget as it is: what each command really loads, against a list that is reviewed like code.

`UPDATE=1 pytest tests/rules/test_loaded_modules.py` writes the lists anew; a new line in one is a visible decision.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rules.source import TOP
from rules.test_imports import FORBIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
COMMANDS = (
    "create", "state", "start", "kill", "exec", "pause", "resume", "ps", "update", "events", "delete", "run",
)  # fmt: skip
CONFIG = {
    "ociVersion": "1.0.2",
    "hostname": "loaded",
    "root": {"path": "rootfs"},
    "process": {
        "user": {"uid": 0, "gid": 0},
        "cwd": "/",
        "args": ["/bin/busybox", "true"],
        "env": ["PATH=/bin"],
        "noNewPrivileges": True,
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}], "memory": {"limit": 67108864}},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}],
        },
    },
}


class Recorder:
    """Runs commands of one container and collects the modules that each loaded."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.bundle = top / "bundle"
        (self.bundle / "rootfs/bin").mkdir(parents=True)
        for directory in ("proc", "dev", "sys"):
            (self.bundle / "rootfs" / directory).mkdir()
        (self.bundle / "rootfs/bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
        (self.bundle / "rootfs/bin/busybox").chmod(0o755)
        (self.bundle / "config.json").write_text(json.dumps(CONFIG))
        self.loaded: dict[str, list[str]] = {}

    def run(self, command: str, *arguments: str) -> None:
        out = self.top / f"{command}.modules"
        roots = [str(TOP / "build/lib"), str(TOP / "runtime"), str(TOP / "spec")]
        line = ["/usr/bin/python3", "-ISBXutf8", str(HERE / "loaded_modules.py"), str(out), *roots, "--"]
        line += ["--root", str(self.top / "state"), command, *arguments]
        with (self.top / "output").open("w+") as output:  # a file: a container keeps a pipe open
            result = subprocess.run(
                line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=60, check=False
            )
            output.seek(0)
            assert result.returncode == 0, f"{command}: {output.read()}"
        self.loaded[command] = out.read_text().split()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """Command -> the modules it loaded beyond what the bare interpreter has."""
    recorder = Recorder(tmp_path_factory.mktemp("loaded"))
    name = f"loaded-{uuid.uuid4().hex[:12]}"
    try:
        recorder.run("create", "--bundle", str(recorder.bundle), name)
        recorder.run("state", name)
        recorder.run("kill", name, "WINCH")
        recorder.run("exec", name, "/bin/busybox", "true")
        recorder.run("pause", name)
        recorder.run("resume", name)
        recorder.run("ps", name)
        recorder.run("update", "--pids-limit", "99", name)
        recorder.run("events", "--stats", name)
        recorder.run("start", name)
        recorder.run("delete", "--force", name)
        recorder.run("run", "--bundle", str(recorder.bundle), name)
        yield recorder.loaded
    finally:
        subprocess.run(
            [TOP / "build/pyrunc", "--root", recorder.top / "state", "delete", "--force", name],
            capture_output=True, check=False,
        )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_command_loads_what_its_list_says(loaded: dict[str, list[str]], command: str) -> None:
    golden = HERE / "modules" / f"{command}.txt"
    if os.environ.get("UPDATE"):
        golden.write_text("".join(f"{name}\n" for name in loaded[command]))
    assert loaded[command] == golden.read_text().split()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_loads_nothing_slow(loaded: dict[str, list[str]], command: str) -> None:
    assert [name for name in loaded[command] if name.partition(".")[0] in FORBIDDEN] == []
