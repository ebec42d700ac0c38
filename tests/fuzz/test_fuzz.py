"""A short run of each libFuzzer target: the committed corpus, and a few seconds beyond it; `make fuzz` takes longer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from fuzz.run import CORPUS, CSRC, TARGETS, build, fuzz

if TYPE_CHECKING:
    from pathlib import Path

RUNS = {"stage": 20_000, "helper": 10_000, "json": 20_000, "assembler": 4_000}
# More than the targets reach with an empty input alone: a fuzzer that stops at the door finds nothing.
COVERED = {"stage": 130, "helper": 45, "json": 220, "assembler": 220}
SEED = "-seed=1"


@pytest.mark.parametrize("name", TARGETS)
def test_no_crash(tmp_path: Path, name: str) -> None:
    executions, status, said = fuzz(build(name, tmp_path), name, tmp_path, f"-runs={RUNS[name]}", SEED)
    assert status == 0, said.decode("utf-8", "replace")[-4000:]
    assert executions >= RUNS[name]
    assert int(re.findall(rb"cov: (\d+)", said)[-1]) > COVERED[name]


def test_the_corpus_is_small() -> None:
    sizes = [file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()]
    assert len(sizes) > 100
    assert sum(sizes) < 200_000


@pytest.mark.parametrize(
    ("source", "check", "instead"),
    [
        ("assembler.c", "word < 0 || word > self->size - 8", "word < 0"),
        ("json.c", "*position != '\"' && *position != '\\\\' && (unsigned char)*position >= ' '", "*position != '\"'"),
    ],
)
def test_the_fuzzers_bite(tmp_path: Path, source: str, check: str, instead: str) -> None:
    """Without a check the same run is a find."""
    name = source.partition(".")[0]
    text = (CSRC / source).read_text()
    assert text.count(check) == 1
    broken = tmp_path / source
    broken.write_text(text.replace(check, instead))
    program = build(name, tmp_path, {CSRC / source: broken})
    _executions, status, said = fuzz(program, name, tmp_path, "-runs=20000", SEED)
    assert status != 0
    assert b"Sanitizer" in said
