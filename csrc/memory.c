/*
 * The interpreter's memory: one array in .bss, at a fixed distance from the code and the data of this executable.  The
 * linker makes libpython's malloc ours (--wrap), because some of what it keeps does not go through PyMem_.
 *
 * CPython's own allocator keeps a table of absolute addresses (obmalloc.c, arena_map_root), and libc's lies somewhere
 * else at every start.  Here a pointer is correct again when it is moved by as much as the executable was: that is
 * what makes the image of an initialised interpreter (image.c) possible.
 *
 * Blocks of one size class are cut from slabs of whole pages; `class_of_page` knows the class of each page, so a block
 * needs no header.  One thread uses this.  What is too large, or comes when the array is full, is libc's.
 *
 * An image is full of holes if what outlasts the rehearsal lies between what does not.  So the same is done once more
 * before: the first process writes down which allocation, by its number, outlasts (LISTING).  In those that write the
 * image (WRITING) these lie one behind the other at the start of the array, and all others in its second half, which
 * is not saved.  A command never uses a block of the image again: it is short.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <Python.h>

#include "memory.h"

enum { PAGE = 4096, ARENA_SIZE = 64 << 20, PAGES = ARENA_SIZE / PAGE };
enum { STEP = 16, LAST_STEPPED = 512, STEPPED = LAST_STEPPED / STEP };
enum { PER_DOUBLING = 4, LARGEST = 1 << 20 };
enum { CLASSES = STEPPED + 11 * PER_DOUBLING }; /* 512 << 11 is LARGEST */
enum { SMALL = 1024, SLAB = 4 * PAGE };
enum { HEADER = STEP };	 /* of a block while LISTING: its number */
enum { MOST = 1 << 24 }; /* allocations of a rehearsal; there are about a million */
_Static_assert((int)CLASSES <= UINT8_MAX, "a class is a byte");

struct block {
	struct block *next;
};

struct slab {
	char *position;
	char *end;
};

/* image.ld puts it behind all other data: only what lies before memory_end() is saved. */
static char arena[ARENA_SIZE] __attribute__((aligned(PAGE), section(".bss.arena")));
static uint8_t class_of_page[PAGES];
static struct block *freed[CLASSES];
static struct slab open_slab[CLASSES];
static size_t used;
static size_t image; /* the bytes at the start of the array that are the image's */

/* Of this process, not of the image: to read it would bring in a small page where a huge one is to come.  Before it is
 * in use libc may ask, while it starts: what it gets must outlast the image's arrival. */
static struct {
	int in_use;
	enum { RUNNING, LISTING, WRITING } phase;
	size_t allocations;
	size_t passing; /* blocks in the second half */
	size_t wrong;	/* blocks that were to outlast and did not */
	uint64_t outlasts[MOST / 64];
} process __attribute__((section(".bss.process")));

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

/* -- blocks of a class -------------------------------------------------------------------------------------------- */

/* 16, 32 ... 512, then four classes between a power of two and the next: 640, 768, 896, 1024, 1280 ... */
static size_t size_of(unsigned class)
{
	if (class < STEPPED)
		return (size_t)(class + 1) * STEP;
	const unsigned doubling = (class - STEPPED) / PER_DOUBLING;
	const unsigned quarter = (class - STEPPED) % PER_DOUBLING + 1;

	return ((size_t)LAST_STEPPED << doubling) / PER_DOUBLING * (PER_DOUBLING + quarter);
}

static unsigned class_for(size_t size)
{
	if (size <= LAST_STEPPED)
		return size == 0 ? 0 : (unsigned)((size - 1) / STEP);
	const unsigned doubling = (unsigned)(63 - __builtin_clzl((size - 1) / LAST_STEPPED));
	const size_t quarter = ((size_t)LAST_STEPPED << doubling) / PER_DOUBLING;

	return STEPPED + doubling * PER_DOUBLING + (unsigned)((size - 1) / quarter - PER_DOUBLING);
}

static size_t in_pages(size_t size)
{
	return (size + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* A freed block of whole pages that is large enough, whatever its class was. */
static char *take_pages(size_t *size)
{
	for (unsigned class = class_for(*size); class < CLASSES; class ++) {
		struct block *block = freed[class];

		if (block && size_of(class) >= *size && size_of(class) % PAGE == 0) {
			freed[class] = block->next;
			*size = size_of(class);
			return (char *)block;
		}
	}
	return NULL;
}

static char *take_new_pages(size_t size)
{
	if (size > ARENA_SIZE - used)
		return NULL;
	used += size;
	return arena + used - size;
}

/* A new slab for blocks of `class`; 0 when the array is full. */
static int open_new_slab(unsigned class)
{
	const size_t block = size_of(class);
	size_t size = block <= SMALL ? PAGE : block <= SLAB / 2 ? SLAB : in_pages(block);
	char *pages = take_pages(&size);

	if (!pages)
		pages = take_new_pages(size);
	if (!pages)
		return 0;
	open_slab[class] = (struct slab){pages, pages + size};
	memset(class_of_page + (pages - arena) / PAGE, (int)class, size / PAGE);
	return 1;
}

static void *take_block(unsigned class)
{
	const size_t size = size_of(class);
	struct block *block = freed[class];

	if (block) {
		freed[class] = block->next;
		return block;
	}
	if ((size_t)(open_slab[class].end - open_slab[class].position) < size && !open_new_slab(class))
		return NULL;
	open_slab[class].position += size;
	return open_slab[class].position - size;
}

static unsigned class_of(const void *block)
{
	return class_of_page[((const char *)block - arena) / PAGE];
}

static void give_back_block(void *address)
{
	const unsigned class = class_of(address);
	struct block *block = address;

	block->next = freed[class];
	freed[class] = block;
}

static int is_ours(const void *block)
{
	return (const char *)block >= arena && (const char *)block < arena + ARENA_SIZE;
}

static int is_of_image(const void *block)
{
	return (const char *)block < arena + image;
}

/* -- while an image is made --------------------------------------------------------------------------------------- */

static int outlasts(size_t number)
{
	return process.outlasts[number / 64] >> number % 64 & 1;
}

/* Zeroed, because bytes that nobody wrote would not be the same twice. */
static void *take_cleared(size_t size)
{
	const unsigned class = class_for(size);
	void *block = size > LARGEST ? NULL : take_block(class);

	return block ? memset(block, 0, size_of(class)) : NULL;
}

static void *take_of_image(size_t size)
{
	const size_t steps = size == 0 ? 1 : (size + STEP - 1) / STEP;

	if (steps * STEP > ARENA_SIZE / 2 - image)
		return NULL;
	image += steps * STEP;
	return arena + image - steps * STEP;
}

static void *take_passing(size_t size)
{
	void *block = take_cleared(size);

	process.passing += block != NULL;
	return block;
}

static void *take_listed(size_t size, size_t number)
{
	char *block = take_cleared(size + HEADER);

	if (!block)
		return NULL;
	process.outlasts[number / 64] |= (uint64_t)1 << number % 64;
	*(size_t *)block = number;
	return block + HEADER;
}

static void *take_numbered(size_t size)
{
	const size_t number = process.allocations++;

	if (number >= MOST)
		return NULL;
	if (process.phase == LISTING)
		return take_listed(size, number);
	return outlasts(number) ? take_of_image(size) : take_passing(size);
}

static void give_back_numbered(void *block)
{
	if (process.phase == LISTING) {
		size_t *header = (size_t *)((char *)block - HEADER);

		process.outlasts[*header / 64] &= ~((uint64_t)1 << *header % 64);
		give_back_block(header);
	} else if (is_of_image(block)) {
		process.wrong++;
	} else {
		process.passing--;
		give_back_block(block);
	}
}

/* -- malloc and its like ------------------------------------------------------------------------------------------ */

static void *take(size_t size)
{
	void *block = NULL;

	if (size <= LARGEST - HEADER && process.in_use)
		block = process.phase == RUNNING ? take_block(class_for(size)) : take_numbered(size);
	return block ? block : __real_malloc(size);
}

static void give_back(void *block)
{
	if (!block)
		return;
	if (!is_ours(block))
		__real_free(block);
	else if (process.phase != RUNNING)
		give_back_numbered(block);
	else if (!is_of_image(block))
		give_back_block(block);
}

static void *take_zeroed(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	void *block = take(total);

	return block ? memset(block, 0, total) : NULL;
}

/* How much of a block may be copied: at least what was asked for.  How large one of the image was is forgotten. */
static size_t room_of(const void *block)
{
	if (is_of_image(block))
		return (size_t)(arena + image - (const char *)block);
	return size_of(class_of(block)) - (process.phase == LISTING ? HEADER : 0);
}

static void *resize(void *block, size_t size)
{
	if (!block)
		return take(size);
	if (!is_ours(block))
		return __real_realloc(block, size ? size : 1);
	const size_t old = room_of(block);

	if (size <= old && size > old / 2 && process.phase == RUNNING && !is_of_image(block))
		return block;
	void *moved = take(size);

	if (moved) {
		memcpy(moved, block, size < old ? size : old);
		give_back(block);
	}
	return moved;
}

/* -- as CPython asks for it: PyMemAllocatorEx, PyObjectArenaAllocator (for the stack of frames), and by name ------- */

static void *allocate(void *context, size_t size)
{
	(void)context;
	return take(size);
}

static void *allocate_zeroed(void *context, size_t count, size_t size)
{
	(void)context;
	return take_zeroed(count, size);
}

static void *reallocate(void *context, void *block, size_t size)
{
	(void)context;
	return resize(block, size);
}

static void release(void *context, void *block)
{
	(void)context;
	give_back(block);
}

static void release_chunk(void *context, void *chunk, size_t size)
{
	(void)context;
	(void)size;
	give_back(chunk);
}

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size)
{
	return take(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return take_zeroed(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	return resize(block, size);
}

void __wrap_free(void *block)
{
	give_back(block);
}

void memory_start(void)
{
	process.in_use = 1;
}

void memory_set_up(void)
{
	PyMemAllocatorEx functions = {NULL, allocate, allocate_zeroed, reallocate, release};
	PyObjectArenaAllocator chunks = {NULL, allocate, release_chunk};

	memory_start();
	PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &functions);
	PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &functions);
	PyObject_SetArenaAllocator(&chunks);
}

/* -- making an image ---------------------------------------------------------------------------------------------- */

void memory_begin_list(void)
{
	process.phase = LISTING;
}

int memory_write_list(int file)
{
	const size_t size = (process.allocations + 63) / 64 * sizeof(*process.outlasts);

	if (process.allocations > MOST)
		return -ENOMEM;
	return write(file, process.outlasts, size) == (ssize_t)size ? 0 : -EIO;
}

int memory_begin_image(int file)
{
	process.phase = WRITING;
	used = ARENA_SIZE / 2;
	return read(file, process.outlasts, sizeof(process.outlasts)) > 0 ? 0 : -EIO;
}

const char *memory_end_image(void)
{
	if (process.wrong != 0 || process.passing != 0)
		return NULL;
	used = in_pages(image);
	memset(class_of_page, 0, sizeof(class_of_page));
	memset(freed, 0, sizeof(freed));
	memset(open_slab, 0, sizeof(open_slab));
	process.phase = RUNNING;
	return arena + used;
}
