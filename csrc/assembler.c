/*
 * The assembler: what runtime/pyrunc/program/builder.py is made of.
 *
 * A container is some hundreds of operations.  As Python objects that were packed afterwards each cost 3 us, half of
 * a create (docs/adr/0010); here it costs 0.3.  Operations are kept as csrc/stage.c reads them; beside each stands what
 * only we want to know: its name, its label, where it jumps.
 *
 * It decides nothing: what is emitted, and in which order, is Python's business.
 */
#include "assembler.h"

#include <string.h>

/* -- the program --------------------------------------------------------------------------------------------------- */

static PyObject *registers[MAX_REGISTERS];
PyObject *no_text, *word_jump, *word_each;
static PyObject *word_doing, *word_into, *word_tolerate, *word_otherwise, *word_says, *word_tries, *word_errno;
static PyObject *word_mask, *word_differs, *word_close, *word_check, *word_set, *word_report;

/* What the program cannot be: raised as the class that Python has put into `refusal`. */
static void refuse(PyObject *self, const char *format, PyObject *shown, int number)
{
	PyObject *kind = PyObject_GetAttrString(self, "refusal");

	if (!kind)
		return;
	PyObject *text = shown ? PyUnicode_FromFormat(format, shown) : PyUnicode_FromFormat(format, number);

	if (text)
		PyErr_SetObject(kind, text);
	Py_XDECREF(text);
	Py_DECREF(kind);
}

/* A container without anything special has 600 operations: to grow there by doubling would touch twice the pages. */
enum { FIRST_ROOM = 1024 };

int grow(void **items, Py_ssize_t *room, Py_ssize_t first, Py_ssize_t wanted, size_t size)
{
	if (wanted <= *room)
		return 0;
	Py_ssize_t larger = *room ? *room : first;

	while (larger < wanted)
		larger *= 2;
	void *moved = PyMem_Realloc(*items, (size_t)larger * size);

	if (!moved) {
		PyErr_NoMemory();
		return -1;
	}
	*items = moved;
	*room = larger;
	return 0;
}

Py_ssize_t take_scratch(Assembler *self, Py_ssize_t size)
{
	const Py_ssize_t offset = (self->size + 7) & ~(Py_ssize_t)7;

	if (size < 0 || size > UINT32_MAX - offset) {
		PyErr_SetString(PyExc_OverflowError, "the data block is too large");
		return -1;
	}
	if (grow((void **)&self->data, &self->data_room, FIRST_ROOM, offset + size, 1) < 0)
		return -1;
	if (offset + size > self->size) /* there may be no data at all yet */
		memset(self->data + self->size, 0, (size_t)(offset + size - self->size));
	self->size = offset + size;
	return offset;
}

static PyObject *scratch(PyObject *object, PyObject *argument)
{
	const Py_ssize_t size = PyLong_AsSsize_t(argument);

	if (size == -1 && PyErr_Occurred())
		return NULL;
	const Py_ssize_t offset = take_scratch((Assembler *)object, size);

	return offset < 0 ? NULL : new_pointer(offset, size);
}

static PyObject *constant(PyObject *object, PyObject *content)
{
	Assembler *self = (Assembler *)object;
	char *bytes;
	Py_ssize_t size;

	if (PyBytes_AsStringAndSize(content, &bytes, &size) < 0)
		return NULL;
	const Py_ssize_t offset = take_scratch(self, size);

	if (offset < 0)
		return NULL;
	memcpy(self->data + offset, bytes, (size_t)size);
	return new_pointer(offset, size);
}

PyObject *string_of(Assembler *self, PyObject *text)
{
	PyObject *known = PyDict_GetItemWithError(self->strings, text);

	if (known || PyErr_Occurred())
		return known;
	PyObject *content =
		PyUnicode_Check(text) ? PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape") : Py_NewRef(text);
	if (!content)
		return NULL;
	known = PyDict_GetItemWithError(self->strings, content);
	if (!known && !PyErr_Occurred()) {
		const Py_ssize_t size = PyBytes_GET_SIZE(content);
		const Py_ssize_t offset = take_scratch(self, size + 1);

		if (memchr(PyBytes_AS_STRING(content), 0, (size_t)size)) {
			refuse((PyObject *)self, "a NUL byte in %R", content, 0);
		} else if (offset >= 0) {
			memcpy(self->data + offset, PyBytes_AS_STRING(content), (size_t)size);
			PyObject *made = new_pointer(offset, size + 1);

			if (made && PyDict_SetItem(self->strings, content, made) == 0)
				known = made;
			Py_XDECREF(made);
		}
	}
	if (known && text != content && PyDict_SetItem(self->strings, text, known) < 0)
		known = NULL;
	Py_DECREF(content);
	return known;
}

static PyObject *string(PyObject *object, PyObject *text)
{
	if (!PyUnicode_Check(text) && !PyBytes_Check(text))
		return PyErr_Format(PyExc_TypeError, "a string is str or bytes, not %.100s", Py_TYPE(text)->tp_name);
	return Py_XNewRef(string_of((Assembler *)object, text));
}

int add_relocation(Assembler *self, Py_ssize_t word, Py_ssize_t pointed)
{
	const uint64_t offset = (uint64_t)pointed;

	if (word < 0 || word > self->size - 8) {
		PyErr_SetString(PyExc_ValueError, "a relocation outside the data block");
		return -1;
	}
	if (grow((void **)&self->relocations, &self->relocation_room, FIRST_ROOM, self->relocation_count + 1,
		 sizeof(uint32_t)) < 0)
		return -1;
	memcpy(self->data + word, &offset, sizeof(offset));
	self->relocations[self->relocation_count++] = (uint32_t)word;
	return 0;
}

/* point(word offset, Pointer): an address goes there. */
static PyObject *point(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
	if (count != 2 || Py_TYPE(arguments[1]) != &pointer_type)
		return PyErr_Format(PyExc_TypeError, "point() takes an offset and a Pointer");
	const Py_ssize_t word = PyLong_AsSsize_t(arguments[0]);

	if (word == -1 && PyErr_Occurred())
		return NULL;
	if (add_relocation((Assembler *)object, word, ((Pointer *)arguments[1])->offset) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* fill(Pointer, bytes): what stands there from the start. */
static PyObject *fill(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *self = (Assembler *)object;

	if (count != 2 || Py_TYPE(arguments[0]) != &pointer_type || !PyBytes_Check(arguments[1]))
		return PyErr_Format(PyExc_TypeError, "fill() takes a Pointer and bytes");
	const Pointer *pointer = (Pointer *)arguments[0];

	if (PyBytes_GET_SIZE(arguments[1]) > pointer->size || pointer->offset + pointer->size > self->size)
		return PyErr_Format(PyExc_ValueError, "%zd bytes do not fit into %R", PyBytes_GET_SIZE(arguments[1]),
				    arguments[0]);
	memcpy(self->data + pointer->offset, PyBytes_AS_STRING(arguments[1]), (size_t)PyBytes_GET_SIZE(arguments[1]));
	Py_RETURN_NONE;
}

/* -- registers ------------------------------------------------------------------------------------------------------ */

static PyObject *take_register(PyObject *object, PyObject *unused)
{
	Assembler *self = (Assembler *)object;

	(void)unused;
	if (self->free_count == 0)
		return PyErr_Format(PyExc_RuntimeError, "internal error: the program is out of registers");
	return Py_NewRef(registers[self->free[--self->free_count]]);
}

static PyObject *release(PyObject *object, PyObject *argument)
{
	Assembler *self = (Assembler *)object;

	if (Py_TYPE(argument) != &register_type)
		return PyErr_Format(PyExc_TypeError, "release() takes a Register");
	const Py_ssize_t index = ((Indexed *)argument)->index;

	if (memchr(self->free, (int)index, (size_t)self->free_count))
		return PyErr_Format(PyExc_RuntimeError, "internal error: %R released twice", argument);
	self->free[self->free_count++] = (uint8_t)index;
	Py_RETURN_NONE;
}

/* -- operations ----------------------------------------------------------------------------------------------------- */

struct options {
	PyObject *doing;
	PyObject *says;
	PyObject *into;	     /* Register or None */
	PyObject *tolerate;  /* tuple or list of ints */
	PyObject *otherwise; /* Target or None */
	PyObject *errno_;
	PyObject *mask;
	int differs;
	long tries;
};

static int take_option(struct options *options, PyObject *name, PyObject *value)
{
	if (name == word_doing)
		options->doing = value;
	else if (name == word_tolerate)
		options->tolerate = value;
	else if (name == word_otherwise)
		options->otherwise = value;
	else if (name == word_into)
		options->into = value;
	else if (name == word_says)
		options->says = value;
	else if (name == word_errno)
		options->errno_ = value;
	else if (name == word_mask)
		options->mask = value;
	else if (name == word_differs)
		options->differs = PyObject_IsTrue(value);
	else if (name == word_tries)
		options->tries = PyLong_AsLong(value);
	else
		return 0;
	return 1;
}

/* Names of arguments are interned where they are written; those of a dictionary need not be. */
static int take_options(struct options *options, PyObject *const *values, PyObject *names)
{
	*options = (struct options){.doing = no_text, .says = no_text};
	for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
		PyObject *name = Py_NewRef(PyTuple_GET_ITEM(names, i));

		PyUnicode_InternInPlace(&name);
		const int known = take_option(options, name, values[i]);

		if (!known)
			PyErr_Format(PyExc_TypeError, "an operation has no %R", name);
		Py_DECREF(name);
		if (!known || PyErr_Occurred())
			return -1;
	}
	if (!PyUnicode_Check(options->doing) || !PyUnicode_Check(options->says)) {
		PyErr_SetString(PyExc_TypeError, "doing and says are str");
		return -1;
	}
	return 0;
}

static int take_argument(Assembler *self, struct operation *operation, Py_ssize_t i, PyObject *value)
{
	if (PyUnicode_Check(value) || PyBytes_Check(value)) {
		value = string_of(self, value);
		if (!value)
			return -1;
	}
	if (Py_TYPE(value) == &pointer_type) {
		const Pointer *pointer = (Pointer *)value;

		operation->kinds[i] = POINTER;
		operation->arguments[i] = (uint64_t)pointer->offset | (uint64_t)pointer->size << 32;
	} else if (Py_TYPE(value) == &register_type) {
		operation->kinds[i] = REGISTER;
		operation->arguments[i] = (uint64_t)((Indexed *)value)->index;
	} else {
		operation->kinds[i] = IMMEDIATE;
		operation->arguments[i] = PyLong_AsUnsignedLongLongMask(value);
		if (operation->arguments[i] == (uint64_t)-1 && PyErr_Occurred())
			return -1;
	}
	return 0;
}

static int take_tolerated(struct operation *operation, PyObject *name, PyObject *errnos)
{
	PyObject *fast = PySequence_Fast(errnos, "tolerate is a sequence");

	if (!fast)
		return -1;
	const Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);

	if (count > MAX_TOLERATED)
		PyErr_Format(PyExc_ValueError, "%U tolerates more than %d errnos", name, MAX_TOLERATED);
	for (Py_ssize_t i = 0; i < count && count <= MAX_TOLERATED; i++)
		operation->tolerated[i] = (uint16_t)PyLong_AsLong(PySequence_Fast_GET_ITEM(fast, i));
	operation->tolerated_count = (uint8_t)count;
	Py_DECREF(fast);
	return PyErr_Occurred() ? -1 : 0;
}

static int take_into(struct operation *operation, PyObject *into)
{
	operation->into = NO_REGISTER;
	if (!into || into == Py_None)
		return 0;
	if (Py_TYPE(into) != &register_type) {
		PyErr_SetString(PyExc_TypeError, "into is a Register");
		return -1;
	}
	operation->into = (uint8_t)((Indexed *)into)->index;
	return 0;
}

int make_room(Assembler *self, Py_ssize_t more)
{
	Py_ssize_t room = self->room;

	if (self->count > NEXT - 1 - more) {
		refuse((PyObject *)self, "the container needs more than %d operations", NULL, NEXT - 1);
		return -1;
	}
	if (grow((void **)&self->operations, &room, FIRST_ROOM, self->count + more, sizeof(struct operation)) < 0)
		return -1;
	return grow((void **)&self->records, &self->room, FIRST_ROOM, self->count + more, sizeof(struct record));
}

static int add(Assembler *self, int kind, PyObject *name, PyObject *const *arguments, Py_ssize_t count,
	       const struct options *options)
{
	if (count > MAX_ARGUMENTS) {
		PyErr_Format(PyExc_TypeError, "%U has more than %d arguments", name, MAX_ARGUMENTS);
		return -1;
	}
	if (options->otherwise && options->otherwise != Py_None && Py_TYPE(options->otherwise) != &target_type) {
		PyErr_SetString(PyExc_TypeError, "otherwise is a Target");
		return -1;
	}
	if (make_room(self, 1) < 0)
		return -1;
	struct operation *operation = &self->operations[self->count];

	memset(operation, 0, sizeof(*operation));
	operation->kind = (uint8_t)kind;
	if (take_into(operation, options->into) < 0)
		return -1;
	if (options->tolerate && take_tolerated(operation, name, options->tolerate) < 0)
		return -1;
	if (options->tries < 0 || options->tries > MAX_TRIES) {
		PyErr_SetString(PyExc_ValueError, "tries are 0 to 255");
		return -1;
	}
	operation->negated = (uint8_t)(kind == CALL ? options->tries : options->differs);
	for (Py_ssize_t i = 0; i < count; i++)
		if (take_argument(self, operation, i, arguments[i]) < 0)
			return -1;
	PyObject *target = options->otherwise == Py_None ? NULL : options->otherwise;

	self->is_open = 0;
	self->records[self->count++] = (struct record){
		.name = Py_NewRef(name),
		.place = Py_NewRef(self->place),
		.subject = Py_NewRef(self->subject),
		.doing = Py_NewRef(options->doing),
		.says = Py_NewRef(options->says),
		.target = Py_XNewRef(target),
		.arguments = count,
	};
	return 0;
}

static PyObject *call(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
	struct options options;

	if (count < 1 || !PyUnicode_Check(arguments[0]))
		return PyErr_Format(PyExc_TypeError, "call() takes the name of a system call first");
	if (take_options(&options, arguments + count, names) < 0)
		return NULL;
	if (add((Assembler *)object, CALL, arguments[0], arguments + 1, count - 1, &options) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *result(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
	struct options options;

	if (count < 1 || !PyUnicode_Check(arguments[0]))
		return PyErr_Format(PyExc_TypeError, "result() takes the name of a system call first");
	if (take_options(&options, arguments + count, names) < 0)
		return NULL;
	PyObject *into = take_register(object, NULL);

	options.into = into;
	if (!into || add((Assembler *)object, CALL, arguments[0], arguments + 1, count - 1, &options) < 0)
		Py_CLEAR(into);
	return into;
}

static PyObject *close_(PyObject *object, PyObject *descriptor)
{
	const struct options options = {.doing = word_close, .says = no_text};

	if (Py_TYPE(descriptor) != &register_type)
		return PyErr_Format(PyExc_TypeError, "close() takes a Register");
	if (add((Assembler *)object, CALL, word_close, &descriptor, 1, &options) < 0)
		return NULL;
	return release(object, descriptor);
}

/* check(memory, expected, *, doing, errno, mask, differs, otherwise, says) */
static PyObject *check(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
	Assembler *self = (Assembler *)object;
	struct options options;

	if (count != 2 || Py_TYPE(arguments[0]) != &pointer_type)
		return PyErr_Format(PyExc_TypeError, "check() takes a Pointer and what is expected there");
	if (take_options(&options, arguments + 2, names) < 0)
		return NULL;
	const Py_ssize_t width = ((Pointer *)arguments[0])->size;

	if (width != 1 && width != 2 && width != 4 && width != 8)
		return PyErr_Format(PyExc_ValueError, "a check compares 1, 2, 4 or 8 bytes, not %zd", width);
	const uint64_t wanted = options.mask ? PyLong_AsUnsignedLongLongMask(options.mask) : UINT64_MAX;

	if (PyErr_Occurred())
		return NULL;
	if (PyLong_Check(arguments[1]) && (PyLong_AsUnsignedLongLongMask(arguments[1]) & ~wanted) != 0)
		return PyErr_Format(PyExc_ValueError, "a check for %S under the mask 0x%llx can never hold",
				    arguments[1], (unsigned long long)wanted);
	const long number = options.errno_ ? PyLong_AsLong(options.errno_) : 0;
	PyObject *values[] = {arguments[0], Py_None, arguments[1]};

	values[1] = PyLong_FromUnsignedLongLong(width == 8 ? wanted : wanted & ((1ULL << 8 * width) - 1));
	if (!values[1] || PyErr_Occurred())
		return NULL;
	const int failed = add(self, CHECK, word_check, values, 3, &options);

	Py_DECREF(values[1]);
	if (failed < 0)
		return NULL;
	self->operations[self->count - 1].number = (uint16_t)number;
	Py_RETURN_NONE;
}

static PyObject *set(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
	struct options options = {.doing = no_text, .says = no_text};

	if (count != 2 || Py_TYPE(arguments[0]) != &register_type)
		return PyErr_Format(PyExc_TypeError, "set() takes a Register and a value");
	options.into = arguments[0];
	if (add((Assembler *)object, SET, word_set, arguments + 1, 1, &options) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* jump(target) */
static PyObject *jump(PyObject *object, PyObject *target)
{
	struct options options = {.doing = no_text, .says = no_text, .otherwise = target};
	PyObject *zero = PyLong_FromLong(0);
	PyObject *values[] = {zero, zero};
	const int failed = add((Assembler *)object, JUMP, word_jump, values, 2, &options);

	Py_DECREF(zero);
	if (failed < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* jump_if(register, value, target, *, differs) */
static PyObject *jump_if(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
	struct options options;

	if (count != 3)
		return PyErr_Format(PyExc_TypeError, "jump_if() takes a register, a value and a target");
	if (take_options(&options, arguments + 3, names) < 0)
		return NULL;
	options.otherwise = arguments[2];
	if (add((Assembler *)object, JUMP, word_jump, arguments, 2, &options) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* add_sync(number, name, doing, value[, answer]) */
static PyObject *add_sync(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *self = (Assembler *)object;
	struct options options = {.says = no_text};

	if (count < 4 || count > 5 || !PyUnicode_Check(arguments[1]) || !PyUnicode_Check(arguments[2]))
		return PyErr_Format(PyExc_TypeError,
				    "add_sync() takes a number, a name, a text, a value and an answer");
	const long number = PyLong_AsLong(arguments[0]);

	options.doing = arguments[2];
	if (PyErr_Occurred() || add(self, SYNC, arguments[1], arguments + 3, count - 3, &options) < 0)
		return NULL;
	self->operations[self->count - 1].number = (uint16_t)number;
	Py_RETURN_NONE;
}

static PyObject *report(PyObject *object, PyObject *descriptor)
{
	const struct options options = {.doing = no_text, .says = no_text};

	if (add((Assembler *)object, REPORT, word_report, &descriptor, 1, &options) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *target(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	return new_indexed(&target_type, -1);
}

/* here(target): the next operation is what it means. */
static PyObject *here(PyObject *object, PyObject *argument)
{
	if (Py_TYPE(argument) != &target_type)
		return PyErr_Format(PyExc_TypeError, "here() takes a Target");
	((Indexed *)argument)->index = ((Assembler *)object)->count;
	((Assembler *)object)->is_open = 0; /* another row would come before it */
	Py_RETURN_NONE;
}

/* scope(place, subject): what is emitted from now on is about them.  Returns what it was about before. */
static PyObject *scope(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
	Assembler *self = (Assembler *)object;

	if (count != 2 || !PyUnicode_Check(arguments[0]) || !PyUnicode_Check(arguments[1]))
		return PyErr_Format(PyExc_TypeError, "scope() takes a place and a subject");
	PyObject *before = PyTuple_Pack(2, self->place, self->subject);

	Py_SETREF(self->place, Py_NewRef(arguments[0]));
	Py_SETREF(self->subject, Py_NewRef(arguments[1]));
	return before;
}

/* relabel(label): of the last operation, in place of the words it was given. */
static PyObject *relabel(PyObject *object, PyObject *label)
{
	Assembler *self = (Assembler *)object;

	if (self->count == 0)
		return PyErr_Format(PyExc_IndexError, "there is no operation yet");
	self->is_open = 0;
	Py_XSETREF(self->records[self->count - 1].label, Py_NewRef(label));
	Py_RETURN_NONE;
}

/* -- what became of it ---------------------------------------------------------------------------------------------- */

static PyObject *argument_object(const struct operation *operation, Py_ssize_t i)
{
	const uint64_t value = operation->arguments[i];

	switch (operation->kinds[i]) {
	case POINTER:
		return new_pointer((Py_ssize_t)(uint32_t)value, (Py_ssize_t)(value >> 32));
	case REGISTER:
		return Py_NewRef(registers[value]);
	default:
		return PyLong_FromLongLong((long long)value);
	}
}

static PyObject *tolerated_of(const struct operation *operation)
{
	PyObject *errnos = PyTuple_New(operation->tolerated_count);

	for (Py_ssize_t i = 0; errnos && i < operation->tolerated_count; i++)
		PyTuple_SET_ITEM(errnos, i, PyLong_FromLong(operation->tolerated[i]));
	return errnos;
}

static PyObject *label_of(const struct record *record)
{
	if (record->label)
		return Py_NewRef(record->label);
	return Py_BuildValue("(OOOO)", record->place, record->subject, record->doing, record->says);
}

static PyObject *arguments_of(Assembler *self, Py_ssize_t index, const struct loop *loop, Py_ssize_t row)
{
	const Py_ssize_t count = self->records[index].arguments;
	PyObject *arguments = PyTuple_New(count);

	for (Py_ssize_t i = 0; arguments && i < count; i++) {
		PyObject *argument = argument_object(&self->operations[index], i);

		if (loop && argument)
			Py_SETREF(argument, argument_in_row(self, loop, row, argument));
		if (!argument)
			Py_CLEAR(arguments);
		else
			PyTuple_SET_ITEM(arguments, i, argument);
	}
	return arguments;
}

/*
 * get(operation) -> (kind, name, arguments, (place, subject, doing, says) or label, into, tolerated, target, number,
 *                    negated)
 * An operation as the stage tells it: with the number of a row above its index.
 */
static PyObject *get(PyObject *object, PyObject *argument)
{
	Assembler *self = (Assembler *)object;
	const Py_ssize_t told = PyLong_AsSsize_t(argument);
	const Py_ssize_t index = told & 0xFFFF, row = told >> 16;

	if (told == -1 && PyErr_Occurred())
		return NULL;
	const struct loop *loop = row ? loop_around(self, index) : NULL;

	if (index >= self->count || row < 0 || row > (loop ? loop->rows : 0))
		return PyErr_Format(PyExc_IndexError, "there is no operation %zd", told);
	if (settle(self) < 0)
		return NULL;
	const struct operation *operation = &self->operations[index];
	const struct record *record = &self->records[index];
	PyObject *arguments = arguments_of(self, index, loop, row);

	if (!arguments)
		return NULL;
	PyObject *label = loop ? label_in_row(self, loop, row, record) : label_of(record);
	PyObject *into = operation->into == NO_REGISTER ? Py_None : registers[operation->into];
	PyObject *target_ = record->target ? record->target : Py_None;

	return Py_BuildValue("(BONNONOHB)", operation->kind, record->name, arguments, label, into,
			     tolerated_of(operation), target_, operation->number, operation->negated);
}

static int resolve_target(const Assembler *self, Py_ssize_t index)
{
	struct operation *operation = &self->operations[index];
	const struct record *record = &self->records[index];

	operation->target = NEXT;
	if (!record->target)
		return 0;
	const Py_ssize_t to = ((Indexed *)record->target)->index;

	if (to > self->count || (operation->kind != EACH && to <= index)) {
		PyErr_Format(PyExc_ValueError, "%U jumps from %zd to %zd: jumps go forward", record->name, index, to);
		return -1;
	}
	operation->target = (uint16_t)to;
	return 0;
}

static int resolve(const Assembler *self, PyObject *numbers, Py_ssize_t index)
{
	struct operation *operation = &self->operations[index];

	if (resolve_target(self, index) < 0)
		return -1;
	if (operation->kind != CALL)
		return 0;
	PyObject *number = PyDict_GetItemWithError(numbers, self->records[index].name);

	if (!number) {
		if (!PyErr_Occurred())
			PyErr_SetObject(PyExc_KeyError, self->records[index].name);
		return -1;
	}
	operation->number = (uint16_t)PyLong_AsLong(number);
	return 0;
}

/* encode(numbers: dict of system call numbers) -> bytes: what the stage reads. */
static PyObject *encode(PyObject *object, PyObject *numbers)
{
	Assembler *self = (Assembler *)object;

	if (!PyDict_Check(numbers))
		return PyErr_Format(PyExc_TypeError, "numbers is a dict");
	if (settle(self) < 0)
		return NULL;
	for (Py_ssize_t i = 0; i < self->count; i++)
		if (resolve(self, numbers, i) < 0)
			return NULL;
	const size_t operations = (size_t)self->count * sizeof(struct operation);
	const size_t relocations = (size_t)self->relocation_count * sizeof(uint32_t);
	const struct header header = {
		.magic = MAGIC,
		.operations = (uint32_t)self->count,
		.relocations = (uint32_t)self->relocation_count,
		.size = (uint32_t)self->size,
	};
	PyObject *encoded =
		PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizeof(header) + operations + relocations) + self->size);

	if (!encoded)
		return NULL;
	char *position = PyBytes_AS_STRING(encoded);

	memcpy(position, &header, sizeof(header));
	position += sizeof(header);
	if (operations)
		memcpy(position, self->operations, operations);
	position += operations;
	if (relocations)
		memcpy(position, self->relocations, relocations);
	if (self->size)
		memcpy(position + relocations, self->data, (size_t)self->size);
	return encoded;
}

static PyObject *get_data(PyObject *object, void *unused)
{
	Assembler *self = (Assembler *)object;

	(void)unused;
	if (settle(self) < 0)
		return NULL;
	return PyBytes_FromStringAndSize(self->data, self->size);
}

static PyObject *get_relocations(PyObject *object, void *unused)
{
	Assembler *self = (Assembler *)object;

	(void)unused;
	if (settle(self) < 0)
		return NULL;
	PyObject *list = PyList_New(self->relocation_count);

	for (Py_ssize_t i = 0; list && i < self->relocation_count; i++)
		PyList_SET_ITEM(list, i, PyLong_FromUnsignedLong(self->relocations[i]));
	return list;
}

static PyObject *get_strings(PyObject *object, void *unused)
{
	(void)unused;
	return PyDict_Values(((Assembler *)object)->strings);
}

static Py_ssize_t length(PyObject *object)
{
	return ((Assembler *)object)->count;
}

/* -- the type and the module ---------------------------------------------------------------------------------------- */

static PyObject *make_assembler(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
	static uint64_t number;
	Assembler *self = (Assembler *)type->tp_alloc(type, 0);

	(void)arguments;
	(void)names;
	if (!self)
		return NULL;
	self->number = ++number;
	self->strings = PyDict_New();
	self->place = Py_NewRef(no_text);
	self->subject = Py_NewRef(no_text);
	self->free_count = MAX_REGISTERS;
	for (int i = 0; i < MAX_REGISTERS; i++)
		self->free[i] = (uint8_t)(MAX_REGISTERS - 1 - i);
	if (!self->strings)
		Py_CLEAR(self);
	return (PyObject *)self;
}

void forget_record(struct record *record)
{
	Py_DECREF(record->name);
	Py_DECREF(record->place);
	Py_DECREF(record->subject);
	Py_DECREF(record->doing);
	Py_DECREF(record->says);
	Py_XDECREF(record->target);
	Py_XDECREF(record->label);
}

static void forget(PyObject *object)
{
	Assembler *self = (Assembler *)object;

	for (Py_ssize_t i = 0; i < self->count; i++)
		forget_record(&self->records[i]);
	forget_loops(self);
	PyMem_Free(self->operations);
	PyMem_Free(self->records);
	PyMem_Free(self->data);
	PyMem_Free(self->relocations);
	Py_XDECREF(self->strings);
	Py_XDECREF(self->place);
	Py_XDECREF(self->subject);
	Py_TYPE(object)->tp_free(object);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef assembler_methods[] = {
	{"add_sync", FAST(add_sync), METH_FASTCALL, NULL},
	{"call", FAST(call), METH_FASTCALL | METH_KEYWORDS, NULL},
	{"check", FAST(check), METH_FASTCALL | METH_KEYWORDS, NULL},
	{"close", close_, METH_O, NULL},
	{"constant", constant, METH_O, NULL},
	{"encode", encode, METH_O, NULL},
	{"fill", FAST(fill), METH_FASTCALL, NULL},
	{"get", get, METH_O, NULL},
	{"here", here, METH_O, NULL},
	{"jump", jump, METH_O, NULL},
	{"jump_if", FAST(jump_if), METH_FASTCALL | METH_KEYWORDS, NULL},
	{"pattern", FAST(take_pattern), METH_FASTCALL, NULL},
	{"point", FAST(point), METH_FASTCALL, NULL},
	{"register", take_register, METH_NOARGS, NULL},
	{"relabel", relabel, METH_O, NULL},
	{"release", release, METH_O, NULL},
	{"report", report, METH_O, NULL},
	{"result", FAST(result), METH_FASTCALL | METH_KEYWORDS, NULL},
	{"scope", FAST(scope), METH_FASTCALL, NULL},
	{"scratch", scratch, METH_O, NULL},
	{"set", FAST(set), METH_FASTCALL, NULL},
	{"stamp", FAST(stamp), METH_FASTCALL, NULL},
	{"string", string, METH_O, NULL},
	{"target", target, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef assembler_attributes[] = {
	{"data", get_data, NULL, NULL, NULL},
	{"loops", list_loops, NULL, NULL, NULL},
	{"relocations", get_relocations, NULL, NULL, NULL},
	{"strings", get_strings, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PySequenceMethods assembler_sequence = {.sq_length = length};

static PyTypeObject assembler_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Assembler",
	.tp_basicsize = sizeof(Assembler),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_new = make_assembler,
	.tp_dealloc = forget,
	.tp_methods = assembler_methods,
	.tp_getset = assembler_attributes,
	.tp_as_sequence = &assembler_sequence,
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "_pyrunc_assembler",
	.m_doc = NULL,
	.m_size = -1,
};

static int make_words(void)
{
	static const struct {
		PyObject **word;
		const char *text;
	} words[] = {
		{&no_text, ""},		  {&word_doing, "doing"},
		{&word_into, "into"},	  {&word_tolerate, "tolerate"},
		{&word_says, "says"},	  {&word_otherwise, "otherwise"},
		{&word_tries, "tries"},	  {&word_errno, "errno"},
		{&word_mask, "mask"},	  {&word_differs, "differs"},
		{&word_close, "close"},	  {&word_check, "check"},
		{&word_set, "set"},	  {&word_jump, "jump"},
		{&word_report, "report"}, {&word_each, "each"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!(*words[i].word = PyUnicode_InternFromString(words[i].text)))
			return -1;
	for (Py_ssize_t i = 0; i < MAX_REGISTERS; i++)
		if (!(registers[i] = new_indexed(&register_type, i)))
			return -1;
	return 0;
}

PyMODINIT_FUNC PyInit__pyrunc_assembler(void)
{
	PyTypeObject *types[] = {&register_type, &pointer_type, &target_type, &pattern_type, &assembler_type};
	const char *names[] = {"Register", "Pointer", "Target", "Pattern", "Assembler"};
	PyObject *module = PyModule_Create(&definition);

	for (size_t i = 0; module && i < sizeof(types) / sizeof(types[0]); i++)
		if (PyType_Ready(types[i]) < 0 || PyModule_AddObjectRef(module, names[i], (PyObject *)types[i]) < 0)
			Py_CLEAR(module);
	if (module && make_words() < 0)
		Py_CLEAR(module);
	return module;
}
