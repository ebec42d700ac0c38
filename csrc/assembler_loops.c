/*
 * Loops: the operations of a pattern, once, and a table with a row of words for each time that they run.
 *
 *     jump        to the EACH
 *     operations  with registers where words stand
 *     EACH        the next row into these registers and back, or on after the last one
 *
 * Rows that are stamped one after another share a loop.  50 bind mounts are 30 operations and 50 rows of 40 bytes, not
 * 1,500 operations of 72.
 */
#include "assembler.h"

enum { FIRST_ROWS = 32 }; /* a container without anything special has 14 rows, in 2 loops */

/* The one that was begun last, while it may get another row of this pattern. */
static struct loop *open_loop(Assembler *self, const Pattern *pattern)
{
	struct loop *last = self->loop_count > 0 ? &self->loops[self->loop_count - 1] : NULL;

	return self->is_open && last->pattern == (PyObject *)pattern && last->rows < MAX_ROWS ? last : NULL;
}

static void put(Assembler *self, const struct operation *operation, struct record record)
{
	self->operations[self->count] = *operation;
	record.name = Py_NewRef(record.name);
	record.place = Py_NewRef(record.place ? record.place : no_text);
	record.subject = Py_NewRef(record.subject ? record.subject : no_text);
	record.doing = Py_NewRef(record.doing ? record.doing : no_text);
	record.says = Py_NewRef(record.says ? record.says : no_text);
	self->records[self->count++] = record;
}

/* The operations of the pattern; their targets are as far from them as there. */
static int put_body(Assembler *self, const Pattern *pattern)
{
	const Py_ssize_t start = self->count;

	for (Py_ssize_t i = 0; i < pattern->count; i++) {
		struct record record = pattern->records[i];

		if (record.target) {
			const Py_ssize_t to = ((Indexed *)record.target)->index - pattern->start;

			record.target = new_indexed(&target_type, start + to);
			if (!record.target)
				return -1;
		}
		put(self, &pattern->operations[i], record);
	}
	return 0;
}

static struct loop *begin_loop(Assembler *self, Pattern *pattern)
{
	const Py_ssize_t words = PyTuple_GET_SIZE(pattern->words);
	const struct operation jump = {.kind = JUMP, .into = NO_REGISTER};
	const struct operation each = {.kind = EACH, .into = (uint8_t)(MAX_REGISTERS - words)};

	if (make_room(self, pattern->count + 2) < 0)
		return NULL;
	if (grow((void **)&self->loops, &self->loop_room, FIRST_ROWS, self->loop_count + 1, sizeof(struct loop)) < 0)
		return NULL;
	const Py_ssize_t start = self->count + 1, end = start + pattern->count;
	PyObject *forward = new_indexed(&target_type, end);
	PyObject *back = new_indexed(&target_type, start);

	if (!forward || !back) {
		Py_XDECREF(forward);
		Py_XDECREF(back);
		return NULL;
	}
	put(self, &jump, (struct record){.name = word_jump, .target = forward, .arguments = 2});
	const int failed = put_body(self, pattern);

	put(self, &each, (struct record){.name = word_each, .target = back, .arguments = 3});
	if (failed < 0)
		return NULL;
	struct loop *loop = &self->loops[self->loop_count++];

	*loop = (struct loop){
		.pattern = Py_NewRef(pattern),
		.start = start,
		.end = end,
		.first_row = self->row_count,
		.first_cell = self->cell_count,
	};
	return loop;
}

static int add_row(Assembler *self, struct loop *loop, PyObject *words)
{
	const Py_ssize_t count = PyTuple_GET_SIZE(words);

	if (grow((void **)&self->rows, &self->row_room, FIRST_ROWS, self->row_count + 1, sizeof(struct row)) < 0)
		return -1;
	if (grow((void **)&self->cells, &self->cell_room, FIRST_ROWS, self->cell_count + count, sizeof(uint32_t)) < 0)
		return -1;
	for (Py_ssize_t i = 0; i < count; i++) {
		const Pointer *pointer = (Pointer *)string_of(self, PyTuple_GET_ITEM(words, i));

		if (!pointer)
			return -1;
		self->cells[self->cell_count + i] = (uint32_t)pointer->offset;
	}
	self->rows[self->row_count++] = (struct row){
		.place = Py_NewRef(self->place),
		.subject = Py_NewRef(self->subject),
		.words = Py_NewRef(words),
	};
	self->cell_count += count;
	loop->rows++;
	return 0;
}

/* stamp(pattern, words): its operations, with these words in the places of the pattern's. */
PyObject *stamp(PyObject *assembler, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *self = (Assembler *)assembler;

	if (count != 2 || Py_TYPE(arguments[0]) != &pattern_type || !are_words(arguments[1]))
		return PyErr_Format(PyExc_TypeError, "stamp() takes a Pattern and a tuple of str");
	Pattern *pattern = (Pattern *)arguments[0];

	if (pattern->program != self->number)
		return PyErr_Format(PyExc_ValueError, "the pattern of another program");
	if (PyTuple_GET_SIZE(arguments[1]) != PyTuple_GET_SIZE(pattern->words))
		return PyErr_Format(PyExc_ValueError, "this pattern has %zd words", PyTuple_GET_SIZE(pattern->words));
	if (pattern->registers & ~free_registers(self))
		return PyErr_Format(PyExc_RuntimeError, "internal error: a register of the pattern is in use");
	struct loop *loop = open_loop(self, pattern);

	if (!loop)
		loop = begin_loop(self, pattern);
	if (!loop || add_row(self, loop, arguments[1]) < 0)
		return NULL;
	self->is_open = 1;
	Py_RETURN_NONE;
}

/* -- their tables ---------------------------------------------------------------------------------------------------- */

static int write_table(Assembler *self, struct loop *loop)
{
	struct operation *each = &self->operations[loop->end];
	const Py_ssize_t words = MAX_REGISTERS - each->into, cells = loop->rows * words;
	const Py_ssize_t table = take_scratch(self, cells * 8);

	if (table < 0)
		return -1;
	for (Py_ssize_t i = 0; i < cells; i++)
		if (add_relocation(self, table + i * 8, self->cells[loop->first_cell + i]) < 0)
			return -1;
	each->kinds[0] = POINTER;
	each->arguments[0] = (uint64_t)table | (uint64_t)(cells * 8) << 32;
	each->arguments[1] = (uint64_t)words;
	each->arguments[2] = (uint64_t)loop->rows;
	loop->is_settled = 1;
	return 0;
}

int settle(Assembler *self)
{
	self->is_open = 0;
	for (Py_ssize_t i = self->loop_count; i > 0 && !self->loops[i - 1].is_settled; i--)
		if (write_table(self, &self->loops[i - 1]) < 0)
			return -1;
	return 0;
}

/* -- what became of them --------------------------------------------------------------------------------------------- */

const struct loop *loop_around(const Assembler *self, Py_ssize_t index)
{
	for (Py_ssize_t i = 0; i < self->loop_count; i++)
		if (index >= self->loops[i].start && index < self->loops[i].end)
			return &self->loops[i];
	return NULL;
}

static const struct row *row_of(const Assembler *self, const struct loop *loop, Py_ssize_t row)
{
	return &self->rows[loop->first_row + row - 1];
}

/* The word that stands in a register of the table; any other argument as it is. */
PyObject *argument_in_row(Assembler *self, const struct loop *loop, Py_ssize_t row, PyObject *argument)
{
	const PyObject *words = row_of(self, loop, row)->words;
	const Py_ssize_t first = MAX_REGISTERS - PyTuple_GET_SIZE(words);

	if (Py_TYPE(argument) != &register_type || ((Indexed *)argument)->index < first)
		return Py_NewRef(argument);
	return Py_XNewRef(string_of(self, PyTuple_GET_ITEM(words, ((Indexed *)argument)->index - first)));
}

/* A new reference to a text of the pattern with the words of a row in it. */
static PyObject *with_words(PyObject *text, PyObject *made_up, PyObject *words)
{
	PyObject *replaced = Py_NewRef(text);

	for (Py_ssize_t i = 0; replaced && i < PyTuple_GET_SIZE(words); i++)
		Py_SETREF(replaced,
			  PyUnicode_Replace(replaced, PyTuple_GET_ITEM(made_up, i), PyTuple_GET_ITEM(words, i), -1));
	return replaced;
}

PyObject *label_in_row(const Assembler *self, const struct loop *loop, Py_ssize_t row, const struct record *record)
{
	const struct row *about = row_of(self, loop, row);
	PyObject *made_up = ((Pattern *)loop->pattern)->words;

	return Py_BuildValue("(OONN)", about->place, about->subject, with_words(record->doing, made_up, about->words),
			     with_words(record->says, made_up, about->words));
}

/* loops -> [(start, end, rows)]: operations from `start` to before `end` run so often; at `end` stands the EACH. */
PyObject *list_loops(PyObject *assembler, void *unused)
{
	const Assembler *self = (Assembler *)assembler;
	PyObject *list = PyList_New(self->loop_count);

	(void)unused;
	for (Py_ssize_t i = 0; list && i < self->loop_count; i++) {
		const struct loop *loop = &self->loops[i];
		PyObject *shown = Py_BuildValue("(nnn)", loop->start, loop->end, loop->rows);

		if (shown)
			PyList_SET_ITEM(list, i, shown);
		else
			Py_CLEAR(list);
	}
	return list;
}

void forget_loops(Assembler *self)
{
	for (Py_ssize_t i = 0; i < self->loop_count; i++)
		Py_DECREF(self->loops[i].pattern);
	for (Py_ssize_t i = 0; i < self->row_count; i++) {
		Py_DECREF(self->rows[i].place);
		Py_DECREF(self->rows[i].subject);
		Py_DECREF(self->rows[i].words);
	}
	PyMem_Free(self->loops);
	PyMem_Free(self->rows);
	PyMem_Free(self->cells);
}
