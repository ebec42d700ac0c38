/* Where the launcher's interpreter keeps everything: one piece of memory that can be saved and moved (image.c). */
#ifndef PYRUNC_MEMORY_H
#define PYRUNC_MEMORY_H

#include <stddef.h>

/* From now on malloc(3) takes from this memory. */
void memory_start(void);

/* The same, and CPython takes all it wants from it.  Before Py_PreInitialize(). */
void memory_set_up(void);

/* The end of what has been handed out so far: behind it everything is zero. */
const char *memory_end(void);

/* What is going to be saved has no bytes in it that nobody wrote: they would not be the same twice. */
void memory_keep_clean(void);

/* Zeroes what was freed, and ends the above. */
void memory_clean(void);

#endif
