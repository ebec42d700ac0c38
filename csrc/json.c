/*
 * JSON as runtime/pyrunc/jsonio.py wants it, as a CPython module: _json is a shared object in Debian's CPython, which
 * can be no part of the launcher's image and takes longer to load than to use.
 *
 * read()   the value of a document in UTF-8.  ValueError without a text for everything that is refused: what is wrong
 *          is found out by json_faults.py, slowly.  Refused are, beyond what RFC 8259 refuses, duplicate keys, numbers
 *          that are infinite as a double, and nesting deeper than MAX_DEPTH, which bounds the recursion here.
 * write()  the text of a value, without spaces and without escapes that need not be (Go's encoding/json, HTML off)
 * quote()  the text of a string
 *
 * This is not part of the helper: it allocates what it returns.
 */
#include <Python.h>

enum { MAX_DEPTH = 128, SHORT_NUMBER = 18, LONGEST_NUMBER = 5000 };

struct reader {
	const char *position;
	const char *end; /* of a bytes object: a zero follows */
};

static PyObject *read_value(struct reader *reader, int depth);

static PyObject *refuse(void)
{
	if (!PyErr_Occurred())
		PyErr_SetNone(PyExc_ValueError);
	return NULL;
}

static void skip_space(struct reader *reader)
{
	while (*reader->position == ' ' || *reader->position == '\n' || *reader->position == '\r' ||
	       *reader->position == '\t')
		reader->position++;
}

static int is_digit(char letter)
{
	return letter >= '0' && letter <= '9';
}

/* -- strings ------------------------------------------------------------------------------------------------------ */

/* Four hexadecimal digits, or -1. */
static int read_hexadecimal(struct reader *reader)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		const char letter = *reader->position;
		const int lower = letter | 0x20;

		if (is_digit(letter))
			value = value << 4 | (letter - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = value << 4 | (lower - 'a' + 10);
		else
			return -1;
		reader->position++;
	}
	return value;
}

/* Behind `\u`: one character, which two escapes may be needed for; half a pair stays what it is. */
static int read_unicode_escape(struct reader *reader)
{
	const int first = read_hexadecimal(reader);

	if (first < 0xD800 || first > 0xDBFF || reader->position[0] != '\\' || reader->position[1] != 'u')
		return first;
	struct reader ahead = {reader->position + 2, reader->end};
	const int second = read_hexadecimal(&ahead);

	if (second < 0)
		return -1;
	if (second < 0xDC00 || second > 0xDFFF)
		return first;
	reader->position = ahead.position;
	return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

/* Behind the backslash: the character, or -1. */
static int read_escape(struct reader *reader)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char letter = *reader->position++;

	if (letter == 'u')
		return read_unicode_escape(reader);
	const char *found = letter ? strchr(letters, letter) : NULL;

	return found ? meanings[found - letters] : -1;
}

/* The characters up to the next quote, backslash or control character. */
static const char *end_of_plain(const char *position)
{
	while (*position != '"' && *position != '\\' && (unsigned char)*position >= ' ')
		position++;
	return position;
}

static int write_plain(_PyUnicodeWriter *writer, const char *start, const char *end)
{
	PyObject *text = PyUnicode_DecodeUTF8(start, end - start, NULL);

	if (!text)
		return -1;
	const int result = _PyUnicodeWriter_WriteStr(writer, text);

	Py_DECREF(text);
	return result;
}

static PyObject *read_escaped(struct reader *reader)
{
	_PyUnicodeWriter writer;

	_PyUnicodeWriter_Init(&writer);
	writer.overallocate = 1;
	for (;;) {
		const char *end = end_of_plain(reader->position);

		if (end > reader->position && write_plain(&writer, reader->position, end) < 0)
			break;
		reader->position = end + 1;
		if (*end == '"')
			return _PyUnicodeWriter_Finish(&writer);
		if (*end != '\\')
			break;
		const int character = read_escape(reader);

		if (character < 0 || _PyUnicodeWriter_WriteChar(&writer, (Py_UCS4)character) < 0)
			break;
	}
	_PyUnicodeWriter_Dealloc(&writer);
	return refuse();
}

/* Behind the opening quote. */
static PyObject *read_string(struct reader *reader)
{
	const char *start = reader->position;
	const char *end = end_of_plain(start);

	if (*end != '"')
		return read_escaped(reader);
	reader->position = end + 1;
	return PyUnicode_DecodeUTF8(start, end - start, NULL);
}

/* -- numbers ------------------------------------------------------------------------------------------------------ */

static const char *skip_digits(const char *position)
{
	while (is_digit(*position))
		position++;
	return position;
}

static PyObject *make_integer(const char *start, const char *end)
{
	if (end - start <= SHORT_NUMBER)
		return PyLong_FromLongLong(strtoll(start, NULL, 10));
	PyObject *text = PyUnicode_FromStringAndSize(start, end - start);
	PyObject *number = text ? PyLong_FromUnicodeObject(text, 10) : NULL; /* refuses 4300 digits and more */

	Py_XDECREF(text);
	return number;
}

static PyObject *make_float(const char *start, const char *end)
{
	char copy[LONGEST_NUMBER + 1];

	if (end - start > LONGEST_NUMBER)
		return refuse();
	memcpy(copy, start, (size_t)(end - start));
	copy[end - start] = '\0';
	const double number = PyOS_string_to_double(copy, NULL, NULL);

	if (PyErr_Occurred() || !Py_IS_FINITE(number))
		return refuse();
	return PyFloat_FromDouble(number);
}

static PyObject *read_number(struct reader *reader)
{
	const char *start = reader->position;
	const char *first = start + (*start == '-');
	const char *end = skip_digits(first);
	int is_float = 0;

	if (end == first || (*first == '0' && end > first + 1))
		return refuse();
	if (*end == '.' && is_digit(end[1])) {
		end = skip_digits(end + 1);
		is_float = 1;
	}
	if (*end == 'e' || *end == 'E') {
		const char *digits = end + 1 + (end[1] == '+' || end[1] == '-');

		if (!is_digit(*digits))
			return refuse();
		end = skip_digits(digits);
		is_float = 1;
	}
	reader->position = end;
	return is_float ? make_float(start, end) : make_integer(start, end);
}

/* -- arrays, objects and the rest --------------------------------------------------------------------------------- */

/* After an item: 1 for another one, 0 at `last`, -1 for anything else. */
static int has_more(struct reader *reader, char last)
{
	skip_space(reader);
	const char letter = *reader->position++;

	return letter == ',' ? 1 : letter == last ? 0 : -1;
}

static int is_empty(struct reader *reader, char last)
{
	skip_space(reader);
	if (*reader->position != last)
		return 0;
	reader->position++;
	return 1;
}

static PyObject *read_array(struct reader *reader, int depth)
{
	PyObject *list = PyList_New(0);
	int more = 1;

	if (!list || is_empty(reader, ']'))
		return list;
	while (more > 0) {
		PyObject *item = read_value(reader, depth);
		const int added = item ? PyList_Append(list, item) : -1;

		Py_XDECREF(item);
		more = added < 0 ? -1 : has_more(reader, ']');
	}
	if (more == 0)
		return list;
	Py_DECREF(list);
	return refuse();
}

/* `"key": value` into the dictionary; -1 for anything else and for a key that is there already. */
static int read_member(struct reader *reader, PyObject *dictionary, int depth)
{
	const Py_ssize_t size = PyDict_GET_SIZE(dictionary);

	skip_space(reader);
	if (*reader->position++ != '"')
		return -1;
	PyObject *key = read_string(reader);

	if (!key)
		return -1;
	PyUnicode_InternInPlace(&key); /* most are names that our code has as well: then they compare by address */
	skip_space(reader);
	PyObject *value = *reader->position++ == ':' ? read_value(reader, depth) : NULL;
	const int added = value ? PyDict_SetItem(dictionary, key, value) : -1;

	Py_DECREF(key);
	Py_XDECREF(value);
	return added < 0 || PyDict_GET_SIZE(dictionary) == size ? -1 : 0;
}

static PyObject *read_object(struct reader *reader, int depth)
{
	PyObject *dictionary = PyDict_New();
	int more = 1;

	if (!dictionary || is_empty(reader, '}'))
		return dictionary;
	while (more > 0)
		more = read_member(reader, dictionary, depth) < 0 ? -1 : has_more(reader, '}');
	if (more == 0)
		return dictionary;
	Py_DECREF(dictionary);
	return refuse();
}

static PyObject *read_word(struct reader *reader)
{
	static const struct {
		const char *text;
		size_t length;
		PyObject *value;
	} words[] = {{"true", 4, Py_True}, {"false", 5, Py_False}, {"null", 4, Py_None}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(reader->position, words[i].text, words[i].length) == 0) {
			reader->position += words[i].length;
			return Py_NewRef(words[i].value);
		}
	}
	return refuse();
}

static PyObject *read_value(struct reader *reader, int depth)
{
	skip_space(reader);
	const char letter = *reader->position;

	if (letter == '"') {
		reader->position++;
		return read_string(reader);
	}
	if (letter == '{' || letter == '[') {
		reader->position++;
		if (depth == MAX_DEPTH)
			return refuse();
		return letter == '{' ? read_object(reader, depth + 1) : read_array(reader, depth + 1);
	}
	return letter == '-' || is_digit(letter) ? read_number(reader) : read_word(reader);
}

static PyObject *read_document(PyObject *self, PyObject *content)
{
	(void)self;
	if (!PyBytes_Check(content)) {
		PyErr_SetString(PyExc_TypeError, "bytes are required");
		return NULL;
	}
	/* A zero, the last or one within, is no letter of any rule above: every walk ends at it. */
	struct reader reader = {PyBytes_AS_STRING(content), PyBytes_AS_STRING(content) + PyBytes_GET_SIZE(content)};
	PyObject *value = read_value(&reader, 0);

	if (!value)
		return NULL;
	skip_space(&reader);
	if (reader.position == reader.end)
		return value;
	Py_DECREF(value);
	return refuse();
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static int write_text(_PyUnicodeWriter *writer, const char *text)
{
	return _PyUnicodeWriter_WriteASCIIString(writer, text, (Py_ssize_t)strlen(text));
}

static int write_character(_PyUnicodeWriter *writer, Py_UCS4 character)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char escaped[] = "\"\\bfnrt";
	char text[8];

	if (character >= 0x80 || (character >= ' ' && character != '"' && character != '\\'))
		return _PyUnicodeWriter_WriteChar(writer, character);
	const char *found = character ? strchr(plain, (int)character) : NULL;

	if (found)
		PyOS_snprintf(text, sizeof(text), "\\%c", escaped[found - plain]);
	else
		PyOS_snprintf(text, sizeof(text), "\\u%04x", (unsigned)character);
	return write_text(writer, text);
}

/* The index of the first character from `start` that has to be escaped, or the length. */
static Py_ssize_t next_escape(PyObject *string, Py_ssize_t start)
{
	const int kind = PyUnicode_KIND(string);
	const void *data = PyUnicode_DATA(string);
	const Py_ssize_t length = PyUnicode_GET_LENGTH(string);

	for (Py_ssize_t i = start; i < length; i++) {
		const Py_UCS4 character = PyUnicode_READ(kind, data, i);

		if (character < ' ' || character == '"' || character == '\\')
			return i;
	}
	return length;
}

static int write_string(_PyUnicodeWriter *writer, PyObject *string)
{
	const Py_ssize_t length = PyUnicode_GET_LENGTH(string);
	Py_ssize_t start = 0;

	if (_PyUnicodeWriter_WriteChar(writer, '"') < 0)
		return -1;
	while (start < length) {
		const Py_ssize_t end = next_escape(string, start);

		if (end > start && _PyUnicodeWriter_WriteSubstring(writer, string, start, end) < 0)
			return -1;
		if (end < length && write_character(writer, PyUnicode_READ_CHAR(string, end)) < 0)
			return -1;
		start = end + 1;
	}
	return _PyUnicodeWriter_WriteChar(writer, '"');
}

static int write_value(_PyUnicodeWriter *writer, PyObject *value);

static int write_sequence(_PyUnicodeWriter *writer, PyObject *sequence)
{
	for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); i++) {
		if (_PyUnicodeWriter_WriteChar(writer, i == 0 ? '[' : ',') < 0)
			return -1;
		if (write_value(writer, PySequence_Fast_GET_ITEM(sequence, i)) < 0)
			return -1;
	}
	return write_text(writer, PySequence_Fast_GET_SIZE(sequence) == 0 ? "[]" : "]");
}

static int write_dictionary(_PyUnicodeWriter *writer, PyObject *dictionary)
{
	PyObject *key;
	PyObject *value;
	Py_ssize_t position = 0;
	int first = 1;

	while (PyDict_Next(dictionary, &position, &key, &value)) {
		if (!PyUnicode_Check(key)) {
			PyErr_SetString(PyExc_TypeError, "a key is no string");
			return -1;
		}
		if (_PyUnicodeWriter_WriteChar(writer, first ? '{' : ',') < 0 || write_string(writer, key) < 0 ||
		    _PyUnicodeWriter_WriteChar(writer, ':') < 0 || write_value(writer, value) < 0)
			return -1;
		first = 0;
	}
	return write_text(writer, first ? "{}" : "}");
}

static int write_number(_PyUnicodeWriter *writer, PyObject *number)
{
	if (PyFloat_Check(number) && !Py_IS_FINITE(PyFloat_AS_DOUBLE(number))) {
		PyErr_SetString(PyExc_ValueError, "no JSON for NaN and infinity");
		return -1;
	}
	PyObject *text = PyLong_Check(number) ? PyLong_Type.tp_repr(number) : PyFloat_Type.tp_repr(number);
	const int result = text ? _PyUnicodeWriter_WriteStr(writer, text) : -1;

	Py_XDECREF(text);
	return result;
}

static int write_container(_PyUnicodeWriter *writer, PyObject *value)
{
	if (Py_EnterRecursiveCall(" while writing JSON"))
		return -1;
	const int result = PyDict_Check(value) ? write_dictionary(writer, value) : write_sequence(writer, value);

	Py_LeaveRecursiveCall();
	return result;
}

static int write_value(_PyUnicodeWriter *writer, PyObject *value)
{
	if (PyUnicode_Check(value))
		return write_string(writer, value);
	if (value == Py_None)
		return write_text(writer, "null");
	if (PyBool_Check(value))
		return write_text(writer, value == Py_True ? "true" : "false");
	if (PyLong_Check(value) || PyFloat_Check(value))
		return write_number(writer, value);
	if (PyDict_Check(value) || PyList_Check(value) || PyTuple_Check(value))
		return write_container(writer, value);
	PyErr_Format(PyExc_TypeError, "no JSON for %.200s", Py_TYPE(value)->tp_name);
	return -1;
}

static PyObject *write_with(int (*write)(_PyUnicodeWriter *, PyObject *), PyObject *value)
{
	_PyUnicodeWriter writer;

	_PyUnicodeWriter_Init(&writer);
	writer.overallocate = 1;
	if (write(&writer, value) == 0)
		return _PyUnicodeWriter_Finish(&writer);
	_PyUnicodeWriter_Dealloc(&writer);
	return NULL;
}

static PyObject *write_document(PyObject *self, PyObject *value)
{
	(void)self;
	return write_with(write_value, value);
}

static PyObject *quote(PyObject *self, PyObject *string)
{
	(void)self;
	if (PyUnicode_Check(string))
		return write_with(write_string, string);
	PyErr_SetString(PyExc_TypeError, "a string is required");
	return NULL;
}

/* -- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
	{"read", read_document, METH_O, "The value of a JSON document in UTF-8; ValueError."},
	{"write", write_document, METH_O, "The JSON text of a value; TypeError, ValueError."},
	{"quote", quote, METH_O, "The JSON text of a string."},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "_pyrunc_json", "What runtime/pyrunc/jsonio.py is made of.", -1, functions,
};

PyMODINIT_FUNC PyInit__pyrunc_json(void)
{
	return PyModule_Create(&definition);
}
