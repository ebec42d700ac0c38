"""Write the helper as a module that is built into the launcher: the same functions that cffi binds elsewhere.

usage: binding.py OUT      from the declarations in helper.h (csrc/build.py), for METH_FASTCALL

A function takes integers, checked against the range of their C type (OverflowError, as cffi); `const char *` is bytes;
any other pointer is a writable buffer of whole items.  It returns an int.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

DECLARATION = re.compile(r"^int64_t (?P<name>pyrunc_\w+)\((?P<parameters>[^)]*)\);$", re.MULTILINE)
PARAMETER = re.compile(r"^(?P<type>.*?)(?P<pointer>\*?)(?P<name>\w+)$")

# C type -> least and greatest value, as C
RANGES = {
    "int": ("INT_MIN", "INT_MAX"),
    "uint32_t": ("0", "UINT32_MAX"),
    "uint64_t": ("0", "UINT64_MAX"),
    "size_t": ("0", "SIZE_MAX"),
}

HEAD = """\
/* Written by csrc/binding.py. */
#include <limits.h>
#include <Python.h>
#include "helper.h"

static int take_signed(PyObject *object, long long least, long long greatest, long long *value)
{
\t*value = PyLong_AsLongLong(object);
\tif (*value == -1 && PyErr_Occurred())
\t\treturn -1;
\tif (*value >= least && *value <= greatest)
\t\treturn 0;
\tPyErr_Format(PyExc_OverflowError, "%lld is out of range", *value);
\treturn -1;
}

static int take_unsigned(PyObject *object, unsigned long long greatest, unsigned long long *value)
{
\tif (!PyLong_Check(object)) {
\t\tPyErr_SetString(PyExc_TypeError, "an integer is required");
\t\treturn -1;
\t}
\t*value = PyLong_AsUnsignedLongLong(object);
\tif (*value == (unsigned long long)-1 && PyErr_Occurred())
\t\treturn -1;
\tif (*value <= greatest)
\t\treturn 0;
\tPyErr_Format(PyExc_OverflowError, "%llu is out of range", *value);
\treturn -1;
}

static int take_bytes(PyObject *object, const char **value)
{
\tif (!PyBytes_Check(object)) {
\t\tPyErr_SetString(PyExc_TypeError, "bytes are required");
\t\treturn -1;
\t}
\t*value = PyBytes_AS_STRING(object);
\treturn 0;
}

/* The memory stays where it is for the call: nothing here runs Python in between. */
static int take_buffer(PyObject *object, void **value)
{
\tPy_buffer view;

\tif (PyObject_GetBuffer(object, &view, PyBUF_WRITABLE) < 0)
\t\treturn -1;
\t*value = view.buf;
\tPyBuffer_Release(&view);
\treturn 0;
}

static int take_count(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
\tif (count == wanted)
\t\treturn 0;
\tPyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, wanted, count);
\treturn -1;
}

"""

TAIL = """\
static struct PyModuleDef definition = {{
\tPyModuleDef_HEAD_INIT, "_pyrunc_helper", "System calls that Python's modules lack: helper.h.", -1, functions,
}};

/* `lib` is what cffi's module has its functions in. */
PyMODINIT_FUNC PyInit__pyrunc_helper(void)
{{
\tPyObject *module = PyModule_Create(&definition);

\tif (module && PyModule_AddObjectRef(module, "lib", module) < 0)
\t\tPy_CLEAR(module);
\treturn module;
}}
"""


class Parameter(NamedTuple):
    type: str
    is_pointer: bool
    name: str


class Function(NamedTuple):
    name: str
    parameters: list[Parameter]


def read_functions(header: str) -> list[Function]:
    declarations = header.split("/* [cffi */")[1].split("/* cffi] */")[0]
    return [
        Function(match["name"], read_parameters(match["parameters"])) for match in DECLARATION.finditer(declarations)
    ]


def read_parameters(text: str) -> list[Parameter]:
    found = []
    for part in text.split(","):
        match = PARAMETER.match(part.strip())
        if match is None:
            raise SystemExit(f"binding: no parameter: {part!r}")
        found.append(Parameter(match["type"].strip(), bool(match["pointer"]), match["name"]))
    return found


def taking(parameter: Parameter, index: int) -> tuple[str, str, str]:
    """The variable's declaration, the condition under which taking it fails, the argument of the call."""
    name = f"{parameter.name}_"
    source = f"arguments[{index}]"
    if parameter.is_pointer and parameter.type == "const char":
        return f"const char *{name};", f"take_bytes({source}, &{name}) < 0", name
    if parameter.is_pointer:
        return f"void *{name};", f"take_buffer({source}, &{name}) < 0", name
    least, greatest = RANGES[parameter.type]
    cast = f"({parameter.type}){name}"
    if least == "0":
        return f"unsigned long long {name};", f"take_unsigned({source}, {greatest}, &{name}) < 0", cast
    return f"long long {name};", f"take_signed({source}, {least}, {greatest}, &{name}) < 0", cast


def wrapper(function: Function) -> str:
    taken = [taking(parameter, index) for index, parameter in enumerate(function.parameters)]
    lines = [
        f"static PyObject *call_{function.name}(PyObject *self, PyObject *const *arguments, Py_ssize_t count)",
        "{",
        *(f"\t{declaration}" for declaration, _, _ in taken),
        "\t(void)self;",
        "",
        f'\tif (take_count("{function.name}", count, {len(taken)}) < 0)',
        "\t\treturn NULL;",
    ]
    for _, fails, _ in taken:
        lines += [f"\tif ({fails})", "\t\treturn NULL;"]
    call = ", ".join(argument for _, _, argument in taken)
    return "\n".join([*lines, f"\treturn PyLong_FromLongLong({function.name}({call}));", "}", "", ""])


def table(functions: list[Function]) -> str:
    rows = [
        f'\t{{"{function.name}", (PyCFunction)(void (*)(void))call_{function.name}, METH_FASTCALL, NULL}},'
        for function in functions
    ]
    return "\n".join(["static PyMethodDef functions[] = {", *rows, "\t{NULL, NULL, 0, NULL},", "};", "", ""])


def main() -> None:
    functions = read_functions((HERE / "helper.h").read_text())
    text = HEAD + "".join(map(wrapper, functions)) + table(functions) + TAIL.format()
    Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
