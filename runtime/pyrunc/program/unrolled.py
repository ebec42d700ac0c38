"""A program as if it had no loops: for those who read it, and for the simulator.

Operations that the stage runs for each row of a table are shown once for each row, with the words of the row in their
places; the two operations that make the loop are not shown.  Targets are places in the list that comes out.
"""

from __future__ import annotations

from pyrunc.program.operations import Operation, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program

    Step = tuple[int, int]  # the index of an operation, and the row that it runs for; 0 outside of loops


def unrolled(program: Program) -> list[Operation]:
    """All operations in the order in which they run."""
    unroller = _Unroller(program)
    return [unroller.operation(step) for step in unroller.steps]


def steps_of(program: Program) -> list[Step]:
    """Which operation, and for which row, each of those is."""
    steps: list[Step] = []
    index = 0
    for start, end, rows in program.loops:
        steps += [(before, 0) for before in range(index, start - 1)]
        steps += [(inside, row) for row in range(1, rows + 1) for inside in range(start, end)]
        index = end + 1
    return steps + [(after, 0) for after in range(index, len(program))]


class _Unroller:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.by_jump = {start - 1: (start, end, rows) for start, end, rows in program.loops}
        self.by_end = {end: (start, end, rows) for start, end, rows in program.loops}
        self.steps = steps_of(program)
        self.places = {step: place for place, step in enumerate(self.steps)}

    def operation(self, step: Step) -> Operation:
        index, row = step
        operation = self.program.operation(index | row << 16)
        if operation.target is not None:
            operation.target = Target(self._place(operation.target.index, row))
        return operation

    def _place(self, index: int, row: int) -> int:
        """Where one goes on who goes to this operation from this row."""
        while index in self.by_jump or index in self.by_end:
            if index in self.by_jump:
                index, row = self.by_jump[index][1], 0
            else:
                start, end, rows = self.by_end[index]
                index, row = (start, row + 1) if row < rows else (end + 1, 0)
        return self.places.get((index, row), len(self.steps))
