/* What the parts of the assembler share: assembler.c, assembler_values.c, assembler_patterns.c. */
#ifndef PYRUNC_ASSEMBLER_H
#define PYRUNC_ASSEMBLER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#include "operation.h"

#pragma GCC visibility push(hidden)

/* -- what emitters hold in their hands (assembler_values.c) --------------------------------------------------------- */

/* A Register, or a Target: -1 until it is known. */
typedef struct {
	PyObject_HEAD Py_ssize_t index;
} Indexed;

typedef struct {
	PyObject_HEAD Py_ssize_t offset;
	Py_ssize_t size;
} Pointer;

extern PyTypeObject register_type;
extern PyTypeObject pointer_type;
extern PyTypeObject target_type;

PyObject *new_indexed(PyTypeObject *type, Py_ssize_t index);
PyObject *new_pointer(Py_ssize_t offset, Py_ssize_t size);

/* -- the program (assembler.c) -------------------------------------------------------------------------------------- */

/* What stays on our side of an operation. */
struct record {
	PyObject *name;
	PyObject *place;
	PyObject *subject;
	PyObject *doing;
	PyObject *says;
	PyObject *target; /* or NULL */
	PyObject *label;  /* in place of the four words, or NULL */
	PyObject *words;  /* (those of a pattern, those that stand in their places), or NULL */
	Py_ssize_t arguments;
};

typedef struct {
	PyObject_HEAD struct operation *operations;
	struct record *records;
	Py_ssize_t count;
	Py_ssize_t room;
	char *data;
	Py_ssize_t size;
	Py_ssize_t data_room;
	uint32_t *relocations;
	Py_ssize_t relocation_count;
	Py_ssize_t relocation_room;
	PyObject *strings; /* str and bytes -> Pointer */
	PyObject *place;
	PyObject *subject;
	uint8_t free[MAX_REGISTERS];
	int free_count;
} Assembler;

/* A borrowed reference to the Pointer of a NUL-terminated string; equal strings share their bytes. */
PyObject *string_of(Assembler *self, PyObject *text);

/* For so many operations more; -1 on an error. */
int make_room(Assembler *self, Py_ssize_t more);

void forget_record(struct record *record);

/* -- patterns (assembler_patterns.c) -------------------------------------------------------------------------------- */

extern PyTypeObject pattern_type;

PyObject *take_pattern(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count);
PyObject *stamp(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count);
PyObject *with_words(PyObject *text, PyObject *words);

#pragma GCC visibility pop

#endif
