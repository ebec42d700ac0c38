"""Whether the caller wants to hear that the container is ready: NOTIFY_SOCKET of sd_notify(3)."""

from __future__ import annotations

import posix

from ocispec.record import replace
from pyrunc.container.store import NOTIFY_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.bundle import Bundle
    from pyrunc.container.store import Directory, Store
    from pyrunc.process.notify import Notifier


def notify_caller() -> bytes:
    """The address of the caller's socket: a path, or a name after @; b"" when he does not want to know."""
    return posix.environ.get(b"NOTIFY_SOCKET", b"")


def with_notify(bundle: Bundle, store: Store, container_id: str) -> Bundle:
    """The bundle of a container that can say READY=1; `Directory.make_notify` makes what is mounted."""
    from pyrunc.process.notify import with_notify_socket

    source = f"{store.root}/{container_id}/{NOTIFY_DIRECTORY}"
    return replace(bundle, config=with_notify_socket(bundle.config, source))


def open_notifier(directory: Directory) -> Notifier | None:
    """Our socket, to be there before the container's program starts; None when nobody is to be told."""
    caller = notify_caller()
    if not caller:
        return None
    folder = directory.open_notify()
    if folder is None:  # it was created by somebody who did not want to know
        return None
    from pyrunc.process.notify import Notifier

    with folder:
        return Notifier(folder, caller)
