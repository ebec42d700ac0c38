/* Where the launcher's interpreter keeps everything: one piece of memory that can be saved and moved (image.c). */
#ifndef PYRUNC_MEMORY_H
#define PYRUNC_MEMORY_H

#include <stddef.h>

/* From now on malloc(3) takes from this memory. */
void memory_start(void);

/* The same, and CPython takes all it wants from it.  Before Py_PreInitialize(). */
void memory_set_up(void);

/* For an image the same is done three times: once to list which allocations outlast it, twice to write it (memory.c).
 * Both are begun after memory_set_up() and before anything is allocated. */
void memory_begin_list(void);
int memory_begin_image(int list);

/* Writes the list. */
int memory_write_list(int list);

/* The end of what is to be saved; NULL when something was not as the list says. */
const char *memory_end_image(void);

#endif
