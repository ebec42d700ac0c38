"""What `create` would do, for people and for programs: the host's steps and the stage's program."""

from __future__ import annotations

from pyrunc.container.create import compile_bundle
from pyrunc.container.steps import parent_steps
from pyrunc.jsonio import dumps
from pyrunc.program.listing import as_text, list_program
from pyrunc.program.operations import SYNC
from pyrunc.program.unrolled import steps_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.options import CreateOptions
    from pyrunc.process.plan import Plan

_PLACE_COLUMN = 28


def explain_text(options: CreateOptions) -> str:
    """Two parts: what the runtime does, with the sync point it waits for, and what the stage does."""
    prepared, plan = compile_bundle(options.bundle, options)
    lines = ["On the host", ""]
    reached = 0
    for step in parent_steps(prepared, plan):
        if step.sync != reached:
            reached = step.sync
            lines += ["", f"at sync {reached} ({_sync_name(plan, reached)})"]
        lines.append(f"  {step.place or '-':<{_PLACE_COLUMN}}  {step.doing}")
    listed = list_program(plan.program)
    lines += ["", "", f"In the container: {len(listed)} operations", "", *as_text(listed)]
    return "\n".join(lines) + "\n"


def explain_json(options: CreateOptions) -> str:
    """{"host": [step], "program": [operation], "firstStartOperation": index of the first that happens at `start`}."""
    prepared, plan = compile_bundle(options.bundle, options)
    steps = parent_steps(prepared, plan)
    document = {
        "host": [{"name": s.name, "place": s.place, "doing": s.doing, "sync": s.sync} for s in steps],
        "program": [line.as_json() for line in list_program(plan.program)],
        "firstStartOperation": steps_of(plan.program).index((plan.first_start_operation, 0)),
    }
    return dumps(document, indent=2) + "\n"


def _sync_name(plan: Plan, number: int) -> str:
    """What the program calls the sync point; one that it does not have is a bug of the parent's steps."""
    for operation in plan.program.operations:
        if operation.kind == SYNC and operation.number == number:
            return operation.name
    return "which this program does not reach"
