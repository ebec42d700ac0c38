/* The image of an initialised interpreter, inside this executable.  csrc/image.py writes it and knows these layouts. */
#ifndef PYRUNC_IMAGE_H
#define PYRUNC_IMAGE_H

#include <stdint.h>

enum {
	IMAGE_PAGE = 4096,
	IMAGE_SPACE = 24 << 20,
	IMAGE_VERBS = 24,
	IMAGE_VERB = 16,
	IMAGE_LIBRARY = 1024,
	IMAGE_KEPT = 64
};

#define IMAGE_OPEN "pyrunc-0"	/* as the linker leaves it: an image can be written */
#define IMAGE_CLOSED "pyrunc-1" /* as csrc/image.py leaves it */

/* One image; the offsets count from the header. */
struct image {
	char verbs[IMAGE_VERBS][IMAGE_VERB]; /* whose first words choose it; the last image serves all others */
	uint32_t pages;
	uint32_t kept;
	uint32_t unaligned;
	uint32_t indexes_at;   /* u32 pages: which pages of the data segment these are */
	uint32_t bitmaps_at;   /* u64[8] a page: which of its words are addresses, relative to where we are loaded */
	uint32_t contents_at;  /* the pages */
	uint32_t kept_at;      /* u32 kept: offsets of words that the dynamic linker filled in: they stay */
	uint32_t unaligned_at; /* u32 unaligned: offsets of addresses inside bytecode, at even offsets */
};

struct image_header {
	char magic[8];
	char library[IMAGE_LIBRARY]; /* the directory of the stage and of what is not frozen into this executable */
	uint32_t count;
	uint32_t zero;
	struct image images[2];
	char rest[IMAGE_SPACE - 8 - IMAGE_LIBRARY - 2 * sizeof(uint32_t) - 2 * sizeof(struct image)];
};

extern const struct image_header image_header;

/* What is saved: the data segment behind RELRO, up to `end`. */
struct image_bounds {
	uint64_t base;
	uint64_t start;
	uint64_t filled; /* where .bss starts */
	uint64_t end;
};

/* Whether an image can still be written: there is none yet. */
int image_is_open(void);

/* The image for these arguments, or NULL. */
const struct image *image_choose(int count, char *const *arguments);

/* Puts the interpreter's memory into the state that was saved. */
void image_restore(const struct image *image);

/* Where the data segment is; `end` is the highest address in use. */
struct image_bounds image_bounds(uint64_t end);

/* Appends the bounds and the bytes from `start` to `end` to a file.  0, or -errno. */
int image_write(int file, const struct image_bounds *bounds, uint64_t end);

#endif
