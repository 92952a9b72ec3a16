/* Steps of a call that somebody else drives: what ``_lazy.Lazy.step`` does where no
   span is open and nothing is detailed; all else by that. */

#include "native.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *run;   /* the call */
    PyObject *whole; /* does a step that is not plain */
    Place place;
    long long took;
} Steps;

/* What the worker did before the step, owned. */
typedef struct {
    PyObject *slot, *run, *frame, *away, *pause, *dropped, *since;
    bool nested;
} Outer;

static int
steps_traverse(PyObject *op, visitproc visit, void *arg)
{
    Steps *self = (Steps *)op;
    Py_VISIT(self->run);
    Py_VISIT(self->whole);
    Py_VISIT(self->place.find);
    Py_VISIT(self->place.slot);
    return 0;
}

static int
steps_clear(PyObject *op)
{
    Steps *self = (Steps *)op;
    Py_CLEAR(self->run);
    Py_CLEAR(self->whole);
    Py_CLEAR(self->place.find);
    Py_CLEAR(self->place.slot);
    return 0;
}

/* Put an owned reference somewhere, and give what was there. */
static PyObject *
swap(PyObject **place, PyObject *value)
{
    PyObject *before = *place;
    *place = value;
    return before;
}

static long long
number(PyObject *value)
{
    return is_zero(value) ? 0 : PyLong_AsLongLong(value);
}

/* Put a number, if it can be made. */
static void
put_number(PyObject **place, long long value)
{
    PyObject *made = PyLong_FromLongLong(value);
    if (made != NULL) {
        put(place, made);
    } else {
        PyErr_Clear();
    }
}

/* This thread's slot, owned, where the step is a plain one. */
static PyObject *
plain_slot(Steps *self)
{
    if (RUN(self->run, traced) != Py_None) {
        return NULL;
    }
    PyObject *slot = slot_here(&self->place);
    if (slot == NULL) {
        PyErr_Clear(); /* it is tried again, and told, by Python */
        return NULL;
    }
    PyObject *alert = WORKER(SLOT(slot, worker), alert);
    if (!is_zero(alert) && PyLong_AsLong(alert) & bound.detailed) {
        Py_CLEAR(slot);
    }
    return slot;
}

static void
leave(Steps *self, PyObject *slot, Outer *outer, long long took)
{
    PyObject *worker = SLOT(slot, worker), *run = self->run;
    self->took += took;
    /* No longer open before it is counted. */
    put(&SLOT(slot, since), outer->since);
    put_number(&SLOT(slot, apart),
               number(SLOT(slot, apart)) - took + number(WORKER(worker, away)));
    if (WORKER(worker, dropped) != Py_None) {
        put_new(&RUN(run, dropped), WORKER(worker, dropped));
    }
    long long pause = number(WORKER(worker, pause));
    if (pause) {
        put_number(&RUN(run, blocked), number(RUN(run, blocked)) + pause);
    }
    put_new(&WORKER(worker, special), outer->nested ? Py_True : Py_False);
    put(&WORKER(worker, dropped), outer->dropped);
    put(&WORKER(worker, frame), outer->frame);
    put(&WORKER(worker, run), outer->run);
    if (outer->nested) {
        put(&WORKER(worker, slot), outer->slot);
        put_number(&WORKER(worker, away), number(outer->away) + took);
        put_number(&WORKER(worker, pause), number(outer->pause) + pause);
    } else {
        Py_DECREF(outer->slot);
        put_new(&WORKER(worker, away), bound.zero);
        put_new(&WORKER(worker, pause), bound.zero);
    }
    Py_DECREF(outer->away);
    Py_DECREF(outer->pause);
}

/* ``steps(lazy, function, argument)``: what the function returns. */
static PyObject *
steps_vectorcall(PyObject *op, PyObject *const *arguments, size_t flags, PyObject *names)
{
    Steps *self = (Steps *)op;
    if (PyVectorcall_NARGS(flags) != 3 || names != NULL || self->run == NULL) {
        PyErr_SetString(PyExc_TypeError, "a step is a function and its argument");
        return NULL;
    }
    PyObject *slot = plain_slot(self);
    if (slot == NULL) {
        return PyObject_Vectorcall(self->whole, arguments, 3, NULL);
    }
    long long start = now_ns();
    PyObject *since = PyLong_FromLongLong(start), *worker = SLOT(slot, worker);
    if (since == NULL) {
        Py_DECREF(slot);
        return NULL;
    }
    put_new(&RUN(self->run, slot), slot);
    put_new(&RUN(self->run, worker), worker);
    Outer outer = {
        .nested = !is_zero(SLOT(WORKER(worker, slot), since)),
        .away = swap(&WORKER(worker, away), Py_NewRef(bound.zero)),
        .pause = swap(&WORKER(worker, pause), Py_NewRef(bound.zero)),
        .dropped = swap(&WORKER(worker, dropped), Py_NewRef(Py_None)),
        .frame = swap(&WORKER(worker, frame), Py_NewRef(Py_None)),
        .run = swap(&WORKER(worker, run), Py_NewRef(self->run)),
        .slot = swap(&WORKER(worker, slot), Py_NewRef(slot)),
        .since = swap(&SLOT(slot, since), since),
    };
    put_new(&WORKER(worker, special), Py_False);
    PyObject *result = PyObject_CallOneArg(arguments[1], arguments[2]);
    PyObject *kind = NULL, *error = NULL, *trace = NULL;
    if (result == NULL) {
        PyErr_Fetch(&kind, &error, &trace);
    }
    leave(self, slot, &outer, now_ns() - start);
    Py_DECREF(slot);
    if (result == NULL) {
        PyErr_Restore(kind, error, trace);
    }
    return result;
}

static PyObject *
steps_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"run", "find", "whole", NULL};
    PyObject *run, *find, *whole;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OOO:Steps", known,
                                     &run, &find, &whole)) {
        return NULL;
    }
    if (bound.run_type == NULL || Py_TYPE(run) != bound.run_type) {
        PyErr_SetString(PyExc_TypeError, "this is no run");
        return NULL;
    }
    Steps *self = (Steps *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = steps_vectorcall;
        self->run = Py_NewRef(run);
        self->whole = Py_NewRef(whole);
        self->place.find = Py_NewRef(find);
    }
    return (PyObject *)self;
}

static PyMemberDef members[] = {
    {"took", T_LONGLONG, offsetof(Steps, took), READONLY, "Nanoseconds in steps so far."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject StepsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Steps",
    .tp_doc = "Steps(run, find, whole): called with a lazy call, a function and its "
              "argument, it calls that as one step, or leaves all to whole.",
    .tp_basicsize = sizeof(Steps),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = steps_new,
    .tp_dealloc = clear_and_free,
    .tp_traverse = steps_traverse,
    .tp_clear = steps_clear,
    .tp_members = members,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Steps, vectorcall),
};
