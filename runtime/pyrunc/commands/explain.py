"""explain: print what `create` would do with a bundle, the host's steps and the stage's program; nothing is done."""

from __future__ import annotations

from pyrunc import jsonio, log
from pyrunc.container.create import compile_bundle
from pyrunc.container.options import CreateOptions
from pyrunc.container.steps import parent_steps
from pyrunc.program.listing import as_text, list_program
from pyrunc.program.operations import SYNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cli.parse import Arguments
    from pyrunc.container.steps import Step
    from pyrunc.process.plan import Plan

CONTAINER_ID = "explained"


def run(arguments: Arguments) -> int:
    options = CreateOptions(
        container_id=CONTAINER_ID,
        bundle=arguments.bundle or ".",
        no_pivot=arguments.no_pivot,
        no_new_keyring=arguments.no_new_keyring,
        preserve_fds=arguments.preserve_fds,
        systemd_cgroup=arguments.systemd_cgroup,
        detach=False,  # a terminal needs no console socket to be explained
    )
    prepared, plan = compile_bundle(options.bundle, options)
    steps = parent_steps(prepared, plan)
    shown = as_json(steps, plan) if arguments.json else "\n".join(as_lines(steps, plan))
    log.write_all(1, log.encode(shown + "\n"))
    return 0


def as_lines(steps: Sequence[Step], plan: Plan) -> list[str]:
    """Two parts: what the runtime does, with the sync point it waits for, and what the stage does."""
    lines = ["On the host", ""]
    reached = 0
    for step in steps:
        if step.sync != reached:
            reached = step.sync
            lines += ["", f"at sync {reached} ({_sync_name(plan, reached)})"]
        lines.append(f"  {step.place or '-':<28}  {step.doing}")
    listed = list_program(plan.program)
    return [*lines, "", "", f"In the container: {len(listed)} operations", "", *as_text(listed)]


def as_json(steps: Sequence[Step], plan: Plan) -> str:
    document = {
        "host": [{"name": s.name, "place": s.place, "doing": s.doing, "sync": s.sync} for s in steps],
        "program": [line.as_json() for line in list_program(plan.program)],
        "firstStartOperation": plan.first_start_operation,
    }
    return jsonio.dumps(document, indent=2)


def _sync_name(plan: Plan, number: int) -> str:
    """What the program calls the sync point; one that it does not have is a bug of the parent's steps."""
    for operation in plan.program.operations:
        if operation.kind == SYNC and operation.number == number:
            return operation.name
    return "which this program does not reach"
