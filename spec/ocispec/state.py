"""The state documents (runtime.md#state, config-linux.md#containerprocessstate)."""

from __future__ import annotations

from ocispec.record import Record


class State(Record):
    """What `state` prints, hooks read on stdin and seccomp listeners get.

    `status` is creating, created, running, paused or stopped; `pid` 0 is printed for a stopped container.
    `rootfs`, `created` (RFC 3339, nanoseconds, Z) and `owner` are runc's additions; None: not printed.
    """

    oci_version: str
    id: str
    status: str
    bundle: str
    pid: int = 0
    annotations: dict[str, str] = {}
    rootfs: str | None = None
    created: str | None = None
    owner: str | None = None


class ContainerProcessState(Record):
    """What goes to a seccomp listener, with the descriptors named in `fds` in SCM_RIGHTS."""

    oci_version: str
    pid: int
    state: State
    fds: tuple[str, ...] = ("seccompFd",)
    metadata: str = ""
