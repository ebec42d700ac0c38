/*
 * Patterns: many mounts are the same operations with other words in them.
 *
 * An emitter makes the operations once, with made-up words in the places of those that differ, and takes them out of
 * the program as a pattern, with a register in each of the places; `stamp` (assembler_loops.c) has them run for the
 * words of one mount.
 *
 * The made-up words are the emitter's, never anybody's input: no two of them are equal, and none stands in a place
 * that is not to be replaced.  Other registers stay the same: they must be as free as they were.
 */
#include "assembler.h"

#include <string.h>

enum { MOST_WORDS = 48 }; /* of the 64 registers */

static void forget_pattern(PyObject *object)
{
	Pattern *self = (Pattern *)object;

	for (Py_ssize_t i = 0; i < self->count; i++)
		forget_record(&self->records[i]);
	PyMem_Free(self->operations);
	PyMem_Free(self->records);
	PyMem_Free(self->places);
	Py_XDECREF(self->words);
	PyObject_Free(object);
}

PyTypeObject pattern_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Pattern",
	.tp_basicsize = sizeof(Pattern),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.tp_dealloc = forget_pattern,
};

int are_words(PyObject *words)
{
	int good = PyTuple_Check(words);

	for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(words); i++)
		good = PyUnicode_Check(PyTuple_GET_ITEM(words, i));
	return good;
}

/* 1 if the word stands in this argument, 0 if not, -1 if only a part of it does: the other word may be shorter. */
static int is_place(const struct operation *operation, int argument, const Pointer *word)
{
	const uint64_t value = operation->arguments[argument];
	const Py_ssize_t offset = (Py_ssize_t)(uint32_t)value;

	if (operation->kinds[argument] != POINTER || offset < word->offset || offset >= word->offset + word->size)
		return 0;
	return offset == word->offset && (Py_ssize_t)(value >> 32) == word->size ? 1 : -1;
}

/* The places of one word, appended.  Equal words would have the same places; one without any was emitted changed. */
static int find_places(Pattern *self, const Pointer *word, Py_ssize_t number)
{
	const Py_ssize_t before = self->place_count;

	for (Py_ssize_t i = 0; i < self->count * MAX_ARGUMENTS; i++) {
		const Py_ssize_t operation = i / MAX_ARGUMENTS;
		const int argument = (int)(i % MAX_ARGUMENTS);
		const int found = is_place(&self->operations[operation], argument, word);

		if (found < 0 || (found > 0 && self->place_count == self->count * MAX_ARGUMENTS)) {
			PyErr_SetString(PyExc_ValueError, found < 0 ? "an argument is a part of a word"
								    : "two words of a pattern are equal");
			return -1;
		}
		if (found > 0)
			self->places[self->place_count++] =
				(struct place){(uint16_t)operation, (uint8_t)argument, (uint8_t)number};
	}
	if (self->place_count == before) {
		PyErr_SetString(PyExc_ValueError, "a word of a pattern stands nowhere");
		return -1;
	}
	return 0;
}

/* Word by word the last registers: programs take the first ones. */
static void put_registers(Pattern *self)
{
	const uint64_t first = MAX_REGISTERS - (uint64_t)PyTuple_GET_SIZE(self->words);

	for (Py_ssize_t i = 0; i < self->place_count; i++) {
		const struct place *place = &self->places[i];
		struct operation *operation = &self->operations[place->operation];

		operation->kinds[place->argument] = REGISTER;
		operation->arguments[place->argument] = first + place->word;
	}
	self->registers |= ~UINT64_C(0) << first;
}

static int find_all_places(Pattern *self, Assembler *program)
{
	for (Py_ssize_t word = 0; word < PyTuple_GET_SIZE(self->words); word++) {
		PyObject *pointer = string_of(program, PyTuple_GET_ITEM(self->words, word));

		if (!pointer || find_places(self, (Pointer *)pointer, word) < 0)
			return -1;
	}
	return 0;
}

/* What a pattern cannot hold: a jump out of it, a label that is more than words, a sync point. */
static int check_operations(const Pattern *self)
{
	for (Py_ssize_t i = 0; i < self->count; i++) {
		const struct record *record = &self->records[i];
		const Py_ssize_t to = record->target ? ((Indexed *)record->target)->index : self->start;

		if (record->label || self->operations[i].kind == SYNC || to < self->start ||
		    to > self->start + self->count) {
			PyErr_Format(PyExc_ValueError, "%U cannot be part of a pattern", record->name);
			return -1;
		}
	}
	return 0;
}

uint64_t free_registers(const Assembler *program)
{
	uint64_t found = 0;

	for (int i = 0; i < program->free_count; i++)
		found |= (uint64_t)1 << program->free[i];
	return found;
}

static void move_operations(Pattern *self, Assembler *program)
{
	const size_t count = (size_t)self->count;

	if (count == 0) /* there may be no operations at all yet */
		return;
	memcpy(self->operations, program->operations + self->start, count * sizeof(*self->operations));
	memcpy(self->records, program->records + self->start, count * sizeof(*self->records));
	program->count = self->start;
	for (size_t i = 0; i < count; i++)
		if (self->operations[i].into != NO_REGISTER)
			self->registers |= (uint64_t)1 << self->operations[i].into;
	self->registers &= free_registers(program);
}

static Pattern *new_pattern(const Assembler *program, Py_ssize_t start, Py_ssize_t count, PyObject *words)
{
	Pattern *self = PyObject_New(Pattern, &pattern_type);

	if (!self)
		return NULL;
	*self = (Pattern){
		.ob_base = self->ob_base,
		.operations = PyMem_Calloc((size_t)count + 1, sizeof(struct operation)),
		.records = PyMem_Calloc((size_t)count + 1, sizeof(struct record)),
		.places = PyMem_Calloc((size_t)count * MAX_ARGUMENTS + 1, sizeof(struct place)),
		.start = start,
		.words = Py_NewRef(words),
		.program = program->number,
	};
	if (self->operations && self->records && self->places)
		return self;
	Py_DECREF(self);
	PyErr_NoMemory();
	return NULL;
}

/* pattern(start, words) -> Pattern: the operations from `start` on, which are no longer part of the program. */
PyObject *take_pattern(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *program = (Assembler *)assembler;

	if (count != 2)
		return PyErr_Format(PyExc_TypeError, "pattern() takes where it starts and its words");
	const Py_ssize_t start = PyLong_AsSsize_t(arguments[0]);

	if (PyErr_Occurred())
		return NULL;
	if (!are_words(arguments[1]) || PyTuple_GET_SIZE(arguments[1]) < 1 ||
	    PyTuple_GET_SIZE(arguments[1]) > MOST_WORDS)
		return PyErr_Format(PyExc_TypeError, "the words of a pattern are a tuple of 1 to %d str", MOST_WORDS);
	if (start < 0 || start > program->count)
		return PyErr_Format(PyExc_IndexError, "there is no operation %zd", start);
	if (program->loop_count > 0 && program->loops[program->loop_count - 1].end >= start)
		return PyErr_Format(PyExc_ValueError, "a loop cannot be part of a pattern");
	Pattern *self = new_pattern(program, start, program->count - start, arguments[1]);

	if (!self)
		return NULL;
	self->count = program->count - start;
	move_operations(self, program);
	if (check_operations(self) < 0 || find_all_places(self, program) < 0)
		Py_CLEAR(self);
	else
		put_registers(self);
	return (PyObject *)self;
}
