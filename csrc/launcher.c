/*
 * build/pyrunc: CPython in an executable of its own.
 *
 * The configuration is isolated: no environment, no site, no current directory, no pyvenv.cfg.  pyrunc's modules are
 * frozen into this executable (csrc/freeze.py).  The interpreter stays in its core phase (PyConfig._init_main = 0,
 * private API of 3.10 to 3.13): importing what is built in or frozen works, and no file is opened.
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

#include "frozen.h"
#include "image.h"
#include "memory.h"

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#error "CPython 3.11, 3.12 or 3.13: others have not been looked at"
#endif

PyMODINIT_FUNC PyInit__pyrunc_assembler(void); /* csrc/assembler.c */
PyMODINIT_FUNC PyInit__pyrunc_helper(void);    /* csrc/binding.py */
PyMODINIT_FUNC PyInit__pyrunc_json(void);      /* csrc/json.c */

#ifdef WITH_IMAGE
int _PySignal_Init(int install_handlers); /* Modules/signalmodule.c: what its module needs before it can be imported */
#endif

static _Noreturn void leave(int status)
{
	_exit(status);
}

static _Noreturn void give_up(const char *doing, const char *why)
{
	static const char name[] = "pyrunc: ";

	(void)!write(2, name, sizeof(name) - 1);
	(void)!write(2, doing, strlen(doing));
	(void)!write(2, ": ", 2);
	(void)!write(2, why, strlen(why));
	(void)!write(2, "\n", 1);
	leave(1);
}

static void demand(PyStatus status)
{
	if (PyStatus_Exception(status))
		give_up("the interpreter does not start", status.err_msg ? status.err_msg : "no reason given");
}

/* -- the interpreter ---------------------------------------------------------------------------------------------- */

static void preinitialize(void)
{
	PyPreConfig config;

	PyPreConfig_InitIsolatedConfig(&config);
	config.utf8_mode = 1; /* arguments and paths are UTF-8 with surrogateescape in every locale */
	config.configure_locale = 0;
	demand(Py_PreInitialize(&config));
}

static void set(PyConfig *config, wchar_t **field, const wchar_t *value)
{
	demand(PyConfig_SetString(config, field, value));
}

#ifdef STATIC_LAUNCHER
PyMODINIT_FUNC PyInit__imp(void);
PyMODINIT_FUNC PyInit__io(void);
PyMODINIT_FUNC PyInit__signal(void);
PyMODINIT_FUNC PyInit__weakref(void);
PyMODINIT_FUNC PyInit_errno(void);
PyMODINIT_FUNC PyInit_gc(void);
PyMODINIT_FUNC PyInit_posix(void);
PyMODINIT_FUNC PyInit_time(void);
PyMODINIT_FUNC PyInit__codecs(void);
PyMODINIT_FUNC PyInit__thread(void);
PyMODINIT_FUNC PyInit__struct(void);
PyMODINIT_FUNC PyInit_fcntl(void);
PyMODINIT_FUNC PyInit_math(void);
PyMODINIT_FUNC PyInit_select(void);
PyMODINIT_FUNC PyMarshal_Init(void);
PyMODINIT_FUNC _PyWarnings_Init(void);

/* In place of CPython's own table (Modules/config.c): no name service, nothing for which libc would load a library. */
struct _inittab _PyImport_Inittab[] = {
	{"_codecs", PyInit__codecs},
	{"_imp", PyInit__imp},
	{"_io", PyInit__io},
	{"_pyrunc_assembler", PyInit__pyrunc_assembler},
	{"_pyrunc_helper", PyInit__pyrunc_helper},
	{"_pyrunc_json", PyInit__pyrunc_json},
	{"_signal", PyInit__signal},
	{"_struct", PyInit__struct},
	{"_thread", PyInit__thread},
	{"_warnings", _PyWarnings_Init},
	{"_weakref", PyInit__weakref},
	{"builtins", NULL},
	{"errno", PyInit_errno},
	{"fcntl", PyInit_fcntl},
	{"gc", PyInit_gc},
	{"marshal", PyMarshal_Init},
	{"math", PyInit_math},
	{"posix", PyInit_posix},
	{"select", PyInit_select},
	{"sys", NULL},
	{"time", PyInit_time},
	{NULL, NULL},
};

static void add_modules(void)
{
}
#else
/* Built-in modules: CPython's and ours. */
static void add_modules(void)
{
	static struct _inittab table[128];
	static const struct _inittab ours[] = {
		{"_pyrunc_assembler", PyInit__pyrunc_assembler},
		{"_pyrunc_helper", PyInit__pyrunc_helper},
		{"_pyrunc_json", PyInit__pyrunc_json},
		{NULL, NULL},
	};
	size_t count = 0;

	for (const struct _inittab *entry = PyImport_Inittab; entry->name; entry++)
		table[count++] = *entry;
	for (const struct _inittab *entry = ours; entry->name; entry++)
		table[count++] = *entry;
	PyImport_Inittab = table;
}
#endif

/* Every path is given, so that nothing is searched for: getpath.py would look for pyvenv.cfg and landmarks. */
static void set_paths(PyConfig *config)
{
	set(config, &config->program_name, L"pyrunc");
	set(config, &config->home, PYTHON_PREFIX);
	set(config, &config->executable, PYTHON_EXECUTABLE);
	set(config, &config->base_executable, PYTHON_EXECUTABLE);
	set(config, &config->prefix, PYTHON_PREFIX);
	set(config, &config->base_prefix, PYTHON_PREFIX);
	set(config, &config->exec_prefix, PYTHON_PREFIX);
	set(config, &config->base_exec_prefix, PYTHON_PREFIX);
	set(config, &config->stdlib_dir, PYTHON_STDLIB);
	config->module_search_paths_set = 1;
	demand(PyWideStringList_Append(&config->module_search_paths, PYTHON_STDLIB));
	demand(PyWideStringList_Append(&config->module_search_paths, PYTHON_STDLIB L"/lib-dynload"));
}

static void initialize(void)
{
	PyConfig config;

	add_modules();
	PyImport_FrozenModules = frozen_modules;
	PyConfig_InitIsolatedConfig(&config);
	config._init_main = 0;
	config.site_import = 0;
	config.write_bytecode = 0;
	config.install_signal_handlers = 0;
	config.configure_c_stdio = 0;
	config.pathconfig_warnings = 0;
	config.optimization_level = 2;
	/* The same in the processes that write the image, and therefore in all that start from it.  Who can choose
	 * keys for our dictionaries is root, by the threat model: config.json is trusted (SECURITY.md). */
	config.use_hash_seed = 1;
	config.hash_seed = HASH_SEED;
	set_paths(&config);
	demand(Py_InitializeFromConfig(&config));
	PyConfig_Clear(&config);
	PyGC_Disable();
}

/* File names are encoded without asking a codec, which only the main phase would set up. */
static void set_file_system_encoding(void)
{
	struct _Py_unicode_fs_codec *codec = &PyInterpreterState_Get()->unicode.fs_codec;

	codec->encoding = "utf-8";
	codec->utf8 = 1;
	codec->errors = "surrogateescape";
	codec->error_handler = _Py_ERROR_SURROGATEESCAPE;
}

static void set_attribute(const char *name, const char *value)
{
	PyObject *text = PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "surrogateescape");

	if (!text || PySys_SetObject(name, text) < 0)
		give_up("start", "no memory");
	Py_DECREF(text);
}

/* -- on demand ---------------------------------------------------------------------------------------------------- */

#ifndef STATIC_LAUNCHER
static PyObject *complete(PyObject *self, PyObject *unused)
{
	static int done;
	(void)self;
	(void)unused;

	if (!done) {
		done = 1;
		struct _Py_unicode_fs_codec *codec = &PyInterpreterState_Get()->unicode.fs_codec;

		memset(codec, 0, sizeof(*codec)); /* it frees what it finds */
		demand(_Py_InitializeMain());
	}
	Py_RETURN_NONE;
}

static PyMethodDef complete_definition = {"_pyrunc_complete", complete, METH_NOARGS,
					  "Import from the standard library on disk, from now on."};

static void add_complete(void)
{
	PyObject *function = PyCFunction_New(&complete_definition, NULL);

	if (!function || PySys_SetObject("_pyrunc_complete", function) < 0)
		give_up("start", "no memory");
	Py_DECREF(function);
}
#endif

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
static PyThreadState *current_thread(void)
{
	return (PyThreadState *)_Py_atomic_load_relaxed(&_PyRuntime.gilstate.tstate_current);
}

static void set_thread(unsigned long thread, unsigned long native)
{
	_PyRuntime.main_thread = thread;
	current_thread()->thread_id = thread;
	current_thread()->native_thread_id = native;
}

/* What a process knows of itself: its thread, and the key under which the thread finds its state. */
static void take_over(void)
{
	Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

	set_thread(PyThread_get_thread_ident(), PyThread_get_thread_native_id());
	key->_is_initialized = 0;
	if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, current_thread()) != 0)
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
	preinitialize();
	initialize();
	set_file_system_encoding();
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
	set_thread(0, 0);
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
static void make_image(int count, char **arguments)
{
	if (count < 4 || strcmp(arguments[1], "--make-image") != 0 || !image_is_open())
		return;
	if (count == 4)
		list_allocations(arguments[2], arguments[3]);
	write_image(arguments[2], arguments[3], arguments[4]);
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
	preinitialize();
	initialize();
	set_file_system_encoding();
#ifndef STATIC_LAUNCHER
	add_complete();
#endif
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
