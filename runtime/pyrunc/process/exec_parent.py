"""The parent's side of an exec: from the stage's start to the execve(2) of the program."""

from __future__ import annotations

from pyrunc.errors import ProtocolError, during
from pyrunc.kernel.constants import CLONE_NEWPID
from pyrunc.kernel.processes import open_pidfd, set_limits
from pyrunc.process import sync
from pyrunc.process.hooks import describe_status
from pyrunc.process.limits import limits_of
from pyrunc.process.passwd import home_of
from pyrunc.process.passwd_file import read_passwd
from pyrunc.process.spawn import Stage, name_exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrunc.process.plan_exec import ExecPlan, Execution


def run_exec(
    plan: ExecPlan,
    wanted: Execution,
    opened: Mapping[str, int],
    cgroup: int,
    state: Callable[[], bytes],
    ready: Callable[[Stage], None],
    attach: Callable[[int], None] | None = None,
) -> Stage:
    """The stage, become the program.  On an error it is gone.

    `state` is the container's, as JSON.  `ready` is called when the process is complete and only execve(2) is left.
    """
    listener = -1
    has_fork_to_come = bool(wanted.namespaces & CLONE_NEWPID)
    stage = Stage(plan.program, wanted.host.machine, plan.descriptors)
    stage.is_among_strangers, stage.may_take_long = not wanted.is_paused, False
    try:
        stage.start(opened, 0, cgroup, attach)
        while True:
            message = stage.receive()
            if message is None:
                raise ProtocolError(f"the process ended before it could execute its program{_death(stage)}")
            operation, value = message
            if operation.number == sync.INIT_PID:
                _adopt(stage, value)
                has_fork_to_come = False
            elif has_fork_to_come:
                raise ProtocolError("internal error: the stage spoke out of turn")
            elif operation.number == sync.LISTENER:
                if listener >= 0:
                    _hand_over(stage, listener, wanted, state())
                listener = value
                stage.answer()
            else:
                _make_ready(stage, plan, wanted, ready)
                _hear_execution(stage)
                return stage
    except BaseException as error:
        stage.kill()
        name_exhausted(error, wanted.cgroup)
        raise


def _adopt(stage: Stage, pid: int) -> None:
    pidfd = open_pidfd(pid)
    if pidfd is None:
        raise ProtocolError("the process ended before it could execute its program")
    stage.answer()
    stage.adopt(pid, pidfd)


def _hand_over(stage: Stage, listener: int, wanted: Execution, state: bytes) -> None:
    from pyrunc.process.listener import hand_over_listener  # few profiles ask an agent

    hand_over_listener(stage, listener, wanted.config.linux.seccomp, state)


def _make_ready(stage: Stage, plan: ExecPlan, wanted: Execution, ready: Callable[[Stage], None]) -> None:
    if plan.in_user_namespace:
        # The stage could not raise a hard limit there: process/payload.py.
        for place, resource, soft, hard in limits_of(wanted.process):
            with during(f"{place}: set the limit"):
                set_limits(stage.pid, resource, soft, hard)
    home = b""
    if plan.home is not None:
        content = read_passwd(f"/proc/{stage.pid}/root")
        home = f"HOME={home_of(wanted.process.user.uid, content)}".encode("utf-8", "surrogateescape") + b"\0"
    ready(stage)
    stage.answer(home)


def _hear_execution(stage: Stage) -> None:
    """{index, 0} announces execve(2), EOF after it is its success: the socket is close-on-exec."""
    if stage.receive() is None:
        raise ProtocolError(f"the process ended before it could execute its program{_death(stage)}")
    stage.receive()


def _death(stage: Stage) -> str:
    status = stage.kill()
    words = describe_status(status) if status is not None else ""
    return f": {words}" if words else ""
