/*
 * libFuzzer on the extension modules: CPython with csrc/json.c and csrc/assembler.c built in, instrumented.
 *
 * TARGET names a function of targets.py, which gets the bytes; an exception that it lets through is a find.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyMODINIT_FUNC PyInit__pyrunc_json(void);
PyMODINIT_FUNC PyInit__pyrunc_assembler(void);
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PyObject *target;

static void give_up(void)
{
	PyErr_Print();
	abort();
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	PyConfig config;

	(void)count;
	(void)arguments;
	PyImport_AppendInittab("_pyrunc_json", PyInit__pyrunc_json);
	PyImport_AppendInittab("_pyrunc_assembler", PyInit__pyrunc_assembler);
	PyConfig_InitPythonConfig(&config);
	config.install_signal_handlers = 0;
	if (PyStatus_Exception(Py_InitializeFromConfig(&config)))
		abort();
	PyObject *module = PyImport_ImportModule("targets");

	target = module ? PyObject_GetAttrString(module, TARGET) : NULL;
	if (!target)
		give_up();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PyObject *result = PyObject_CallFunction(target, "y#", (const char *)data, (Py_ssize_t)size);

	if (!result)
		give_up();
	Py_DECREF(result);
	return 0;
}
