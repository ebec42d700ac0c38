/*
 * Making an image (image.c): the interpreter does once, at build time, what it would do at every start.
 *
 * csrc/build_launcher.py runs the launcher three times for each image; memory.c says why.
 */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "interpreter.h"
#include "memory.h"
#include "rehearse.h"

#ifdef WITH_IMAGE
int _PySignal_Init(int install_handlers); /* Modules/signalmodule.c: what its module needs before it can be imported */

/* Types know their subclasses in a dictionary keyed by address; nothing here asks for it. */
static void forget_subclasses(PyTypeObject *type)
{
	PyObject *subclasses = type->tp_subclasses;
	PyObject *reference;
	Py_ssize_t position = 0;

	if (!subclasses)
		return;
	type->tp_subclasses = NULL;
	while (PyDict_Next(subclasses, &position, NULL, &reference)) {
		PyObject *subclass = PyWeakref_GET_OBJECT(reference);

		if (subclass != Py_None)
			forget_subclasses((PyTypeObject *)subclass);
	}
	Py_DECREF(subclasses);
}

static void run_script(const char *path)
{
	static char text[1 << 16] __attribute__((section(".bss.process")));
	const int file = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t size = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	PyObject *names = PyDict_New();

	if (size < 0 || !names || close(file) < 0)
		give_up(path, "cannot be read");
	PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins());
	PyObject *code = Py_CompileString(text, path, Py_file_input);
	PyObject *result = code ? PyEval_EvalCode(code, names, names) : NULL;

	if (!result) {
		PyErr_Print();
		leave(1);
	}
	Py_DECREF(code);
	Py_DECREF(result);
	PyDict_Clear(names);
	Py_DECREF(names);
}

/* Everything that the image is to have, done in this process; then what only this process could use is forgotten. */
static void rehearse(const char *script)
{
	interpreter_start();
	if (_PySignal_Init(0) < 0 || !PyImport_ImportModule("_signal"))
		give_up("signals", "no handlers");
	run_script(script);
	PyObject *posix = PyImport_ImportModule("posix");
	PyObject *environment = PyObject_GetAttrString(posix, "environ");
	PyDict_Clear(environment);
	Py_DECREF(environment);
	Py_DECREF(posix);
	PyGC_Collect();
	PyType_ClearCache();
	forget_subclasses(&PyBaseObject_Type);
	interpreter_set_thread(0, 0);
}

static int create(const char *path)
{
	const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (file < 0)
		give_up(path, "cannot be written");
	return file;
}

static _Noreturn void list_allocations(const char *script, const char *list)
{
	memory_set_up();
	memory_begin_list();
	rehearse(script);
	if (memory_write_list(create(list)) < 0)
		give_up(list, "cannot be written");
	leave(0);
}

static _Noreturn void write_image(const char *script, const char *list, const char *image)
{
	const int allocations = open(list, O_RDONLY | O_CLOEXEC);

	memory_set_up();
	if (memory_begin_image(allocations) < 0)
		give_up(list, "cannot be read");
	close(allocations);
	rehearse(script);
	const char *end = memory_end_image();

	if (!end)
		give_up(list, "other allocations outlast than the first time");
	if (image_write(create(image), end) < 0)
		give_up(image, "cannot be written");
	leave(0);
}

/* usage: --make-image SCRIPT LIST [IMAGE]; only in an executable that has no image yet.  Without IMAGE writes LIST. */
void make_image(int count, char **arguments)
{
	if (count < 4 || strcmp(arguments[1], "--make-image") != 0 || !image_is_open())
		return;
	if (count == 4)
		list_allocations(arguments[2], arguments[3]);
	write_image(arguments[2], arguments[3], arguments[4]);
}
#endif
