"""Rules -> BPF: architecture, then number, then arguments."""

from __future__ import annotations

from errno import ENOSYS

from pyrunc.kernel.constants import AUDIT_ARCH_X86_64, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_THREAD
from pyrunc.security.bpf import ARCHITECTURE, AT_LEAST, EQUAL, NUMBER, Assembler
from pyrunc.security.syscalls import ABSENT, X32_BIT, multiplexed_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.security.bpf import Alternative, Condition
    from pyrunc.security.seccomp_profile import Profile, Rule
    from pyrunc.security.syscalls import Architecture

_ANSWER_ENOSYS = SECCOMP_RET_ERRNO | ENOSYS
_CANCELLED = 0xFFFFFFFF  # the number of a call that a tracer cancelled: seccomp(2), Linux 4.8
_ALL_BITS = (1 << 64) - 1
_WORD = (1 << 32) - 1


def assemble(profile: Profile, architectures: Sequence[Architecture]) -> Assembler:
    """The whole filter.  Emitted backwards: the dispatch is emitted last here and runs first."""
    code = Assembler()
    trees: dict[int, dict[int, int]] = {}  # audit architecture -> base of its numbers -> place of its tree
    for architecture in reversed(architectures):
        trees.setdefault(architecture.audit, {})[architecture.base] = _tree(code, profile, architecture)
    place = code.answer(SECCOMP_RET_KILL_THREAD)
    for audit in reversed(dict.fromkeys(architecture.audit for architecture in architectures)):
        entry = _entry(code, audit, trees[audit], profile.default)
        place = code.jump(EQUAL, audit, entry, place)
    code.load(ARCHITECTURE, place)
    return code


def _entry(code: Assembler, audit: int, by_base: dict[int, int], default: int) -> int:
    """Load the number; on x86_64, tell the calls of x32 from its own."""
    place = by_base.get(0, -1)
    if audit == AUDIT_ARCH_X86_64:
        killed = code.answer(SECCOMP_RET_KILL_THREAD)
        other = by_base.get(X32_BIT, -1)
        if other < 0:
            other = code.jump(EQUAL, _CANCELLED, code.answer(default), killed)
        place = code.jump(AT_LEAST, X32_BIT, other, killed if place < 0 else place)
    return code.load(NUMBER, place)


def _tree(code: Assembler, profile: Profile, architecture: Architecture) -> int:
    decided, conditional = _decide(profile, architecture)
    places: dict[tuple[Alternative, ...], int] = {}
    for number, alternatives in conditional.items():
        if number in decided:
            continue
        ordered = _ordered(alternatives, architecture.bits)
        place = places.get(ordered)
        if place is None:
            place = places[ordered] = code.alternatives(ordered, architecture.bits, profile.default)
        decided[number] = ~place
    newest = _newest(profile, architecture) if profile.newer_is_enosys else -1
    starts, leaves = _ranges(decided, profile.default, newest, architecture.base)
    return code.search(starts, leaves, 0, len(starts))


def _decide(profile: Profile, architecture: Architecture) -> tuple[dict[int, int], dict[int, list[Alternative]]]:
    """What is decided by the number alone, and what the rules with conditions say, in the profile's order."""
    numbers = architecture.numbers
    decided: dict[int, int] = {}
    conditional: dict[int, list[Alternative]] = {}
    for rule in profile.rules:
        action = rule.action
        if not rule.alternatives:
            for column in rule.columns:
                decided.setdefault(numbers[column], action)
            continue
        alternatives = _telling(rule, architecture.bits)
        for column in rule.columns:
            if any(not conditions for conditions, _ in alternatives):
                decided.setdefault(numbers[column], action)
            else:
                conditional.setdefault(numbers[column], []).extend(alternatives)
    decided.pop(ABSENT, None)
    conditional.pop(ABSENT, None)
    if architecture.multiplexed:
        multiplexed = _multiplexed(profile, numbers)
        for rule in profile.rules:
            _add_multiplexed(conditional, rule, multiplexed, architecture.bits)
    return decided, conditional


def _telling(rule: Rule, bits: int) -> list[Alternative]:
    """A rule's alternatives without the conditions that hold always, because no bit of their mask is looked at."""
    word = (1 << bits) - 1
    return [
        (tuple(condition for condition in conditions if condition[3] & word), rule.action)
        for conditions in rule.alternatives
    ]


def _multiplexed(profile: Profile, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Column -> (the number of socketcall or ipc, the code in its first argument)."""
    known = profile.known
    calls = multiplexed_calls().items()
    return {known[name]: (numbers[known[parent]], code) for name, (parent, code) in calls}


def _add_multiplexed(
    conditional: dict[int, list[Alternative]], rule: Rule, multiplexed: dict[int, tuple[int, int]], bits: int
) -> None:
    alternatives = _telling(rule, bits) or [((), rule.action)]
    for column in rule.columns:
        if column not in multiplexed:
            continue
        number, code = multiplexed[column]
        first: Condition = (0, EQUAL, False, _ALL_BITS, code)
        conditional.setdefault(number, []).extend(
            ((first, *(condition for condition in conditions if condition[0] != 0)), action)
            for conditions, action in alternatives
        )


def _newest(profile: Profile, architecture: Architecture) -> int:
    """The highest number the profile names here; -1: it names none, and cannot have meant this architecture."""
    numbers = architecture.numbers
    named = {numbers[column] for column in profile.named}
    named.discard(ABSENT)
    return max(named, default=-1)


def _ranges(decided: dict[int, int], default: int, newest: int, base: int) -> tuple[list[int], list[int]]:
    """Neighbours with the same leaf become one range: (first numbers, leaves)."""
    starts = [base]
    leaves = [default]
    following = base
    for number in sorted(decided):
        leaf = decided[number]
        number += base
        if number > following:
            _append(starts, leaves, default, following)
        _append(starts, leaves, leaf, number)
        following = number + 1
    _append(starts, leaves, default, following)
    if newest >= 0:
        _append(starts, leaves, _ANSWER_ENOSYS, base + newest + 1)
    return starts, leaves


def _append(starts: list[int], leaves: list[int], leaf: int, start: int) -> None:
    """From `start` on it is `leaf`."""
    if starts[-1] == start:
        leaves[-1] = leaf
    elif leaves[-1] != leaf:
        starts.append(start)
        leaves.append(leaf)


def _ordered(alternatives: Sequence[Alternative], bits: int) -> tuple[Alternative, ...]:
    """Without repetitions, and the one that decides first when several hold."""
    different = tuple(dict.fromkeys(alternatives))
    if len({action for _, action in different}) == 1:
        return different
    seen: dict[tuple[int, ...], int] = {}

    def ranks(alternative: Alternative) -> list[tuple[int, ...]]:
        return [rank for condition in alternative[0] for rank in _specificity(condition, bits, seen)]

    ranked = [(ranks(alternative), alternative) for alternative in different]
    return tuple(alternative for _, alternative in sorted(ranked, key=lambda pair: pair[0]))


def _specificity(condition: Condition, bits: int, seen: dict[tuple[int, ...], int]) -> list[tuple[int, ...]]:
    """libseccomp's order, seen from outside.

    Later arguments first; then (in)equality, high values first, upper half before lower half; then bounds from above
    and from below, tight ones first; else as in the profile.
    """
    argument, test, negated, mask, datum = condition
    if test != EQUAL:
        datum &= (1 << bits) - 1
        bound = (1, datum) if negated else (2, -datum)
        return [(-argument, *bound, seen.setdefault(condition, len(seen)))]
    words: list[tuple[int, ...]] = []
    for shift in (32, 0) if bits == 64 else (0,):
        half = (argument, shift, mask >> shift & _WORD, datum >> shift & _WORD)
        words.append((-argument, 0, -half[3], seen.setdefault(half, len(seen))))
    return words
