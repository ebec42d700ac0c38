"""Device programs in the kernel: loaded, attached, replaced, and obeyed by a process of the cgroup.  Needs root."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cgroup_members import Sandbox
from device_lists import may_by_the_list, rule
from ocispec.resources import DeviceRule
from pyrunc.cgroups.device_filter import set_device_program
from pyrunc.cgroups.device_program import compile_program
from pyrunc.errors import KernelError
from pyrunc.kernel.bpf import attach_device_program, attached_device_programs, load_device_program
from pyrunc.kernel.files import open_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.cgroups.place import ContainerCgroup

    Access = tuple[str, int, int, str]

DENY_ALL = DeviceRule(allow=False, type="a", access="rwm")
ALLOW_ALL = DeviceRule(allow=True, access="rwm")
# Devices whose opening does nothing, and numbers for local use that have no driver here: ENXIO when allowed.
NUMBERS = [("c", 1, 3), ("c", 1, 5), ("c", 241, 7), ("b", 241, 7), ("b", 242, 9)]
FLAGS = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
ACCESSES = ("r", "w", "rw", "m")


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(request.node.name[:30])
    yield made
    made.close()
    assert made.leftovers() == []


@pytest.fixture
def cgroup(sandbox: Sandbox) -> ContainerCgroup:
    return sandbox.create("c1", sandbox.only(2))


def attempt(directory: Path, access: Access) -> bool:
    """Whether the devices' cgroup lets us: EPERM is its no."""
    kind, major, minor, letters = access
    mode = 0o600 | {"c": 0o020000, "b": 0o060000}[kind]
    node = directory / f"{kind}-{major}-{minor}"
    try:
        if letters == "m":
            os.mknod(f"{node}-new", mode, os.makedev(major, minor))
            os.unlink(f"{node}-new")
        else:
            os.close(os.open(node, FLAGS[letters] | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.EPERM:
            return False
        if error.errno not in (errno.ENXIO, errno.ENODEV):
            raise
    return True


@pytest.fixture
def member(cgroup: ContainerCgroup, tmp_path: Path) -> Iterator[Callable[[list[Access]], list[bool]]]:
    """Asks a process inside the cgroup to try accesses."""
    for kind, major, minor in NUMBERS:
        mode = 0o600 | {"c": 0o020000, "b": 0o060000}[kind]
        os.mknod(tmp_path / f"{kind}-{major}-{minor}", mode, os.makedev(major, minor))
    ours, theirs = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        try:
            Path(f"{cgroup.hierarchies[0].path}/cgroup.procs").write_text("0")
            os.close(ours[1])
            with open(ours[0]) as questions, open(theirs[1], "w") as answers:
                for line in questions:
                    print(json.dumps([attempt(tmp_path, access) for access in json.loads(line)]), file=answers)
                    answers.flush()
        finally:
            os._exit(0)
    os.close(ours[0])
    os.close(theirs[1])
    with open(ours[1], "w") as questions, open(theirs[0]) as answers:

        def ask(accesses: list[Access]) -> list[bool]:
            print(json.dumps(accesses), file=questions, flush=True)
            found: list[bool] = json.loads(answers.readline())
            return found

        yield ask
        questions.close()
        os.waitpid(pid, 0)


def attached(cgroup: ContainerCgroup) -> list[int]:
    with open_directory(cgroup.hierarchies[0].path) as directory:
        return attached_device_programs(directory)


def test_the_kernel_decides_as_the_list_says(
    cgroup: ContainerCgroup, member: Callable[[list[Access]], list[bool]]
) -> None:
    """Random lists, each replacing the one before, over accesses of a process that is there all the time."""
    chooser = random.Random(6)
    accesses = [(*device, letters) for device in NUMBERS for letters in ACCESSES]
    assert all(member(accesses)), "without a program everything is allowed"
    verdicts = set()
    for _round in range(100):
        rules = [
            DeviceRule(
                allow=chooser.random() < 0.6,
                type=chooser.choice(["a", "b", "c", "c"]),
                major=chooser.choice([None, 1, 241, 242]),
                minor=chooser.choice([None, 3, 7, 9]),
                access=chooser.choice(["r", "w", "m", "rw", "rwm"]),
            )
            for _rule in range(chooser.randrange(6))
        ]
        set_device_program(cgroup, compile_program(rules))
        assert len(attached(cgroup)) <= 1
        wanted = [all(may_by_the_list(rules, *access[:3], letter) for letter in access[3]) for access in accesses]
        assert member(accesses) == wanted, rules
        verdicts.update(wanted)
    assert verdicts == {True, False}


def test_a_hundred_changes_leave_one_program(cgroup: ContainerCgroup) -> None:
    seen = set()
    for number in range(100):
        set_device_program(cgroup, compile_program([rule(True, f"c 10:{number} rw")]))
        found = attached(cgroup)
        assert len(found) == 1
        seen.update(found)
    assert len(seen) == 100, "each is a new one"
    set_device_program(cgroup, compile_program([ALLOW_ALL]))
    assert attached(cgroup) == []
    set_device_program(cgroup, b"")
    assert attached(cgroup) == []


def test_what_others_attached_is_replaced(
    cgroup: ContainerCgroup, member: Callable[[list[Access]], list[bool]]
) -> None:
    """Two of somebody else's: both go, and only after the new one is there."""
    with open_directory(cgroup.hierarchies[0].path) as directory:
        for _number in range(2):
            with load_device_program(compile_program([DENY_ALL])) as program:
                attach_device_program(directory, program)
    assert len(attached(cgroup)) == 2
    assert member([("c", 241, 7, "rw")]) == [False]
    set_device_program(cgroup, compile_program([rule(True, "c 241:7 rw")]))
    assert len(attached(cgroup)) == 1
    assert member([("c", 241, 7, "rw"), ("b", 241, 7, "rw")]) == [True, False]


def test_a_cgroup_below_cannot_have_more(
    cgroup: ContainerCgroup, sandbox: Sandbox, member: Callable[[list[Access]], list[bool]]
) -> None:
    """BPF_F_ALLOW_MULTI: the programs of all cgroups above must say yes as well."""
    set_device_program(cgroup, compile_program([rule(True, "b 241:7 rw")]))
    (Path(cgroup.hierarchies[0].path).parent / "c2").mkdir()
    above = sandbox.create("c2", sandbox.only(2))
    set_device_program(above, compile_program([ALLOW_ALL]))
    assert member([("c", 241, 7, "r"), ("b", 241, 7, "r")]) == [False, True]


def test_a_long_list(cgroup: ContainerCgroup, member: Callable[[list[Access]], list[bool]]) -> None:
    """The verifier follows every branch: 500 rules of mixed letters must not grow beyond what it is willing to."""
    rules = [
        DeviceRule(allow=number % 3 > 0, type="c" if number % 2 else "b", major=241, minor=number, access=access)
        for number in range(500)
        for access in ("rw" if number % 5 else "w",)
    ]
    set_device_program(cgroup, compile_program([rule(True, "c 241:* r"), *rules]))
    wanted = [all(may_by_the_list(rules, "c", 241, 7, letter) for letter in letters) for letters in ("r", "w", "rw")]
    assert member([("c", 241, 7, letters) for letters in ("r", "w", "rw")]) == wanted


def test_no_memory_need_be_locked(cgroup: ContainerCgroup) -> None:
    """Linux before 5.11 counted programs against RLIMIT_MEMLOCK, which takes CAP_SYS_RESOURCE to raise."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        try:
            set_device_program(cgroup, compile_program(()))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before
    assert len(attached(cgroup)) == 1


def test_what_the_kernel_refuses_is_told(cgroup: ContainerCgroup) -> None:
    """The verifier sees a program without an end, and nothing is attached."""
    with pytest.raises(KernelError, match=r"^linux\.resources\.devices: device program of /sys/fs/cgroup.*: EINVAL"):
        set_device_program(cgroup, compile_program(())[:-8])
    assert attached(cgroup) == []


def test_it_is_cheap(cgroup: ContainerCgroup) -> None:
    """A millisecond is thirty times what it takes here: something would be very wrong."""
    program = compile_program(())
    times = []
    for _number in range(20):
        start = time.perf_counter()
        set_device_program(cgroup, program)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.001
