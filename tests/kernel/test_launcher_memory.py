"""csrc/memory.c with an interpreter that is a random number generator: under the sanitizers, in all three phases.

The program allocates, resizes and frees at random, fills each block with what its number says, and looks at it again
before it changes or frees it.  The same choices, listed and then made for an image, have to lie one behind the other.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
WRAPPED = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"
FLAGS = [
    "-std=gnu11",
    "-g",
    "-O1",
    "-Wall",
    "-Wextra",
    "-fno-builtin",
    "-fsanitize=undefined",
    "-fno-sanitize-recover=all",
]
PROGRAM = r"""
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "memory.h"

/* What memory.c tells CPython. */
void PyMem_SetAllocator(int domain, void *functions) { (void)domain; (void)functions; }
void PyObject_SetArenaAllocator(void *functions) { (void)functions; }

enum { BLOCKS = 3000 };
static struct { unsigned char *at; size_t size; unsigned char fill; } blocks[BLOCKS];
static uint64_t state;

static uint64_t pick(uint64_t below)
{
	state ^= state << 13; state ^= state >> 7; state ^= state << 17;
	return state % below;
}

static void demand(int good, const char *what)
{
	if (good)
		return;
	(void)!write(2, what, strlen(what));
	_exit(1);
}

static void look(int i)
{
	for (size_t k = 0; k < blocks[i].size; k++)
		demand(blocks[i].at[k] == blocks[i].fill, "a block has changed\n");
}

static void fill(int i, size_t size)
{
	blocks[i].size = size;
	blocks[i].fill = (unsigned char)(1 + pick(255));
	memset(blocks[i].at, blocks[i].fill, size);
	demand((uintptr_t)blocks[i].at % 16 == 0, "not aligned\n");
}

static size_t some_size(void)
{
	return pick(20) ? pick(700) : pick(20) ? pick(60000) : pick(1500000);
}

static void step(void)
{
	const int i = (int)pick(BLOCKS);
	const size_t size = some_size();

	if (!blocks[i].at) {
		blocks[i].at = pick(4) ? malloc(size) : calloc(size ? size : 1, 1);
		demand(blocks[i].at != NULL, "no memory\n");
		fill(i, size);
	} else if (pick(3) == 0) {
		look(i);
		const size_t kept = size < blocks[i].size ? size : blocks[i].size;
		unsigned char *moved = realloc(blocks[i].at, size ? size : 1);
		demand(moved != NULL, "no memory\n");
		for (size_t k = 0; k < kept; k++)
			demand(moved[k] == blocks[i].fill, "realloc lost something\n");
		blocks[i].at = moved;
		fill(i, size);
	} else {
		look(i);
		free(blocks[i].at);
		blocks[i].at = NULL;
	}
}

static void keep_few(void)
{
	for (int i = 0; i < BLOCKS; i++)
		if (i % 7 && blocks[i].at) {
			look(i);
			free(blocks[i].at);
			blocks[i].at = NULL;
		}
}

/* run|list|write SEED SEED-AFTER LIST */
int main(int count, char **arguments)
{
	const char *phase = arguments[1];
	const char *start = NULL;
	size_t kept = 0;

	(void)count;
	memory_set_up();
	if (strcmp(phase, "list") == 0)
		memory_begin_list();
	if (strcmp(phase, "write") == 0)
		demand(memory_begin_image(open(arguments[4], O_RDONLY)) == 0, "no list\n");
	state = strtoull(arguments[2], NULL, 10);
	start = malloc(16); /* outlasts: the first of an image */
	for (int i = 0; i < 20000; i++)
		step();
	keep_few();
	if (strcmp(phase, "list") == 0) {
		demand(memory_write_list(open(arguments[4], O_WRONLY | O_CREAT | O_TRUNC, 0600)) == 0, "no list\n");
		_exit(0);
	}
	if (strcmp(phase, "write") == 0) {
		const char *end = memory_end_image();

		if (!end)
			_exit(3);
		for (int i = 0; i < BLOCKS; i++)
			if (blocks[i].at && (char *)blocks[i].at >= start && (char *)blocks[i].at < end)
				kept += (blocks[i].size + 15) / 16 * 16;
		/* all that is kept, blocks of no bytes, and the rest of the last page */
		demand((size_t)(end - start) < kept + 16 * BLOCKS / 7 + 4096 + 32, "there are holes\n");
	}
	/* a command: the image's blocks are read, resized, freed; new ones come */
	state = strtoull(arguments[3], NULL, 10);
	for (int i = 0; i < 20000; i++)
		step();
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].at)
			look(i);
	_exit(0);
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("memory")
    (directory / "program.c").write_text(PROGRAM)
    include = [f"-I{sysconfig.get_path('include')}", f"-I{CSRC}"]
    out = directory / "program"
    sources = [directory / "program.c", CSRC / "memory.c"]
    subprocess.run(["gcc", *FLAGS, *include, WRAPPED, "-o", out, *sources], check=True)
    return out


def run(program: Path, *arguments: object) -> int:
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    return result.returncode


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_blocks_are_nobody_elses(program: Path, seed: int) -> None:
    assert run(program, "run", seed, seed + 100, "") == 0


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_an_image_has_no_holes_and_can_be_used(program: Path, seed: int, tmp_path: Path) -> None:
    allocations = tmp_path / "list"
    assert run(program, "list", seed, 0, allocations) == 0
    assert run(program, "write", seed, seed + 100, allocations) == 0


def test_the_list_of_other_allocations_is_refused(program: Path, tmp_path: Path) -> None:
    allocations = tmp_path / "list"
    assert run(program, "list", 7, 0, allocations) == 0
    assert run(program, "write", 8, 100, allocations) == 3
