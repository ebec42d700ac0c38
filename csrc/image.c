/*
 * Saving the memory of an initialised interpreter, and starting from it: 0.5 ms instead of 12 (docs/adr/0011).
 *
 * All of CPython's state is in this executable's data segment: static data, and memory.c's array in .bss.  At build
 * time it is written to a file by two processes that are loaded at different addresses; the words that differ by just
 * that difference are the addresses, and csrc/image.py refuses anything else that differs.  At start the pages are
 * copied from the executable and the addresses moved: what address space randomisation chose stays as it is.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, madvise(2) */
#endif

enum { MANY_PAGES = 8 };

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

__asm__(".pushsection pyrunc_image, \"a\", @progbits\n"
	".balign 4096\n"
	".globl image_header\n"
	".hidden image_header\n"
	".type image_header, @object\n"
	"image_header: .ascii \"" IMAGE_OPEN "\"\n"
	".zero 25165824 - 8\n"
	".popsection\n");
_Static_assert(sizeof(struct image_header) == 25165824, "the assembler's number above");

struct image_bounds image_bounds(uint64_t end)
{
	const uint64_t base = (uint64_t)&__ehdr_start;
	const Elf64_Phdr *headers = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);
	struct image_bounds bounds = {.base = base, .end = end};
	uint64_t protected_end = 0;

	for (int i = 0; i < __ehdr_start.e_phnum; i++) {
		const Elf64_Phdr *header = &headers[i];

		if (header->p_type == PT_GNU_RELRO)
			protected_end = base + header->p_vaddr + header->p_memsz;
		if (header->p_type == PT_LOAD && header->p_flags & PF_W) {
			bounds.start = base + header->p_vaddr;
			bounds.filled = bounds.start + header->p_filesz;
		}
	}
	if (protected_end > bounds.start)
		bounds.start = protected_end;
	return bounds;
}

static int is_verb_of(const struct image *image, const char *word)
{
	for (int i = 0; i < IMAGE_VERBS; i++)
		if (strncmp(image->verbs[i], word, IMAGE_VERB) == 0)
			return 1;
	return 0;
}

int image_is_open(void)
{
	return memcmp(image_header.magic, IMAGE_OPEN, sizeof(image_header.magic)) == 0;
}

/* The first argument that is a verb at all decides; a wrong guess costs a millisecond, nothing else. */
const struct image *image_choose(int count, char *const *arguments)
{
	const struct image_header *header = &image_header;

	if (memcmp(header->magic, IMAGE_CLOSED, sizeof(header->magic)) != 0 || header->count == 0)
		return NULL;
	for (int i = 1; i < count; i++)
		for (uint32_t k = 0; k < header->count; k++)
			if (*arguments[i] && is_verb_of(&header->images[k], arguments[i]))
				return &header->images[k];
	return &header->images[header->count - 1];
}

static void move_addresses(uint64_t *page, const uint64_t *bitmap, uint64_t base)
{
	for (int i = 0; i < IMAGE_PAGE / 8 / 64; i++)
		for (uint64_t bits = bitmap[i]; bits; bits &= bits - 1)
			page[i * 64 + __builtin_ctzl(bits)] += base;
}

/* CPython 3.11's inline caches are counted in 16 bits (pycore_code.h, _PyLoadMethodCache). */
struct unaligned {
	uint64_t value;
} __attribute__((packed, aligned(2)));

/* Pages that lie together: 0.4 us each when asked for at once, 0.9 us when touched one by one. */
static void ask_for_pages(const uint32_t *indexes, uint32_t count, uint64_t start)
{
	uint32_t first = 0;

	for (uint32_t i = 1; i <= count; i++) {
		if (i < count && indexes[i] == indexes[i - 1] + 1)
			continue;
		if (i - first > MANY_PAGES)
			madvise((void *)(start + (uint64_t)indexes[first] * IMAGE_PAGE), (uint64_t)(i - first) * IMAGE_PAGE,
				MADV_POPULATE_WRITE);
		first = i;
	}
}

static void restore_pages(const struct image *image, const struct image_bounds *bounds)
{
	const char *top = (const char *)&image_header;
	const uint32_t *indexes = (const uint32_t *)(top + image->indexes_at);
	const uint64_t *bitmaps = (const uint64_t *)(top + image->bitmaps_at);
	const char *contents = top + image->contents_at;
	const uint32_t *unaligned = (const uint32_t *)(top + image->unaligned_at);

	ask_for_pages(indexes, image->pages, bounds->start);
	for (uint32_t i = 0; i < image->pages; i++) {
		char *page = (char *)bounds->start + (uint64_t)indexes[i] * IMAGE_PAGE;

		memcpy(page, contents + (uint64_t)i * IMAGE_PAGE, IMAGE_PAGE);
		move_addresses((uint64_t *)page, bitmaps + (uint64_t)i * 8, bounds->base);
	}
	for (uint32_t i = 0; i < image->unaligned; i++) {
		struct unaligned *word = (struct unaligned *)(bounds->start + unaligned[i]);

		word->value += bounds->base;
	}
}

void image_restore(const struct image *image)
{
	const struct image_bounds bounds = image_bounds(0);
	const uint32_t *kept = (const uint32_t *)((const char *)&image_header + image->kept_at);
	uint64_t values[IMAGE_KEPT];

	for (uint32_t i = 0; i < image->kept; i++)
		values[i] = *(uint64_t *)(bounds.start + kept[i]);
	restore_pages(image, &bounds);
	for (uint32_t i = 0; i < image->kept; i++)
		*(uint64_t *)(bounds.start + kept[i]) = values[i];
}

int image_write(int file, const struct image_bounds *bounds, uint64_t end)
{
	const char *position = (const char *)bounds->start;

	if (write(file, bounds, sizeof(*bounds)) != sizeof(*bounds))
		return -errno;
	while (position < (const char *)end) {
		const ssize_t written = write(file, position, end - (uint64_t)position);

		if (written < 0)
			return -errno;
		position += written;
	}
	return 0;
}
