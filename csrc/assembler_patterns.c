/*
 * Patterns: many mounts are the same operations with other words in them.
 *
 * An emitter makes the operations once, with made-up words in the places of those that differ, and takes them out of
 * the program as a pattern; `stamp` adds them with the words of one mount.  30 operations in 1.5 us instead of 10.
 *
 * The made-up words are the emitter's, never anybody's input: no two of them are equal, and none stands in a place
 * that is not to be replaced.  Registers stay the same: they must be as free as they were.
 */
#include "assembler.h"

#include <string.h>

enum { MOST_WORDS = 255 };

/* An argument where a word stands. */
struct place {
	uint16_t operation;
	uint8_t argument;
	uint8_t word;
};

typedef struct {
	PyObject_HEAD struct operation *operations;
	struct record *records;
	Py_ssize_t count;
	Py_ssize_t start; /* where the targets of the records count from */
	struct place *places;
	Py_ssize_t place_count;
	PyObject *words;    /* tuple of str */
	PyObject *program;  /* whose data the arguments point into */
	uint64_t registers; /* that it takes and gives back */
} Pattern;

static void forget_pattern(PyObject *object)
{
	Pattern *self = (Pattern *)object;

	for (Py_ssize_t i = 0; i < self->count; i++)
		forget_record(&self->records[i]);
	PyMem_Free(self->operations);
	PyMem_Free(self->records);
	PyMem_Free(self->places);
	Py_XDECREF(self->words);
	Py_XDECREF(self->program);
	PyObject_Free(object);
}

PyTypeObject pattern_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Pattern",
	.tp_basicsize = sizeof(Pattern),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.tp_dealloc = forget_pattern,
};

/* Whether these may be words: a tuple of str, not too many. */
static int are_words(PyObject *words)
{
	int good = PyTuple_Check(words) && PyTuple_GET_SIZE(words) <= MOST_WORDS;

	for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(words); i++)
		good = PyUnicode_Check(PyTuple_GET_ITEM(words, i));
	if (!good)
		PyErr_SetString(PyExc_TypeError, "words are a tuple of at most 255 str");
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

static int find_all_places(Pattern *self, Assembler *program)
{
	for (Py_ssize_t word = 0; word < PyTuple_GET_SIZE(self->words); word++) {
		PyObject *pointer = string_of(program, PyTuple_GET_ITEM(self->words, word));

		if (!pointer || find_places(self, (Pointer *)pointer, word) < 0)
			return -1;
	}
	return 0;
}

/* What a pattern cannot hold: a jump out of it, a label that is more than words, a stamp. */
static int check_operations(const Pattern *self)
{
	for (Py_ssize_t i = 0; i < self->count; i++) {
		const struct record *record = &self->records[i];
		const Py_ssize_t to = record->target ? ((Indexed *)record->target)->index : self->start;

		if (record->label || record->words || to < self->start || to > self->start + self->count) {
			PyErr_Format(PyExc_ValueError, "%U cannot be part of a pattern", record->name);
			return -1;
		}
	}
	return 0;
}

static uint64_t free_registers(const Assembler *program)
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

static Pattern *new_pattern(PyObject *program, Py_ssize_t start, Py_ssize_t count, PyObject *words)
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
		.program = Py_NewRef(program),
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

	if (!are_words(arguments[1]) || PyErr_Occurred())
		return NULL;
	if (start < 0 || start > program->count)
		return PyErr_Format(PyExc_IndexError, "there is no operation %zd", start);
	Pattern *self = new_pattern(assembler, start, program->count - start, arguments[1]);

	if (!self)
		return NULL;
	self->count = program->count - start;
	move_operations(self, program);
	if (check_operations(self) < 0 || find_all_places(self, program) < 0)
		Py_CLEAR(self);
	return (PyObject *)self;
}

/* The record of a stamped operation; its target is as far from it as in the pattern. */
static int copy_record(Assembler *program, const Pattern *pattern, Py_ssize_t i, PyObject *words)
{
	const struct record *record = &pattern->records[i];
	PyObject *target = NULL;

	if (record->target) {
		const Py_ssize_t to = ((Indexed *)record->target)->index - pattern->start;

		target = new_indexed(&target_type, program->count - i + to);
		if (!target)
			return -1;
	}
	program->operations[program->count] = pattern->operations[i];
	program->records[program->count++] = (struct record){
		.name = Py_NewRef(record->name),
		.place = Py_NewRef(program->place),
		.subject = Py_NewRef(program->subject),
		.doing = Py_NewRef(record->doing),
		.says = Py_NewRef(record->says),
		.target = target,
		.words = Py_NewRef(words),
		.arguments = record->arguments,
	};
	return 0;
}

static int write_words(Assembler *program, const Pattern *pattern, Py_ssize_t start, PyObject *words)
{
	for (Py_ssize_t i = 0; i < pattern->place_count; i++) {
		const struct place *place = &pattern->places[i];
		const Pointer *pointer = (Pointer *)string_of(program, PyTuple_GET_ITEM(words, place->word));

		if (!pointer)
			return -1;
		program->operations[start + place->operation].arguments[place->argument] =
			(uint64_t)pointer->offset | (uint64_t)pointer->size << 32;
	}
	return 0;
}

/* stamp(pattern, words): its operations, with these words in the places of the pattern's. */
PyObject *stamp(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *program = (Assembler *)assembler;
	const Py_ssize_t start = program->count;

	if (count != 2 || Py_TYPE(arguments[0]) != &pattern_type || !are_words(arguments[1]))
		return PyErr_Format(PyExc_TypeError, "stamp() takes a Pattern and its words");
	const Pattern *pattern = (Pattern *)arguments[0];

	if (pattern->program != assembler)
		return PyErr_Format(PyExc_ValueError, "the pattern of another program");
	if (PyTuple_GET_SIZE(arguments[1]) != PyTuple_GET_SIZE(pattern->words))
		return PyErr_Format(PyExc_ValueError, "this pattern has %zd words", PyTuple_GET_SIZE(pattern->words));
	if (pattern->registers & ~free_registers(program))
		return PyErr_Format(PyExc_RuntimeError, "internal error: a register of the pattern is in use");
	if (make_room(program, pattern->count) < 0)
		return NULL;
	PyObject *words = PyTuple_Pack(2, pattern->words, arguments[1]);
	int failed = words ? 0 : -1;

	for (Py_ssize_t i = 0; !failed && i < pattern->count; i++)
		failed = copy_record(program, pattern, i, words);
	Py_XDECREF(words);
	if (failed || write_words(program, pattern, start, arguments[1]) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* A new reference to a text of a pattern with the words of a stamp in it; `words` may be NULL. */
PyObject *with_words(PyObject *text, PyObject *words)
{
	PyObject *replaced = Py_NewRef(text);

	if (!words)
		return replaced;
	PyObject *made_up = PyTuple_GET_ITEM(words, 0);
	PyObject *real = PyTuple_GET_ITEM(words, 1);

	for (Py_ssize_t i = 0; replaced && i < PyTuple_GET_SIZE(made_up); i++)
		Py_SETREF(replaced,
			  PyUnicode_Replace(replaced, PyTuple_GET_ITEM(made_up, i), PyTuple_GET_ITEM(real, i), -1));
	return replaced;
}
