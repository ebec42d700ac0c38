/* The image of an initialised interpreter, inside this executable.  csrc/image.py writes it and knows these layouts. */
#ifndef PYRUNC_IMAGE_H
#define PYRUNC_IMAGE_H

#include <stdint.h>

enum { IMAGE_PAGE = 4096, IMAGES = 3, IMAGE_SPACE = 12 << 20, IMAGE_VERBS = 24, IMAGE_VERB = 16, IMAGE_LIBRARY = 1024 };

#define IMAGE_OPEN "pyrunc-0"	/* as the linker leaves it: an image can be written */
#define IMAGE_CLOSED "pyrunc-1" /* as csrc/image.py leaves it */

/* One image; the offsets count from the header. */
struct image {
	char verbs[IMAGE_VERBS][IMAGE_VERB]; /* whose first words choose it; the last image serves all others */
	uint32_t pages;			     /* that the interpreter uses; those that are zero are not kept here */
	uint32_t runs;
	uint32_t runs_at;     /* struct image_run */
	uint32_t contents_at; /* the pages of all runs */
	uint32_t bitmaps_at;  /* u64[8] a page: which of its words are addresses, relative to where we are loaded */
	uint32_t unaligned;
	uint32_t unaligned_at; /* u32 unaligned: offsets of addresses inside bytecode, at even offsets */
	uint32_t zero;
};

struct image_run {
	uint32_t first; /* page */
	uint32_t pages;
};

struct image_header {
	char magic[8];
	char library[IMAGE_LIBRARY]; /* the directory of the stage and of what is not frozen into this executable */
	uint32_t count;
	uint32_t zero;
	struct image images[IMAGES];
	char rest[IMAGE_SPACE - 8 - IMAGE_LIBRARY - 2 * sizeof(uint32_t) - IMAGES * sizeof(struct image)];
};

extern const struct image_header image_header;

/* Whether an image can still be written: there is none yet. */
int image_is_open(void);

/* The image for these arguments, or NULL. */
const struct image *image_choose(int count, char *const *arguments);

/* Puts the interpreter's memory into the state that was saved. */
void image_restore(const struct image *image);

/* Writes three addresses (where this executable is loaded, the first that is saved, the end) and what is in between. */
int image_write(int file, const char *end);

#endif
