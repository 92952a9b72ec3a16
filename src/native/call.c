/* Plain calls: what the wrapper's short and light paths do, in one call of C. */

#include "light.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *target;
    PyObject *twin; /* gives the object whose ``process`` is to run, else NULL */
    Place place;
} Call;

/* More arguments than this and a twin's call is Python's. */
#define MOST 12

/* Run what is observed. ``arguments[-1]`` may be used. */
static PyObject *
run(Call *self, PyObject *const *arguments, size_t number, PyObject *names)
{
    if (self->twin != NULL) {
        PyObject *space[MOST + 2], **all = space + 1;
        PyObject *object = PyObject_CallNoArgs(self->twin);
        if (object == NULL) {
            return NULL;
        }
        size_t total = number + (names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names));
        all[0] = object;
        for (size_t place = 0; place < total; place++) {
            all[place + 1] = arguments[place];
        }
        PyObject *result = PyObject_VectorcallMethod(
            bound.process, all, (number + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
        Py_DECREF(object);
        return result;
    }
    return PyObject_Vectorcall(self->target, arguments,
                               number | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
}

/* native(event, *arguments): the call's result, or ``decline`` before anything ran. */
static PyObject *
call_vectorcall(PyObject *op, PyObject *const *arguments, size_t flags,
                PyObject *names)
{
    Call *self = (Call *)op;
    size_t number = (size_t)PyVectorcall_NARGS(flags);
    if (number == 0 || self->target == NULL
        || (self->twin != NULL
            && number + (names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names)) > MOST)) {
        return Py_NewRef(decline);
    }
    PyObject *event = arguments[0], *result = NULL;
    Light light = NO_LIGHT;
    bool is_light = false;
    PyObject *slot = slot_here(&self->place);
    if (slot == NULL) {
        return NULL;
    }
    PyObject *worker = Py_NewRef(SLOT(slot, worker));
    PyObject *alert = WORKER(worker, alert);
    long long start = 0;
    if (!is_zero(SLOT(WORKER(worker, slot), since))) {
        result = Py_NewRef(decline);
        goto done;
    }
    if (alert != bound.zero) {
        long bits = PyLong_AsLong(alert);
        int state = 0;
        if (bits >= 0 && bits < 4) {
            start = now_ns();
            state = light_begin(&light, slot, worker, event, bits, start);
        }
        if (state <= 0) {
            result = state < 0 ? NULL : Py_NewRef(decline);
            goto done;
        }
        is_light = true;
    } else {
        start = now_ns();
    }
    if (enter_plainly(is_light ? &light : NULL, slot, worker, start) < 0) {
        goto done;
    }
    result = run(self, arguments + 1, number - 1, names);
    if (result == NULL) {
        fail_plainly(is_light ? &light : NULL, slot, worker, event, start);
    } else if (finish_plainly(is_light ? &light : NULL, slot, worker, event, result,
                              start) < 0) {
        Py_CLEAR(result);
    }
done:
    light_clear(&light);
    Py_DECREF(worker);
    Py_DECREF(slot);
    return result;
}

static PyObject *
call_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"target", "find", "twin", NULL};
    PyObject *target, *find, *twin = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OO|O:Call", known,
                                     &target, &find, &twin)) {
        return NULL;
    }
    if (bound.slot_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "bind() comes first");
        return NULL;
    }
    Call *self = (Call *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = call_vectorcall;
        self->target = Py_NewRef(target);
        self->place.find = Py_NewRef(find);
        self->twin = twin == Py_None ? NULL : Py_NewRef(twin);
    }
    return (PyObject *)self;
}

static int
call_traverse(PyObject *op, visitproc visit, void *arg)
{
    Call *self = (Call *)op;
    Py_VISIT(self->target);
    Py_VISIT(self->twin);
    Py_VISIT(self->place.find);
    Py_VISIT(self->place.slot);
    return 0;
}

static int
call_clear(PyObject *op)
{
    Call *self = (Call *)op;
    Py_CLEAR(self->target);
    Py_CLEAR(self->twin);
    Py_CLEAR(self->place.slot);
    Py_CLEAR(self->place.find);
    return 0;
}

PyTypeObject CallType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Call",
    .tp_doc = "Call(target, find, twin=None): runs a function, or the process of the "
              "object that twin gives, and records it; called with the event and the "
              "arguments.",
    .tp_basicsize = sizeof(Call),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = call_new,
    .tp_dealloc = clear_and_free,
    .tp_traverse = call_traverse,
    .tp_clear = call_clear,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Call, vectorcall),
};
