/*
 * Saving the memory of an initialised interpreter, and starting from it: 0.2 ms instead of 12 (docs/adr/0011).
 *
 * All of CPython's state is in one part of this executable's data (image.ld): static data, and memory.c's array.  At
 * build time it is written to a file by two processes that are loaded at different addresses; the words that differ by
 * just that difference are the addresses, and csrc/image.py refuses anything else that differs.  At start the memory is
 * copied from the executable and the addresses moved: what address space randomisation chose stays as it is.
 *
 * The part starts at a boundary of huge pages, and is asked for as such: one page fault instead of 500.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"

enum { HUGE_PAGE = 2 << 20, ROOM = 96 << 10, CHUNK = 128 };

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

__asm__(".pushsection pyrunc_image, \"a\", @progbits\n"
	".balign 4096\n"
	".globl image_header\n"
	".hidden image_header\n"
	".type image_header, @object\n"
	"image_header: .ascii \"" IMAGE_OPEN "\"\n"
	".zero 12582912 - 8\n"
	".popsection\n");
_Static_assert(sizeof(struct image_header) == 12582912, "the assembler's number above");

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

#ifdef WITH_IMAGE
extern char image_start[] __attribute__((visibility("hidden"))); /* image.ld */

/* CPython 3.11's inline caches are counted in 16 bits (pycore_code.h, _PyLoadMethodCache). */
struct unaligned {
	uint64_t value;
} __attribute__((packed, aligned(2)));

typedef uint64_t two_words __attribute__((vector_size(16)));

/* What four words grow by, for each way in which they are addresses or not: a third less time than word by word. */
struct moves {
	two_words four[16][2];
};

static struct moves moves_by(uint64_t base)
{
	struct moves moves;

	for (uint64_t i = 0; i < 16; i++) {
		moves.four[i][0] = (two_words){i & 1 ? base : 0, i & 2 ? base : 0};
		moves.four[i][1] = (two_words){i & 4 ? base : 0, i & 8 ? base : 0};
	}
	return moves;
}

static void move_addresses(char *page, const uint64_t *bitmap, const struct moves *moves)
{
	for (int i = 0; i < IMAGE_PAGE / 8 / 64; i++) {
		two_words *words = (two_words *)page + (size_t)i * 32;

		for (uint64_t bits = bitmap[i]; bits; bits >>= 4, words += 2) {
			words[0] += moves->four[bits & 15][0];
			words[1] += moves->four[bits & 15][1];
		}
	}
}

/* Read, not copied from where they are mapped: that takes 40 page faults and counts twice in the RSS (0.08 ms).  It is
 * copied all the same where there is no /proc. */
static void get_pages(int executable, char *target, const char *source, size_t size)
{
	const off_t offset = source - (const char *)&__ehdr_start; /* the first segments lie in memory as in the file */

	if (executable < 0 || pread(executable, target, size, offset) != (ssize_t)size)
		memcpy(target, source, size);
}

static void restore_run(int executable, const struct image_run *run, const char *contents, const uint64_t *bitmaps,
			const struct moves *moves)
{
	char *target = image_start + (uint64_t)run->first * IMAGE_PAGE;

	for (uint32_t first = 0; first < run->pages; first += CHUNK) {
		const uint32_t count = run->pages - first < CHUNK ? run->pages - first : CHUNK;
		const uint64_t offset = (uint64_t)first * IMAGE_PAGE;

		get_pages(executable, target + offset, contents + offset, (size_t)count * IMAGE_PAGE);
		for (uint32_t i = first; i < first + count; i++)
			move_addresses(target + (uint64_t)i * IMAGE_PAGE, bitmaps + (uint64_t)i * 8, moves);
	}
}

static void restore_pages(const struct image *image)
{
	const char *top = (const char *)&image_header;
	const struct image_run *runs = (const struct image_run *)(top + image->runs_at);
	const char *contents = top + image->contents_at;
	const uint64_t *bitmaps = (const uint64_t *)(top + image->bitmaps_at);
	const struct moves moves = moves_by((uint64_t)&__ehdr_start);
	const int executable = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (uint32_t i = 0; i < image->runs; i++) {
		restore_run(executable, &runs[i], contents, bitmaps, &moves);
		contents += (uint64_t)runs[i].pages * IMAGE_PAGE;
		bitmaps += (uint64_t)runs[i].pages * 8;
	}
	close(executable);
}

void image_restore(const struct image *image)
{
	const uint32_t *unaligned = (const uint32_t *)((const char *)&image_header + image->unaligned_at);
	const uint64_t used = (uint64_t)image->pages * IMAGE_PAGE + ROOM;
	/* A huge page for the last sixth would be filled with zeros for little, and count in the RSS. */
	const uint64_t worth = used - used / 6;

	/* Without huge pages (EINVAL: a kernel that has none) it is slower, nothing else. */
	madvise(image_start, (worth + HUGE_PAGE - 1) & ~(uint64_t)(HUGE_PAGE - 1), MADV_HUGEPAGE);
	restore_pages(image);
	for (uint32_t i = 0; i < image->unaligned; i++)
		((struct unaligned *)(image_start + unaligned[i]))->value += (uint64_t)&__ehdr_start;
}

int image_write(int file, const char *end)
{
	const uint64_t bounds[] = {(uint64_t)&__ehdr_start, (uint64_t)image_start, (uint64_t)end};
	const char *position = image_start;

	if (write(file, bounds, sizeof(bounds)) != sizeof(bounds))
		return -errno;
	while (position < end) {
		const ssize_t written = write(file, position, (size_t)(end - position));

		if (written < 0)
			return -errno;
		position += written;
	}
	return 0;
}
#endif
