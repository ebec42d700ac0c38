"""What the stage's file and process look like: small, static, alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.program.builder import Program
from stage_process import BUILD_SCRIPT, StageProcess, build_stage, encoded

if TYPE_CHECKING:
    from pathlib import Path

COMPILERS = ("gcc", "aarch64-linux-gnu-gcc")
LARGEST_FILE = 8192
LARGEST_RSS_KIB = 100  # 40 to 48, now and then 84 under load: what a fault maps is the kernel's choice


@pytest.fixture(scope="module", params=COMPILERS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stage(tmp_path_factory.mktemp("image") / "stage", request.param)


def readelf(image: Path, *options: str) -> str:
    command = ["/usr/bin/readelf", "-W", *options, str(image)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_file_is_small(image: Path) -> None:
    assert image.stat().st_size < LARGEST_FILE


def test_nothing_is_linked_to_it(image: Path) -> None:
    """No interpreter, no dynamic section, no relocations, no undefined symbol: no libc in any form."""
    assert "INTERP" not in readelf(image, "-l")
    assert "no dynamic section" in readelf(image, "-d")
    assert "no relocations" in readelf(image, "-r")
    assert " UND " not in readelf(image, "-s").replace("0: 0000000000000000", "")


def test_one_segment_that_nobody_can_write(image: Path) -> None:
    segments = [line.split() for line in readelf(image, "-l").splitlines() if line.startswith("  ")]
    assert [line[6:8] for line in segments if line[:1] == ["LOAD"]] == [["R", "E"]]
    assert [line[6] for line in segments if line[:1] == ["GNU_STACK"]] == ["RW"]


def test_no_symbol_of_a_compilers_own_library(tmp_path: Path) -> None:
    """gcc may call memcpy and memset even in freestanding code; -nostdlib makes that an error, and so does this."""
    source = str(BUILD_SCRIPT.parent / "stage.c")
    for compiler in COMPILERS:
        command = [compiler, "-Os", "-ffreestanding", "-c", "-o", str(tmp_path / "stage.o"), source]
        subprocess.run(command, check=True)
        names = subprocess.run(["/usr/bin/nm", "-u", str(tmp_path / "stage.o")], stdout=subprocess.PIPE, check=True)
        assert names.stdout == b""


def test_the_build_refuses_a_big_stage(tmp_path: Path) -> None:
    """The limit is checked by the build itself, not only here: a build with a large table in it has to fail."""
    script = tmp_path / "build_stage.sh"
    script.write_text(BUILD_SCRIPT.read_text())
    for name in ("stage.c", "stage_arch.h", "operation.h"):
        (tmp_path / name).write_text((BUILD_SCRIPT.parent / name).read_text())
    with open(tmp_path / "stage.c", "a") as source:
        source.write("__attribute__((used)) static const char ballast[8192] = {1};\n")
    result = subprocess.run(["/bin/sh", str(script), str(tmp_path / "stage")], stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "8192 are too many" in result.stderr
    assert not (tmp_path / "stage").exists()


def test_a_waiting_stage_is_small_in_memory(stage: Path) -> None:
    """A program like a container's: 600 operations, a filter of 300 instructions, an environment."""
    p = Program()
    for number in range(600):
        p.call("faccessat2", -100, f"/nonexistent/{number:020}", 0, 0, tolerate=(2,))
    p.constant(bytes(300 * 8))
    p.pointers([f"NAME{number}={'x' * 40}" for number in range(30)])
    p.sync(1, "ready")
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (600, 0)
        with open(f"/proc/{process.pid}/smaps_rollup") as smaps:
            fields = dict(line.split(":") for line in smaps.read().splitlines()[1:])
        rss = int(fields["Rss"].split()[0])
        print(f"RSS {rss} KiB")
        assert rss < LARGEST_RSS_KIB
        process.answer()
        assert process.wait() == 0
