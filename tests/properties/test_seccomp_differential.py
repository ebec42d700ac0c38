"""Our filter and libseccomp's decide alike: on thousands of random profiles, and on one like Docker's.

libseccomp 2.5.4 errs: where it shares instructions between rules, or rules of several architectures, the accumulator
may hold another word than the shared instructions compare; some trees of 64-bit bounds lose a branch; now and then it
loops for ever.  So each disagreement goes to an arbiter that reads the profile rule by rule (seccomp_reading): our
filter must never contradict it, libseccomp's tree may only disagree with ours where it does, or where rules with
different actions overlap, and its filter only where it contradicts its own tree (which it prints as pseudo-code).
"""

from __future__ import annotations

import os
from random import Random
from typing import NamedTuple

import pytest

import bpf_simulator
import seccomp_oracle
import seccomp_reading
from pyrunc.security.seccomp import compile_filter
from pyrunc.security.syscalls import Architecture
from seccomp_profiles import NAMES, OTHERS, docker_like, random_calls, random_profile

SEED = int(os.environ.get("PYRUNC_SEED", "0")) or Random().randrange(1, 1 << 32)
PROFILES = 2040  # some are lost to libseccomp's endless loops
BATCH = 255
EVERYWHERE = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")


class Count(NamedTuple):
    calls: int
    tree: int  # profiles for which libseccomp's tree decides otherwise
    filter: int  # ... its filter
    endless: int  # ... it does not come back


def compare(random: Random, mixed: bool) -> Count:
    machine = random.choice(tuple(OTHERS))
    profile = random_profile(random, machine, mixed=mixed)
    opinion = seccomp_oracle.ask_in_time(profile, machine, optimize=random.random() < 0.5)
    if opinion is None:
        return Count(0, 0, 0, 1)
    profile = opinion.profile
    compiled = compile_filter(profile, machine, newer_is_enosys=False)
    ours, theirs = bpf_simulator.decode(compiled.instructions), bpf_simulator.decode(opinion.bpf)
    listed = {*seccomp_reading.natives(machine), *profile.architectures}
    calls = tree_differs = filter_differs = 0
    for name in sorted({*EVERYWHERE, *OTHERS[machine], *profile.architectures}):
        architecture = Architecture(name)
        for number, arguments in random_calls(random, profile, architecture):
            calls += 1
            decided, _ = bpf_simulator.run(ours, number, architecture.audit, arguments)
            by_tree = seccomp_oracle.decide(opinion.tree, name, number, arguments)
            by_filter, _ = bpf_simulator.run(theirs, number, architecture.audit, arguments)
            possible = seccomp_reading.decisions(profile, listed, architecture, number, arguments)
            place = f"{name} {number:#x} {[hex(a) for a in arguments]} of {profile}"
            assert decided in possible, f"{decided:#x} is none of {[hex(p) for p in possible]}: {place}"
            if decided != by_tree:
                assert len(possible) > 1 or by_tree not in possible, f"{decided:#x}, not {by_tree:#x}: {place}"
                tree_differs = 1
            elif decided != by_filter:
                filter_differs = 1  # libseccomp's filter does not do what its rules say
    return Count(calls, tree_differs, filter_differs, 0)


@pytest.mark.parametrize("mixed", [False, True], ids=["one-action", "many-actions"])
@pytest.mark.parametrize("batch", range(PROFILES // BATCH // 2))
def test_random_profiles(batch: int, mixed: bool) -> None:
    """`mixed`: rules of one call with different actions may overlap; libseccomp's order decides, see `_specificity`."""
    print(f"PYRUNC_SEED={SEED} batch {batch}")
    random = Random(f"{SEED}/{batch}/{mixed}")
    counts = [compare(random, mixed) for _ in range(BATCH)]
    calls, tree, filtered, endless = (sum(column) for column in zip(*counts, strict=True))
    assert calls > 50 * BATCH
    # libseccomp's own mistakes, as measured: 0.3 % and 1 % of the profiles; 7 % of the filters
    assert tree <= BATCH * (0.05 if mixed else 0.025), f"{tree} profiles are understood otherwise"
    assert filtered <= BATCH * 0.15, f"{filtered} filters of libseccomp differ from its rules"
    assert endless <= 3, f"libseccomp did not come back from {endless} profiles"


@pytest.mark.parametrize("machine", list(OTHERS))
@pytest.mark.parametrize("optimize", [False, True], ids=["linear", "tree"])
def test_docker_like_profile(machine: str, optimize: bool) -> None:
    """Every number to 1100, on every architecture, with arguments on both sides of every condition: exactly alike."""
    opinion = seccomp_oracle.ask(docker_like(machine), machine, optimize=optimize)
    compiled = compile_filter(opinion.profile, machine, newer_is_enosys=False)
    ours, theirs = bpf_simulator.decode(compiled.instructions), bpf_simulator.decode(opinion.bpf)
    arguments = [(value, 0, 0) for value in (0, 1, 8, 40, 0x20000, 0x7E020000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 40)]
    for name in sorted({*EVERYWHERE, *OTHERS[machine], "SCMP_ARCH_RISCV64"}):
        architecture = Architecture(name)
        numbers = [*range(1100), 0x0F0001, 0x0F0002, 0x0F0005]
        for number in [architecture.base + number for number in numbers] + [0x3FFFFFFF, 0x80000000, 0xFFFFFFFF]:
            for given in arguments:
                here = bpf_simulator.run(ours, number, architecture.audit, given)[0]
                there = bpf_simulator.run(theirs, number, architecture.audit, given)[0]
                assert here == there, f"{name} {number:#x} {given[0]:#x}: {here:#x}, not {there:#x}"


def test_arbiter_disagrees_with_a_wrong_filter() -> None:
    """The negative control: a filter with one comparison turned round is noticed within a few profiles."""
    random = Random(7)
    noticed = 0
    for _ in range(40):
        profile = random_profile(random, "x86_64", mixed=False)
        program = bpf_simulator.decode(compile_filter(profile, "x86_64", newer_is_enosys=False).instructions)
        tests = [place for place, step in enumerate(program) if step[0] == bpf_simulator.EQUAL and step[1] != step[2]]
        code, yes, no, operand = program[tests[-1]]
        program[tests[-1]] = (code, no, yes, operand)
        listed = {*seccomp_reading.natives("x86_64"), *profile.architectures}
        for name in sorted(listed):
            architecture = Architecture(name)
            noticed += any(
                bpf_simulator.run(program, number, architecture.audit, arguments)[0]
                not in seccomp_reading.decisions(profile, listed, architecture, number, arguments)
                for number, arguments in random_calls(random, profile, architecture)
            )
    assert noticed > 10


def test_names_are_libseccomps() -> None:
    assert len(NAMES) > 450
