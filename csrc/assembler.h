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
	Py_ssize_t arguments;
};

/* What the operations of a loop are about while they run for one row. */
struct row {
	PyObject *place;
	PyObject *subject;
	PyObject *words; /* tuple of str */
};

/* Operations that run once for each row: [start, end), then an EACH; before them a jump to it. */
struct loop {
	PyObject *pattern;
	Py_ssize_t start;
	Py_ssize_t end;
	Py_ssize_t first_row;
	Py_ssize_t first_cell;
	Py_ssize_t rows;
	int is_settled; /* its table stands in the data block */
};

typedef struct {
	PyObject_HEAD uint64_t number; /* every program has its own */
	struct operation *operations;
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
	struct loop *loops;
	Py_ssize_t loop_count;
	Py_ssize_t loop_room;
	struct row *rows; /* of all loops */
	Py_ssize_t row_count;
	Py_ssize_t row_room;
	uint32_t *cells; /* of all rows: where in the data block their words stand */
	Py_ssize_t cell_count;
	Py_ssize_t cell_room;
	int is_open; /* the last loop may get another row: nothing came after it */
} Assembler;

extern PyObject *no_text, *word_jump, *word_each;

/* A borrowed reference to the Pointer of a NUL-terminated string; equal strings share their bytes. */
PyObject *string_of(Assembler *self, PyObject *text);

/* For so many operations more; -1 on an error. */
int make_room(Assembler *self, Py_ssize_t more);

/* `room` items of `size` bytes become at least `wanted`, from none `first` at once; -1 on an error. */
int grow(void **items, Py_ssize_t *room, Py_ssize_t first, Py_ssize_t wanted, size_t size);

/* The offset of `size` zeroed bytes of the data block, aligned to 8; -1 on an error. */
Py_ssize_t take_scratch(Assembler *self, Py_ssize_t size);

/* An address goes to the word at this offset; -1 on an error. */
int add_relocation(Assembler *self, Py_ssize_t word, Py_ssize_t offset);

void forget_record(struct record *record);

/* -- patterns (assembler_patterns.c) -------------------------------------------------------------------------------- */

/* An argument where a word stands. */
struct place {
	uint16_t operation;
	uint8_t argument;
	uint8_t word;
};

typedef struct {
	PyObject_HEAD struct operation *operations; /* with a register in each place */
	struct record *records;
	Py_ssize_t count;
	Py_ssize_t start; /* where the targets of the records count from */
	struct place *places;
	Py_ssize_t place_count;
	PyObject *words; /* tuple of str */
	uint64_t
		program; /* the number of the one whose data the arguments point into: no reference, which were a cycle */
	uint64_t registers; /* that it takes and gives back, or has its words in */
} Pattern;

extern PyTypeObject pattern_type;

uint64_t free_registers(const Assembler *program);

/* Whether it is a tuple of str. */
int are_words(PyObject *words);

PyObject *take_pattern(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count);

/* -- loops (assembler_loops.c) -------------------------------------------------------------------------------------- */

PyObject *stamp(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count);

/* Write the tables of all loops; no row comes to them any more.  -1 on an error. */
int settle(Assembler *self);

/* The loop that this operation is part of and runs for each row of, or NULL. */
const struct loop *loop_around(const Assembler *self, Py_ssize_t index);

/* Of an operation of a loop, for the row with this number, from 1: its argument; its label. */
PyObject *argument_in_row(Assembler *self, const struct loop *loop, Py_ssize_t row, PyObject *register_);
PyObject *label_in_row(const Assembler *self, const struct loop *loop, Py_ssize_t row, const struct record *record);

PyObject *list_loops(PyObject *assembler, void *unused);
void forget_loops(Assembler *self);

#pragma GCC visibility pop

#endif
