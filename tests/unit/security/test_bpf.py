"""The assembler: searches of any size and jumps of any length do what their inputs say."""

from __future__ import annotations

from random import Random

import pytest

import bpf_simulator
from pyrunc.security.bpf import AT_LEAST, EQUAL, GREATER, NUMBER, Assembler

AUDIT = 0xC000003E


def finish(code: Assembler, place: int) -> list[bpf_simulator.Instruction]:
    code.load(NUMBER, place)
    return bpf_simulator.decode(code.instructions())


def answer(program: list[bpf_simulator.Instruction], number: int, *arguments: int) -> int:
    return bpf_simulator.run(program, number, AUDIT, arguments)[0]


@pytest.mark.parametrize("ranges", [1, 2, 3, 4, 5, 7, 64, 255, 256, 257, 700, 1500])
def test_search_finds_every_range(ranges: int) -> None:
    starts = [7 * i for i in range(ranges)]
    code = Assembler()
    program = finish(code, code.search(starts, list(range(ranges)), 0, ranges))
    for i, start in enumerate(starts):
        assert [answer(program, start + k) for k in (0, 3, 6)] == [i] * 3


@pytest.mark.parametrize("ranges", [100, 1000])
def test_search_is_logarithmic(ranges: int) -> None:
    starts = [3 * i for i in range(ranges)]
    code = Assembler()
    program = finish(code, code.search(starts, [i % 5 for i in range(ranges)], 0, ranges))
    deepest = max(bpf_simulator.run(program, start, AUDIT, ())[1] for start in starts)
    assert deepest <= 2 * ranges.bit_length() + 3


def test_single_number_between_equals_takes_one_comparison() -> None:
    code = Assembler()
    program = finish(code, code.search([0, 5, 6], [1, 2, 1], 0, 3))
    assert [answer(program, n) for n in (4, 5, 6)] == [1, 2, 1]
    assert [step[0] for step in program].count(EQUAL) == 1
    assert AT_LEAST not in [step[0] for step in program]


def test_equal_answers_are_shared_until_out_of_reach() -> None:
    code = Assembler()
    first = code.answer(1)
    assert code.answer(1) == first
    for filler in range(300):
        code.answer(1000 + filler)
    assert code.answer(1) != first


@pytest.mark.parametrize("distance", [0, 1, 250, 252, 253, 254, 255, 256, 257, 3000])
def test_jumps_reach_any_distance(distance: int) -> None:
    """Both targets far away at once; one a return, which is copied, one not, which takes a long jump."""
    code = Assembler()
    far = code.jump(EQUAL, 77, code.answer(1), code.answer(2))
    near = code.answer(3)
    code.code += [0x06 | 99 << 32] * distance
    program = finish(code, code.jump(GREATER, 10, far, near))
    assert [answer(program, n) for n in (5, 77, 78)] == [3, 1, 2]


def test_conditions_on_random_words() -> None:
    """Every test, both signs, 32 and 64 bits, against Python's own comparison."""
    random = Random(3)
    values = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 64) - 1]
    operators = {EQUAL: int.__eq__, GREATER: int.__gt__, AT_LEAST: int.__ge__}
    for _ in range(1500):
        test, negated, bits = random.choice([*operators]), random.random() < 0.5, random.choice((32, 64))
        word = (1 << bits) - 1
        mask = random.choice((word, random.choice(values))) if test == EQUAL else (1 << 64) - 1
        datum, argument, index = random.choice(values) & mask, random.choice(values), random.randrange(6)
        code = Assembler()
        place = code.alternatives([(((index, test, negated, mask, datum),), 1)], bits, 2)
        arguments = [random.choice(values) for _ in range(6)]
        arguments[index] = argument
        expected = operators[test](argument & mask & word, datum & word) != negated
        assert answer(finish(code, place), 0, *arguments) == (1 if expected else 2)


def test_alternatives_decide_in_order_and_conditions_together() -> None:
    every = (1 << 64) - 1
    alternatives = [
        (((0, EQUAL, False, every, 1), (1, EQUAL, False, every, 2)), 10),
        (((0, EQUAL, False, every, 1),), 20),
    ]
    code = Assembler()
    program = finish(code, code.alternatives(alternatives, 64, 30))
    assert [answer(program, 0, *a) for a in ((1, 2), (1, 3), (2, 2))] == [10, 20, 30]
