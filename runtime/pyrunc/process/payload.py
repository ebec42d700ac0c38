"""What is asked for the process itself, the same for `create` and `exec`: the program's last sections.

Everything that can be done before the container is handed over is in `emit_payload`; `emit_execution` is what is left.
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.namespaces.plan import keeps_groups
from pyrunc.process.credentials import emit_credentials
from pyrunc.process.executable import build_environment, emit_execve, emit_lookup
from pyrunc.process.limits import emit_limits, emit_scheduling
from pyrunc.security.seccomp import BPF_DATA, FAIL_UNKNOWN, compile_filter, emit_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Process
    from pyrunc.kernel.host import Host
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer, Register
    from pyrunc.security.seccomp import Filter


class Payload(Record):
    """What `emit_execution` needs of what `emit_payload` made."""

    environment: Pointer
    home: Pointer | None  # where "HOME=…\\0" goes when the config does not say it
    found: Register  # which of the executable's candidates it is
    late_filter: Filter | None  # to be loaded right before execve(2)
    warnings: tuple[str, ...]  # what the filter leaves out, for --debug


def emit_payload(
    p: Program, config: Config, process: Process, host: Host, *, in_user_namespace: bool, is_alone: bool
) -> Payload:
    """Limits, scheduling, credentials, and the executable looked up with them.

    In a user namespace the parent sets the limits: the stage could not raise a hard one there.
    `is_alone`: nobody else is in our pid namespace.
    """
    environment, home = build_environment(p, process)
    if not in_user_namespace:
        emit_limits(p, process)
    emit_scheduling(p, config, process)
    compiled = _compile(config, host)
    keep_groups = keeps_groups(config)
    warnings = () if compiled is None else compiled.warnings
    if compiled is None or process.no_new_privileges:
        emit_credentials(p, process, host, None, keep_groups=keep_groups)
        found = emit_lookup(p, process)
        if compiled is not None and compiled.notifies:
            _emit_load(p, compiled, host, is_alone)
            compiled = None
        return Payload(environment=environment, home=home, found=found, late_filter=compiled, warnings=warnings)
    looked_up: list[Register] = []

    def look_up_and_load(p: Program) -> None:
        # Looked up first: the fewer calls stand behind the filter, the fewer it must allow.
        looked_up.append(emit_lookup(p, process))
        _emit_load(p, compiled, host, is_alone)

    emit_credentials(p, process, host, look_up_and_load, keep_groups=keep_groups)
    return Payload(environment=environment, home=home, found=looked_up[0], late_filter=None, warnings=warnings)


def _compile(config: Config, host: Host) -> Filter | None:
    """The profile's filter, or what an annotation makes of it."""
    seccomp = config.linux.seccomp
    if BPF_DATA in config.annotations or FAIL_UNKNOWN in config.annotations:
        from pyrunc.security.seccomp_annotations import compile_annotated  # crun's, for who knows them

        return compile_annotated(seccomp, config.annotations, host.machine)
    return None if seccomp is None else compile_filter(seccomp, host.machine)


def _emit_load(p: Program, compiled: Filter, host: Host, is_alone: bool) -> None:
    """The filter, and its listener to whom it belongs: that is never late, the parent must still be there."""
    if not compiled.notifies:
        emit_filter(p, compiled)
        return
    from pyrunc.process.listener import emit_filter_with_listener  # few profiles ask an agent

    emit_filter_with_listener(p, compiled, host, is_alone=is_alone)


def emit_execution(p: Program, process: Process, payload: Payload) -> None:
    """The filter that could wait, and execve(2)."""
    if payload.late_filter is not None:
        # As late as can be, so that the profile need not allow what we do before: docs/adr/0006.
        emit_filter(p, payload.late_filter)
    emit_execve(p, process, payload.found, payload.environment)
