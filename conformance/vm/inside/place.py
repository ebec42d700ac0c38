"""A guest as the engines' island: it is one already, and systemd is there to be asked."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from engines.island import TIMEOUT_SECONDS, Island, environment

SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # where a user's systemd is


class Place(Island):
    """Commands run where the tests are; nothing ends with it but its daemons, the rest with the guest."""

    cgroup_manager = "systemd"

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix="engines-"))
        self.directory.chmod(0o711)
        self._daemons = []

    def inside(self, argv: tuple[str | Path, ...], variables: dict[str, str] | None = None) -> list[str]:
        session = {key: os.environ[key] for key in SESSION if key in os.environ}
        settings = [f"{key}={value}" for key, value in environment(session | (variables or {})).items()]
        return ["env", "-i", *settings, *map(str, argv)]

    def end(self) -> None:
        for daemon in self._daemons:
            daemon.terminate()
            daemon.wait(TIMEOUT_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)  # layers that are mounted still go with the guest
