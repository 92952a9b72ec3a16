/* The record: a thread's slot, its samples, and what Python is told. */

#include "native.h"

Bound bound;
PyObject *decline, *ended, *waits;

long long
other_clock(void)
{
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyObject *now = PyObject_CallNoArgs(bound.clock);
    long long value = now == NULL ? -1 : PyLong_AsLongLong(now);
    Py_XDECREF(now);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_WriteUnraisable(bound.clock);
    }
    PyErr_Restore(kind, error, trace);
    return value;
}

/* The deallocator of a type that the garbage collector knows and can clear. */
void
clear_and_free(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    (void)Py_TYPE(op)->tp_clear(op);
    Py_TYPE(op)->tp_free(op);
}

PyObject *
find_slot(Place *place)
{
    PyObject *slot = PyObject_CallNoArgs(place->find);
    if (slot == NULL) {
        return NULL;
    }
    if (Py_TYPE(slot) != bound.slot_type) {
        Py_DECREF(slot);
        PyErr_SetString(PyExc_TypeError, "a stage's slot is of another class");
        return NULL;
    }
    place->thread = PyThreadState_GetID(PyThreadState_Get());
    put(&place->slot, Py_NewRef(slot));
    return slot;
}

/* Call a helper that raises nothing but, on a full stack, RecursionError. */
int
tell(PyObject *helper, PyObject **arguments, Py_ssize_t number)
{
    PyObject *done = PyObject_Vectorcall(helper, arguments, (size_t)number, NULL);
    if (done != NULL) {
        Py_DECREF(done);
        return 0;
    }
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        return 0;
    }
    return -1;
}

/* Tell of the exception that is being raised as an ``except`` block does, with the
   wrapper's frame in its traceback; it is raised on afterwards. */
int
tell_error(PyObject *helper, PyObject **arguments, Py_ssize_t number, Py_ssize_t place)
{
    PyObject *kind, *error, *trace, *below;
    PyObject *kind_before, *error_before, *trace_before;
    PyErr_Fetch(&kind, &error, &below);
    PyErr_NormalizeException(&kind, &error, &below);
    if (below != NULL) {
        PyException_SetTraceback(error, below);
    }
    PyFrameObject *frame = PyEval_GetFrame();
    if (frame != NULL) {
        PyErr_Restore(Py_NewRef(kind), Py_NewRef(error), Py_XNewRef(below));
        (void)PyTraceBack_Here(frame);
        PyObject *same_kind, *same_error;
        PyErr_Fetch(&same_kind, &same_error, &trace);
        Py_XDECREF(same_kind);
        Py_XDECREF(same_error);
        if (trace != NULL) {
            PyException_SetTraceback(error, trace);
            Py_DECREF(trace);
        }
    }
    PyErr_GetExcInfo(&kind_before, &error_before, &trace_before);
    PyErr_SetExcInfo(Py_NewRef(kind), Py_NewRef(error), PyException_GetTraceback(error));
    arguments[place] = error;
    int failed = tell(helper, arguments, number);
    PyErr_SetExcInfo(kind_before, error_before, trace_before);
    PyException_SetTraceback(error, below == NULL ? Py_None : below);
    if (failed) {
        /* Something raised by a signal: the first one becomes its context. */
        PyObject *kind_now, *error_now, *trace_now;
        PyErr_Fetch(&kind_now, &error_now, &trace_now);
        PyErr_NormalizeException(&kind_now, &error_now, &trace_now);
        if (error_now != error) {
            PyException_SetContext(error_now, Py_NewRef(error));
        }
        PyErr_Restore(kind_now, error_now, trace_now);
        Py_XDECREF(kind);
        Py_XDECREF(error);
        Py_XDECREF(below);
        return -1;
    }
    PyErr_Restore(kind, error, below);
    return 0;
}

/* Let Python fold what waits, and begin a new second where there is one. */
static int
turn_over(PyObject *slot, long long end)
{
    PyObject *clock = PyLong_FromLongLong(end);
    PyObject *done = clock == NULL ? NULL
        : PyObject_CallMethodOneArg(slot, bound.turn_over, clock);
    Py_XDECREF(clock);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Count a call that ended plainly: what ``since = 0``, ``turn_over`` and ``add`` do,
   and a fold as soon as the buffer is full, not only when it may be. */
int
add_sample(PyObject *slot, long long end, long long took)
{
    put_new(&SLOT(slot, since), bound.zero);
    if (end >= PyLong_AsLongLong(SLOT(slot, roll)) && turn_over(slot, end) < 0) {
        return -1;
    }
    PyObject *value = PyLong_FromLongLong(took);
    if (value == NULL) {
        return -1;
    }
    PyObject *add = Py_NewRef(SLOT(slot, add)), *done;
    bool full = false;
    if (PyCFunction_CheckExact(add) && PyCFunction_GET_FLAGS(add) == METH_O) {
        /* The append of a list or an array: what any call of it comes to. */
        PyObject *buffer = PyCFunction_GET_SELF(add);
        done = PyCFunction_GET_FUNCTION(add)(buffer, value);
        full = Py_TYPE(buffer) == bound.buffer_type && Py_SIZE(buffer) >= bound.batch;
    } else {
        done = PyObject_CallOneArg(add, value);
    }
    Py_DECREF(add);
    Py_XDECREF(done);
    Py_DECREF(value);
    if (done == NULL) {
        return -1;
    }
    return full ? turn_over(slot, end) : 0;
}
