/* Collections of the garbage collector, timed by a callback that cannot fail: a Python
   function, and every builtin function, raises where the stack is full. */

#include "native.h"

#include <stddef.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    long long begun; /* 0 where no collection runs */
    long long total;
} Pauses;

static PyObject *
pauses_call(PyObject *op, PyObject *const *arguments, size_t flags, PyObject *names)
{
    (void)names;
    Pauses *self = (Pauses *)op;
    if (PyVectorcall_NARGS(flags) > 0 && PyUnicode_Check(arguments[0])) {
        PyObject *phase = arguments[0];
        Py_ssize_t length = PyUnicode_GET_LENGTH(phase);
        if (length == 5) { /* start */
            self->begun = clock_ns();
        } else if (length == 4 && self->begun) { /* stop */
            self->total += clock_ns() - self->begun;
            self->begun = 0;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
pauses_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    (void)arguments;
    (void)named;
    Pauses *self = (Pauses *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = pauses_call;
    }
    return (PyObject *)self;
}

static PyObject *
pauses_total(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(((Pauses *)op)->total);
}

static PyGetSetDef pauses_fields[] = {
    {"total", pauses_total, NULL, "Nanoseconds of all collections that have ended.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject PausesType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Pauses",
    .tp_doc = "For gc.callbacks: how long collections took.",
    .tp_basicsize = sizeof(Pauses),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = pauses_new,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Pauses, vectorcall),
    .tp_getset = pauses_fields,
};
