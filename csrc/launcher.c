/*
 * build/pyrunc: one command, run by CPython in an executable of its own (interpreter.c).
 *
 * Two kinds (csrc/build_launcher.py):
 *
 * static  libpython and libc linked in: no dynamic linker, nothing that LD_PRELOAD could reach.  With CPython 3.11 the
 *         interpreter comes out of an image that was saved at build time (image.c).  It cannot load an extension
 *         module, so the one cold command that needs the standard library leaves for a script (pyrunc/cli/cold.py).
 * shared  libpython.so.  The first import of what is not frozen completes the initialisation (`complete`).
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "interpreter.h"
#include "memory.h"
#include "rehearse.h"

static void set_attribute(const char *name, const char *value)
{
	PyObject *text = PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "surrogateescape");

	if (!text || PySys_SetObject(name, text) < 0)
		give_up("start", "no memory");
	Py_DECREF(text);
}

/* -- one command -------------------------------------------------------------------------------------------------- */

#ifdef WITH_IMAGE
static void on_interrupt(int number)
{
	PyErr_SetInterruptEx(number); /* only marks it (async-signal-safe); the interpreter raises KeyboardInterrupt */
}

static void take_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	struct sigaction old;

	if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		sigaction(SIGINT, &action, NULL);
}
#endif

/* As CPython: EPIPE and EFBIG instead of a signal; KeyboardInterrupt unless the caller had it ignored.  The handlers of
 * the core phase can be had only with a static libpython; with a shared one SIGINT ends the process. */
static void set_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGXFSZ, &action, NULL);
#ifdef WITH_IMAGE
	take_interrupts();
#endif
}

static PyObject *text_of(const char *bytes)
{
	PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strlen(bytes), "surrogateescape");

	if (!text)
		give_up("start", "no memory");
	return text;
}

static PyObject *list_of(int count, char *const *arguments)
{
	PyObject *list = PyList_New(count);

	if (!list)
		give_up("start", "no memory");
	for (int i = 0; i < count; i++)
		PyList_SET_ITEM(list, i, text_of(arguments[i]));
	return list;
}

static PyObject *main_function(void)
{
	PyObject *module = PyImport_ImportModule("_pyrunc_start");
	PyObject *function = module ? PyObject_GetAttrString(module, "main") : NULL;

	Py_XDECREF(module);
	return function;
}

static int run(PyObject *main, int count, char *const *arguments)
{
	PyObject *list = list_of(count, arguments);
	PyObject *result = PyObject_CallOneArg(main, list);
	const long status = result ? PyLong_AsLong(result) : -1;

	if (PyErr_Occurred()) {
		PyErr_Print();
		return 1;
	}
	return (int)status;
}

/* -- the image ---------------------------------------------------------------------------------------------------- */

#ifdef WITH_IMAGE
/* What a process knows of itself: its thread, and the key under which the thread finds its state. */
static void take_over(void)
{
	Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

	interpreter_set_thread(PyThread_get_thread_ident(), PyThread_get_thread_native_id());
	key->_is_initialized = 0;
	if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, PyThreadState_Get()) != 0)
		give_up("start", "no key for the thread");
}

/* posix.environ is made when posix is imported; it is the environment of whoever wrote the image until now. */
static void refresh_environment(void)
{
	PyObject *posix = PyImport_ImportModule("posix");
	PyObject *environment = posix ? PyObject_GetAttrString(posix, "environ") : NULL;

	if (!environment) {
		PyErr_Print();
		give_up("start", "no environment");
	}
	PyDict_Clear(environment);
	for (char **entry = environ; *entry; entry++) {
		const char *equals = strchr(*entry, '=');

		if (!equals)
			continue;
		PyObject *name = PyBytes_FromStringAndSize(*entry, equals - *entry);
		PyObject *value = PyBytes_FromString(equals + 1);

		if (!name || !value || !PyDict_SetDefault(environment, name, value))
			give_up("start", "no memory");
		Py_DECREF(name);
		Py_DECREF(value);
	}
	Py_DECREF(environment);
	Py_DECREF(posix);
}
#endif

static void start_interpreter(int count, char **arguments)
{
#ifdef WITH_IMAGE
	const struct image *image = image_choose(count, arguments);

	if (image) {
		image_restore(image);
		memory_start();
		take_over();
		refresh_environment();
		return;
	}
	make_image(count, arguments);
	memory_set_up();
#else
	(void)count;
	(void)arguments;
#endif
	interpreter_start();
}

/* The directory of the stage: as it was built, or, when pip has put us into some bin, its neighbour in lib. */
static const char *library(char *buffer, size_t size)
{
	static const char *const neighbours[] = {
		"/lib/python" PYTHON_VERSION "/site-packages/_pyrunc_stage",
		"/lib/python" PYTHON_VERSION "/dist-packages/_pyrunc_stage", /* Debian's own python3 */
	};

	if (image_header.library[0] == '/')
		return image_header.library;
	const ssize_t length = readlink("/proc/self/exe", buffer, size - 64);

	if (length <= 0)
		give_up("/proc/self/exe", "cannot be read");
	buffer[length] = '\0';
	for (int i = 0; i < 2; i++) { /* the name, and bin */
		char *slash = strrchr(buffer, '/');

		if (slash)
			*slash = '\0';
	}
	char *end = buffer + strlen(buffer);

	for (size_t i = 0; i < sizeof(neighbours) / sizeof(*neighbours); i++) {
		memcpy(end, neighbours[i], strlen(neighbours[i]) + 1);
		if (access(buffer, F_OK) == 0)
			break;
	}
	*strrchr(buffer, '/') = '\0';
	return buffer;
}

int main(int count, char **arguments)
{
	static char buffer[PATH_MAX] __attribute__((section(".bss.process")));

	start_interpreter(count, arguments);
	set_signals();
	set_attribute("pyrunc_library", library(buffer, sizeof(buffer)));
	set_attribute("pyrunc_launcher", LAUNCHER_KIND);
	PyObject *function = main_function();

	if (!function) {
		PyErr_Print();
		leave(1);
	}
	leave(run(function, count, arguments));
}
