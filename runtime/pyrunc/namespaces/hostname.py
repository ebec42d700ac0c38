"""hostname and domainname, in the container's UTS namespace."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.program.builder import Program


def emit_hostname(p: Program, config: Config) -> None:
    """As uid 0 of the user namespace that owns the UTS namespace: uts_namespaces(7)."""
    for name, call in ((config.hostname, "sethostname"), (config.domainname, "setdomainname")):
        if name:
            with p.at(call.removeprefix("set"), name):
                p.call(call, name, len(name.encode("utf-8", "surrogateescape")), doing=call)
