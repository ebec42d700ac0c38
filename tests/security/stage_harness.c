/*
 * csrc/stage.c in a process with ASan and UBSan, and a kernel that is made up: system_call() below.
 *
 * stdin: programs, each {u32 length, bytes}; what follows a program in its bytes are answers to its sync points.
 * Exit 0 when all of them were run or refused.  The sanitizers abort on any access outside the stage's mapping, which
 * is an exact malloc(3) here; verify() checks again, in other words than the stage, what the stage let through.
 */
#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long system_call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
			unsigned long e, unsigned long f);

#define PYRUNC_STAGE_ARCH_H
#define DECLARES_ENTRY __attribute__((noreturn))
#define PAGE_SIZE 4096UL
#include <asm/unistd.h>

#include "../../csrc/stage.c"

static struct {
	uint8_t *bytes; /* what the socket delivers */
	uint32_t length, position;
	uint8_t *mapping, *fixed_copy;
	size_t mapped, fixed; /* `fixed`: the part that the stage protected */
	unsigned programs, refused, failed, ended, calls, syncs;
	uint64_t random;
	jmp_buf over;
} world;

static void demand(int condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "stage_harness: %s\n", what);
		abort();
	}
}

/* xorshift64: any sequence will do, as long as it is the same every time. */
static uint64_t next_random(void)
{
	world.random ^= world.random << 13;
	world.random ^= world.random >> 7;
	world.random ^= world.random << 17;
	return world.random;
}

static long deliver(void *buffer, size_t size)
{
	const size_t left = world.length - world.position;
	size_t count = size < left ? size : left;

	if (next_random() % 8 == 0)
		return -EINTR;
	if (count > 1 && next_random() % 4 == 0)
		count = 1 + next_random() % count; /* a stream gives what it has */
	memcpy(buffer, world.bytes + world.position, count);
	world.position += (uint32_t)count;
	return (long)count;
}

static long map(size_t size)
{
	demand(world.mapping == NULL, "mapped twice");
	world.mapping = calloc(1, size);
	world.mapped = size;
	return world.mapping != NULL ? (long)world.mapping : -ENOMEM;
}

/* An EACH: goes back over nothing that must not run twice, and takes what there is into registers that there are. */
static void verify_rows(const uint8_t *operation, uint32_t index, uint16_t target)
{
	uint64_t words, rows;
	uint32_t offset, extent;

	memcpy(&offset, operation + 24, 4);
	memcpy(&extent, operation + 28, 4);
	memcpy(&words, operation + 32, 8);
	memcpy(&rows, operation + 40, 8);
	demand(target <= index, "rows that lead forward");
	for (uint32_t i = target; i < index; i++)
		demand(world.mapping[(size_t)i * 72] < 4 || world.mapping[(size_t)i * 72] == 5, "a sync point, or rows, that would be run again");
	demand(operation[8] == 1 && operation[9] == 0 && operation[10] == 0, "a table of another kind");
	demand(words > 0 && words < 65 && operation[1] + words <= 64, "words without registers");
	demand(rows < 65536 && rows * words * 8 == extent && offset % 8 == 0, "rows that are not there");
}

/* The stage has accepted the program: is all of it inside? */
static void verify(void)
{
	const struct header *header = (const struct header *)world.bytes;
	const size_t operations = (size_t)header->operations * 72, words = (size_t)header->relocations * 4;

	demand(world.mapped == world.fixed + 64 * 8 + header->size, "the mapping has another size");
	for (uint32_t i = 0; i < header->operations; i++) {
		const uint8_t *operation = world.mapping + (size_t)i * 72;
		uint16_t target;

		memcpy(&target, operation + 6, 2);
		demand(operation[0] <= 6, "an unknown kind");
		demand(operation[1] == 255 || operation[1] < 64, "a register that does not exist");
		demand(operation[2] <= 4, "too many tolerated errnos");
		if (operation[0] == 6)
			verify_rows(operation, i, target);
		else
			demand(target == 65535 || (target > i && target <= header->operations), "a jump back or out");
		for (int j = 0; j < 6; j++) {
			uint32_t low, high;

			memcpy(&low, operation + 24 + 8 * j, 4);
			memcpy(&high, operation + 28 + 8 * j, 4);
			if (operation[8 + j] == 1)
				demand((uint64_t)low + high <= header->size, "a pointer out of the data");
			else if (operation[8 + j] == 2)
				demand(low < 64 && high == 0, "an argument's register that does not exist");
			else
				demand(operation[8 + j] == 0, "an unknown kind of argument");
		}
	}
	__asan_poison_memory_region(world.mapping + operations + words, world.fixed - operations - words);
}

static long protect(unsigned long start, size_t size, unsigned long mode)
{
	demand(start == (unsigned long)world.mapping && size % PAGE_SIZE == 0 && mode == PROT_READ, "an odd mprotect");
	demand(size <= world.mapped, "protects more than there is");
	world.fixed = size;
	verify();
	return 0;
}

/* A system call of the program: a kernel may write anywhere in the data, and answer anything. */
static long pretend(void)
{
	const size_t start = world.fixed + 64 * 8;

	world.calls++;
	for (int i = 0; i < 4 && world.mapped > start; i++)
		world.mapping[start + next_random() % (world.mapped - start)] = (uint8_t)next_random();
	switch (next_random() % 4) {
	case 0:
		return -(long)(next_random() % 40);
	case 1:
		return (long)next_random();
	default:
		return (long)(next_random() % 4);
	}
}

static long system_call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
			unsigned long e, unsigned long f)
{
	switch (number) {
	case __NR_read:
		return deliver((void *)b, c);
	case __NR_mmap:
		return map(b);
	case __NR_mprotect:
		return protect(a, b, c);
	case __NR_madvise:
		demand(a == (unsigned long)world.mapping && b <= world.fixed && b % PAGE_SIZE == 0, "an odd madvise");
		__asan_poison_memory_region(world.mapping, b); /* what is forgotten must not be read again */
		return 0;
	case __NR_sendto:
	case __NR_write: {
		struct message message;

		memcpy(&message, (const void *)b, sizeof(message));
		demand(c == sizeof(message), "a message of another size");
		world.syncs += message.value >= 0;
		world.failed += message.value < 0;
		world.refused += message.operation == NO_OPERATION;
		return next_random() % 16 == 0 ? -EPIPE : (long)c;
	}
	case __NR_exit_group:
		world.ended += a == 0;
		longjmp(world.over, 1);
	default:
		(void)d, (void)e, (void)f;
		return pretend();
	}
}

static void forget_world(void)
{
	__asan_unpoison_memory_region(world.mapping, world.mapped);
	free(world.mapping);
	world.mapping = NULL;
	world.mapped = world.fixed = 0;
	world.position = 0;
}

int main(void)
{
	world.random = 88172645463325252ULL;
	while (fread(&world.length, sizeof(world.length), 1, stdin) == 1) {
		world.bytes = malloc(world.length);
		if (fread(world.bytes, 1, world.length, stdin) != world.length)
			return 2;
		if (setjmp(world.over) == 0)
			stage_main();
		forget_world();
		free(world.bytes);
		world.programs++;
	}
	printf("{\"programs\": %u, \"refused\": %u, \"failed\": %u, \"ended\": %u, \"calls\": %u, \"syncs\": %u}\n",
	       world.programs, world.refused, world.failed, world.ended, world.calls, world.syncs);
	return 0;
}
