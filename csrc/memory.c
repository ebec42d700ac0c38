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
 */
#include <stdint.h>
#include <string.h>

#include <Python.h>

#include "memory.h"

enum { PAGE = 4096, ARENA_SIZE = 64 << 20, PAGES = ARENA_SIZE / PAGE };
enum { STEP = 16, LAST_STEPPED = 512, STEPPED = LAST_STEPPED / STEP };
enum { PER_DOUBLING = 4, LARGEST = 1 << 20 };
enum { CLASSES = STEPPED + 11 * PER_DOUBLING }; /* 512 << 11 is LARGEST */
enum { SMALL = 1024, SLAB = 4 * PAGE };
enum { STARTS = 0x80, CLASS = 0x7f, NOBODY = 0x7f };
_Static_assert((int)CLASSES < (int)NOBODY, "a class is seven bits");

struct block {
	struct block *next;
};

struct slab {
	char *position;
	char *end;
};

/* image.ld puts it behind all other data: only what lies before memory_end() is saved. */
static char arena[ARENA_SIZE] __attribute__((aligned(PAGE), section(".bss.arena")));
static uint8_t class_of_page[PAGES]; /* a slab's first page has STARTS, too */
static struct block *freed[CLASSES];
static struct slab open_slab[CLASSES];
static size_t used;
static int keep_clean;
/* Before that libc may ask, while it starts: what it gets must outlast the image's arrival.  Not part of the image:
 * to read it would bring in a small page where a huge one is to come. */
static int in_use __attribute__((section(".bss.process")));

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

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

static unsigned class_of(const void *block)
{
	return class_of_page[((const char *)block - arena) / PAGE] & CLASS;
}

static int is_ours(const void *block)
{
	return (const char *)block >= arena && (const char *)block < arena + ARENA_SIZE;
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

/* Pages that were whole slabs with nothing in them when the image was saved: the first run that is long enough. */
static char *take_nobodys_pages(size_t size)
{
	size_t run = 0;

	for (size_t page = 0; page < used / PAGE; page++) {
		run = class_of_page[page] == NOBODY ? run + 1 : 0;
		if (run * PAGE >= size)
			return arena + (page + 1) * PAGE - size;
	}
	return NULL;
}

/* A new slab for blocks of `class`; 0 when the array is full. */
static int open_new_slab(unsigned class)
{
	const size_t block = size_of(class);
	size_t size = block <= SMALL ? PAGE : block <= SLAB / 2 ? SLAB : in_pages(block);
	char *pages = take_nobodys_pages(size);

	if (!pages)
		pages = take_pages(&size);
	if (!pages)
		pages = take_new_pages(size);
	if (!pages)
		return 0;
	if (keep_clean)
		memset(pages, 0, size);
	open_slab[class] = (struct slab){pages, pages + size};
	memset(class_of_page + (pages - arena) / PAGE, (int)class, size / PAGE);
	class_of_page[(pages - arena) / PAGE] |= STARTS;
	return 1;
}

static void *take(size_t size)
{
	if (size > LARGEST || !in_use)
		return __real_malloc(size);
	const unsigned class = class_for(size);
	struct block *block = freed[class];

	if (block) {
		freed[class] = block->next;
		return keep_clean ? memset(block, 0, size_of(class)) : block;
	}
	const size_t step = size_of(class);

	if ((size_t)(open_slab[class].end - open_slab[class].position) < step && !open_new_slab(class))
		return __real_malloc(size);
	block = (struct block *)open_slab[class].position;
	open_slab[class].position += step;
	return block;
}

static void give_back(void *address)
{
	struct block *block = address;

	if (!block)
		return;
	if (!is_ours(block)) {
		__real_free(block);
		return;
	}
	const unsigned class = class_of(block);

	block->next = freed[class];
	freed[class] = block;
}

static void *take_zeroed(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	void *block = take(total);

	return block ? memset(block, 0, total) : NULL;
}

static void *resize(void *block, size_t size)
{
	if (!block)
		return take(size);
	if (!is_ours(block))
		return __real_realloc(block, size ? size : 1);
	const size_t old = size_of(class_of(block));

	if (size <= old && size > old / 2 && !keep_clean)
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
	in_use = 1;
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

const char *memory_end(void)
{
	return arena + used;
}

void memory_keep_clean(void)
{
	keep_clean = 1;
}

/* By address, ascending: merging halves. */
static struct block *sorted(struct block *list)
{
	if (!list || !list->next)
		return list;
	struct block *middle = list;
	struct block *merged = NULL;
	struct block **last = &merged;

	for (struct block *end = list->next; end && end->next; end = end->next->next)
		middle = middle->next;
	struct block *other = sorted(middle->next);

	middle->next = NULL;
	list = sorted(list);
	while (list && other) {
		struct block **lower = list < other ? &list : &other;

		*last = *lower;
		*lower = (*lower)->next;
		last = &(*last)->next;
	}
	*last = list ? list : other;
	return merged;
}

static size_t pages_of_slab(size_t first)
{
	size_t end = first + 1;

	while (end < used / PAGE && class_of_page[end] == (class_of_page[first] & CLASS))
		end++;
	return end - first;
}

/* Takes those of the slab out of the list of its class, if these are all that were ever handed out of it. */
static int is_empty(const char *start, const char *end, unsigned class)
{
	const char *handed_out = open_slab[class].end == end ? open_slab[class].position : end;
	size_t left = (size_t)(handed_out - start) / size_of(class);
	struct block **first = &freed[class];
	struct block *block;

	while (*first && (const char *)*first < start)
		first = &(*first)->next;
	for (block = *first; block && (const char *)block < end; block = block->next)
		left--;
	if (left == 0)
		*first = block;
	return left == 0;
}

/* What the rehearsal (warm.py) needed and gave back is no part of the image: it would fill a huge page of its own. */
static void release_empty_slabs(void)
{
	size_t pages;

	for (size_t first = 0; first < used / PAGE; first += pages) {
		char *start = arena + first * PAGE;
		const unsigned class = class_of_page[first] & CLASS;

		pages = pages_of_slab(first);
		if (class == NOBODY || !is_empty(start, start + pages * PAGE, class))
			continue;
		if (open_slab[class].end == start + pages * PAGE)
			open_slab[class] = (struct slab){NULL, NULL};
		memset(start, 0, pages * PAGE);
		memset(class_of_page + first, NOBODY, pages);
	}
	while (used > 0 && class_of_page[used / PAGE - 1] == NOBODY) {
		used -= PAGE;
		class_of_page[used / PAGE] = 0;
	}
}

/* Blocks are freed in an order that depends on where we are loaded: objects that are hashed by address. */
void memory_clean(void)
{
	for (unsigned class = 0; class < CLASSES; class ++) {
		freed[class] = sorted(freed[class]);
		for (struct block *block = freed[class]; block; block = block->next)
			memset(block + 1, 0, size_of(class) - sizeof(*block));
	}
	release_empty_slabs();
	keep_clean = 0;
}
