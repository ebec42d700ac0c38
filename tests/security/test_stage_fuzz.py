"""Whatever bytes the stage is given, it touches only its own memory and ends with 0 or 1.

Two oracles: the same source under ASan and UBSan with a made-up kernel (stage_harness.c), and the real file under a
seccomp filter that leaves it nothing but its own calls (stage_jail.c).  Both are shown to bite: see the last tests.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from random_programs import LENGTH, framed, random_bytes
from stage_process import MESSAGE, build_stage

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
STAGE_SOURCE = CSRC / "stage.c"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")
SEED = 2
SANITIZED_PROGRAMS = 24_000
JAILED_PROGRAMS = 4_000
PATIENCE = 120


def compile_c(source: Path, out: Path, *flags: str) -> Path:
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", *flags, "-o", str(out), str(source)], check=True)
    return out


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(HERE / "stage_harness.c", tmp_path_factory.mktemp("harness") / "harness", *SANITIZERS)


@pytest.fixture(scope="module")
def jail(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The command that runs programs from stdin in the jail."""
    directory = tmp_path_factory.mktemp("jail")
    return [compile_c(HERE / "stage_jail.c", directory / "jail", "-O1"), build_stage(directory / "stage")]


@pytest.fixture(scope="module")
def programs() -> list[bytes]:
    return random_bytes(Random(SEED), SANITIZED_PROGRAMS)


def feed(command: Sequence[Path], programs: list[bytes]) -> bytes:
    words = [str(word) for word in command]
    result = subprocess.run(words, input=framed(programs), stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    return result.stdout


def jailed(command: Sequence[Path], programs: list[bytes]) -> list[tuple[int, bytes]]:
    """(wait status, what it said) of each."""
    out, position, results = feed(command, programs), 0, []
    while position < len(out):
        status, length = (LENGTH.unpack_from(out, position + at)[0] for at in (0, 4))
        results.append((status, out[position + 8 : position + 8 + length]))
        position += 8 + length
    return results


def test_sanitizers_find_nothing(harness: Path, programs: list[bytes]) -> None:
    counted = json.loads(feed([harness], programs))
    assert counted["programs"] == SANITIZED_PROGRAMS
    # The programs must be worth their time: all outcomes, in numbers.
    for outcome in ("refused", "failed", "ended", "calls", "syncs"):
        assert counted[outcome] > SANITIZED_PROGRAMS / 50, (outcome, counted)


def test_in_the_jail_every_end_is_0_or_1(jail: list[Path], programs: list[bytes]) -> None:
    results = jailed(jail, programs[:JAILED_PROGRAMS])
    assert len(results) == JAILED_PROGRAMS
    assert {status for status, _ in results} == {0, 1 << 8}
    for _, said in results:
        assert len(said) % MESSAGE.size == 0


@pytest.mark.slow
def test_sanitizers_find_nothing_in_many_more(harness: Path) -> None:
    for seed in range(100, 106):
        feed([harness], random_bytes(Random(seed), SANITIZED_PROGRAMS))


@pytest.mark.parametrize(
    ("check", "instead"),
    [
        pytest.param("offset + extent <= size;", "offset <= size + 8;", id="extent"),
        pytest.param("return argument < MAX_REGISTERS;", "return argument < 9999;", id="register"),
        pytest.param("answer.length > room ||", "", id="length of an answer"),
        pytest.param("(operation->target > index && ", "(", id="jump back"),
        pytest.param("operation->target <= index && ", "", id="rows that lead forward"),
        pytest.param("&& body_is_sound(machine, operation->target, index)", "", id="rows in rows"),
        pytest.param("operation->into > MAX_REGISTERS - words ||", "", id="registers of a row"),
        pytest.param("extent_of(operation->arguments[0]) == rows * words * sizeof(uint64_t)", "true", id="rows"),
        pytest.param("operation->tolerated_count > MAX_TOLERATED", "false", id="tolerated errnos"),
        pytest.param("operation->into >= MAX_REGISTERS", "false", id="result register"),
        pytest.param("words[i] % sizeof(uint64_t) != 0 || ", "", id="unaligned relocation"),
        pytest.param("size_t size = index *", "size_t size = (index + 60) *", id="forgets too much"),
    ],
)
def test_the_harness_bites(tmp_path: Path, programs: list[bytes], check: str, instead: str) -> None:
    """Without any one of the stage's checks the same programs are an error: the fuzzing is not blind."""
    source = STAGE_SOURCE.read_text()
    assert source.count(check) == 1
    (tmp_path / "stage.c").write_text(source.replace(check, instead))
    text = (HERE / "stage_harness.c").read_text()
    (tmp_path / "stage_harness.c").write_text(text.replace("../../csrc/stage.c", "stage.c"))
    harness = compile_c(tmp_path / "stage_harness.c", tmp_path / "harness", *SANITIZERS, f"-I{CSRC}", "-Wno-error")
    result = subprocess.run([str(harness)], input=framed(programs), capture_output=True, timeout=PATIENCE, check=False)
    assert result.returncode != 0
    assert b"stage_harness" in result.stderr or b"Sanitizer" in result.stderr or b"runtime error" in result.stderr


def test_the_jail_bites(jail: list[Path], programs: list[bytes], tmp_path: Path) -> None:
    """A stage that writes through a wild pointer is a signal, and is seen."""
    source = STAGE_SOURCE.read_text()
    check = "return argument < MAX_REGISTERS;"
    (tmp_path / "stage.c").write_text(source.replace(check, "return true;"))
    for name in ("stage_arch.h", "operation.h", "build_stage.sh"):
        (tmp_path / name).write_text((CSRC / name).read_text())
    command = ["/bin/sh", str(tmp_path / "build_stage.sh"), str(tmp_path / "stage")]
    subprocess.run(command, check=True)
    results = jailed([jail[0], tmp_path / "stage"], programs[:JAILED_PROGRAMS])
    assert {status for status, _ in results} - {0, 1 << 8}
