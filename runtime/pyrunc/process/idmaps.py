"""User namespaces that are there only for their id maps: mount_setattr(2), MOUNT_ATTR_IDMAP."""

from __future__ import annotations

from pyrunc.errors import ProtocolError, during
from pyrunc.kernel.constants import CLONE_NEWUSER, O_RDONLY
from pyrunc.kernel.files import open_file, write_file
from pyrunc.namespaces.users import format_map
from pyrunc.process import sync
from pyrunc.process.descriptors import Descriptors
from pyrunc.process.spawn import Stage
from pyrunc.program.builder import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.kernel.files import Fd
    from pyrunc.rootfs.idmaps import IdMap


class IdMapNamespaces:
    """One namespace for each different map, closed together."""

    def __init__(self, machine: str, joined: Fd | None) -> None:
        self._machine = machine
        self._joined = joined  # the user namespace that the container joins
        self._made: dict[tuple[str, str], Fd] = {}

    def __enter__(self) -> IdMapNamespaces:
        return self

    def __exit__(self, *_error: object) -> None:
        for namespace in self._made.values():
            namespace.close()

    def of(self, wanted: IdMap) -> Fd:
        """The namespace with this map."""
        if not wanted.uids and self._joined is not None:
            return self._joined
        maps = format_map(wanted.uids), format_map(wanted.gids)
        if maps not in self._made:
            with during(f"{wanted.place}: make a user namespace with its id maps"):
                self._made[maps] = self._make(*maps)
        return self._made[maps]

    def _make(self, uids: str, gids: str) -> Fd:
        """A stage that does nothing, born into it, holds the namespace until it is open."""
        p = Program()
        p.sync(sync.MAP_IDS, "hold the user namespace")
        stage = Stage(p, self._machine, Descriptors())
        try:
            stage.start({}, CLONE_NEWUSER, -1)
            if stage.receive() is None:
                raise ProtocolError("the process that holds it ended")
            write_file(f"/proc/{stage.pid}/gid_map", gids)
            write_file(f"/proc/{stage.pid}/uid_map", uids)
            return open_file(f"/proc/{stage.pid}/ns/user", O_RDONLY)
        finally:
            stage.kill()
            stage.pidfd.close()
            stage.socket.close()
