/* Where the launcher's interpreter keeps everything: one piece of memory that can be saved and moved (image.c). */
#ifndef PYRUNC_MEMORY_H
#define PYRUNC_MEMORY_H

#include <stddef.h>

/* Gives CPython this memory for all it asks for.  Before Py_PreInitialize(). */
void memory_set_up(void);

/* The end of what has been handed out so far: behind it everything is zero.  NULL if it is not the last data. */
char *memory_end(void);

/* What is going to be saved has no bytes in it that nobody wrote: they would not be the same twice. */
void memory_keep_clean(void);

/* Zeroes what was freed, and ends the above. */
void memory_clean(void);

#endif
