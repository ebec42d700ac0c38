/* Register, Pointer and Target: what emitters hold in their hands (program/builder.py). */
#include "assembler.h"

#include <structmember.h>

PyObject *new_indexed(PyTypeObject *type, Py_ssize_t index)
{
	Indexed *made = PyObject_New(Indexed, type);

	if (made)
		made->index = index;
	return (PyObject *)made;
}

PyObject *new_pointer(Py_ssize_t offset, Py_ssize_t size)
{
	Pointer *made = PyObject_New(Pointer, &pointer_type);

	if (made) {
		made->offset = offset;
		made->size = size;
	}
	return (PyObject *)made;
}

static PyObject *make_register(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
	Py_ssize_t index;

	(void)names;
	if (!PyArg_ParseTuple(arguments, "n:Register", &index))
		return NULL;
	return new_indexed(type, index);
}

static PyObject *make_target(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
	Py_ssize_t index = -1;

	(void)names;
	return PyArg_ParseTuple(arguments, "|n:Target", &index) ? new_indexed(type, index) : NULL;
}

static PyObject *make_pointer(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
	Py_ssize_t offset;
	Py_ssize_t size;

	(void)type;
	(void)names;
	return PyArg_ParseTuple(arguments, "nn:Pointer", &offset, &size) ? new_pointer(offset, size) : NULL;
}

static PyObject *show_register(PyObject *self)
{
	return PyUnicode_FromFormat("r%zd", ((Indexed *)self)->index);
}

static PyObject *show_pointer(PyObject *self)
{
	const Pointer *pointer = (Pointer *)self;

	return PyUnicode_FromFormat("data[%zd:%zd]", pointer->offset, pointer->offset + pointer->size);
}

static PyObject *pointer_field(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
	const Pointer *pointer = (Pointer *)self;

	if (count != 2)
		return PyErr_Format(PyExc_TypeError, "field() takes an offset and a size");
	const Py_ssize_t offset = PyLong_AsSsize_t(arguments[0]);
	const Py_ssize_t size = PyLong_AsSsize_t(arguments[1]);

	if (PyErr_Occurred())
		return NULL;
	if (offset < 0 || size < 0 || offset > pointer->size || size > pointer->size - offset)
		return PyErr_Format(PyExc_ValueError, "%zd bytes at %zd are outside %R", size, offset, self);
	return new_pointer(pointer->offset + offset, size);
}

static PyMemberDef index_members[] = {
	{"index", T_PYSSIZET, offsetof(Indexed, index), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyMemberDef pointer_members[] = {
	{"offset", T_PYSSIZET, offsetof(Pointer, offset), READONLY, NULL},
	{"size", T_PYSSIZET, offsetof(Pointer, size), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyMethodDef pointer_methods[] = {
	{"field", (PyCFunction)(void (*)(void))pointer_field, METH_FASTCALL, NULL},
	{NULL, NULL, 0, NULL},
};

PyTypeObject register_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Register",
	.tp_basicsize = sizeof(Indexed),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = make_register,
	.tp_repr = show_register,
	.tp_members = index_members,
};

PyTypeObject pointer_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Pointer",
	.tp_basicsize = sizeof(Pointer),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = make_pointer,
	.tp_repr = show_pointer,
	.tp_members = pointer_members,
	.tp_methods = pointer_methods,
};

PyTypeObject target_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyrunc_assembler.Target",
	.tp_basicsize = sizeof(Indexed),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = make_target,
	.tp_members = index_members,
};
