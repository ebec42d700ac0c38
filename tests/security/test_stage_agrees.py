"""The simulator and the stage are two interpreters of one language: the same random programs end the same way.

Emitters are tested in the simulator; this is why that says something about containers.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

from pyrunc.program.encode import encode
from pyrunc.program.simulator import Run, simulate
from pyrunc.program.unrolled import steps_of
from random_programs import ANSWER, LENGTH, PRETENDED_KERNEL, PRETENDED_NUMBERS, SoundProgram, framed
from stage_process import MESSAGE, SOCKET, build_stage

HERE = Path(__file__).resolve().parent
COUNT = 3_000
SEED = 7


def expected(sound: SoundProgram, run: Run) -> tuple[int, list[tuple[int, int]]]:
    """(exit code, messages) of a stage that does what the simulator did."""
    told = [index | row << 16 for index, row in steps_of(sound.program)]
    messages = [(told[step.index], step.result) for step in run.trace if step.name.startswith("sync")]
    if run.failure is None:
        return 0, messages
    index, errno = run.failure
    return 1, [*messages, (told[index], -errno)] if run.report == SOCKET else messages


def with_answers(sound: SoundProgram, run: Run) -> bytes:
    """The program's bytes, then the answers in the order in which they will be asked for."""
    asked = [sound.answers[step.name] for step in run.trace if step.name.startswith("sync")]
    answers = b"".join(ANSWER.pack(len(payload), 0) + payload for payload in asked)
    return encode(sound.program, PRETENDED_NUMBERS) + answers


def test_the_simulator_and_the_stage_agree(tmp_path: Path) -> None:
    sounds = [SoundProgram(Random(SEED * COUNT + number)) for number in range(COUNT)]
    runs = [simulate(sound.program, PRETENDED_KERNEL, answers=sound.answers) for sound in sounds]
    jail = tmp_path / "jail"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", str(jail), str(HERE / "stage_jail.c")], check=True)
    programs = [with_answers(sound, run) for sound, run in zip(sounds, runs, strict=True)]
    command = [str(jail), str(build_stage(tmp_path / "stage"))]
    out = subprocess.run(command, input=framed(programs), stdout=subprocess.PIPE, timeout=120, check=True).stdout

    position = failed = failed_in_rows = 0
    for number, (sound, run) in enumerate(zip(sounds, runs, strict=True)):
        status, length = (LENGTH.unpack_from(out, position + at)[0] for at in (0, 4))
        said = list(MESSAGE.iter_unpack(out[position + 8 : position + 8 + length]))
        position += 8 + length
        exit_code, messages = expected(sound, run)
        assert (status, said) == (exit_code << 8, messages), f"program {number}: {run.trace}"
        failed += status != 0
        failed_in_rows += status != 0 and any(index >> 16 for index, _value in said)
    assert position == len(out)
    # The programs are no one-liners: many reach their end, many fail, and operations of every kind were run.
    assert COUNT / 10 < failed < COUNT * 9 / 10
    assert sum(len(run.trace) for run in runs) > 3 * COUNT
    assert failed_in_rows > COUNT / 50
