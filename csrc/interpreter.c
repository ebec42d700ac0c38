/*
 * CPython inside this executable, made ready as nobody outside can change it.
 *
 * The configuration is isolated: no environment, no site, no current directory, no pyvenv.cfg.  pyrunc's modules are
 * frozen into this executable (csrc/freeze.py).  The interpreter stays in its core phase (PyConfig._init_main = 0,
 * private API of 3.10 to 3.13): importing what is built in or frozen works, and no file is opened.
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include <string.h>
#include <unistd.h>

#include "frozen.h"
#include "interpreter.h"

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#error "CPython 3.11, 3.12 or 3.13: others have not been looked at"
#endif

PyMODINIT_FUNC PyInit__pyrunc_assembler(void); /* csrc/assembler.c */
PyMODINIT_FUNC PyInit__pyrunc_helper(void);    /* csrc/binding.py */
PyMODINIT_FUNC PyInit__pyrunc_json(void);      /* csrc/json.c */

_Noreturn void leave(int status)
{
	_exit(status);
}

_Noreturn void give_up(const char *doing, const char *why)
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

#ifdef WITH_IMAGE
static PyThreadState *current_thread(void)
{
	return (PyThreadState *)_Py_atomic_load_relaxed(&_PyRuntime.gilstate.tstate_current);
}

void interpreter_set_thread(unsigned long thread, unsigned long native)
{
	_PyRuntime.main_thread = thread;
	current_thread()->thread_id = thread;
	current_thread()->native_thread_id = native;
}
#endif

void interpreter_start(void)
{
	preinitialize();
	initialize();
	set_file_system_encoding();
#ifndef STATIC_LAUNCHER
	add_complete();
#endif
}
