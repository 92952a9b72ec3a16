/* Calls as they are opened and closed, light ones and those that are only counted. */

#include "light.h"

/* Open a call: it is what its thread does now; its light, if it is a light one. */
int
enter_plainly(Light *light, PyObject *slot, PyObject *worker, long long start)
{
    PyObject *since = PyLong_FromLongLong(start);
    if (since == NULL) {
        return -1;
    }
    put_new(&WORKER(worker, slot), slot);
    put(&SLOT(slot, since), since);
    if (light != NULL && light_enter(light, slot, start) < 0) {
        put_new(&SLOT(slot, since), bound.zero);
        return -1;
    }
    return 0;
}

/* Record a call that returned; its light, if it is a light one. */
int
finish_plainly(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
               PyObject *result, long long start)
{
    long long end = now_ns();
    if (light != NULL && light_leave(light, slot, worker, end - start) < 0) {
        return -1;
    }
    if (WORKER(worker, special) == Py_False) {
        if (add_sample(slot, end, end - start) < 0) {
            return -1;
        }
        return light == NULL ? 0 : light_note(light, slot, worker, result, start, end);
    }
    if (light != NULL) {
        return light_finish(light, slot, worker, event, result, start, end);
    }
    PyObject *begun = PyLong_FromLongLong(start), *ended = PyLong_FromLongLong(end);
    int failed = -1;
    if (begun != NULL && ended != NULL) {
        PyObject *told[] = {slot, worker, Py_None, begun, ended, event, result};
        failed = tell(bound.helper.finish, told, 7);
    }
    Py_XDECREF(begun);
    Py_XDECREF(ended);
    return failed;
}

/* Record a call that raised, and go on raising. */
void
fail_plainly(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
             long long start)
{
    if (light != NULL) {
        (void)light_fail(light, slot, worker, event, start);
        return;
    }
    PyObject *begun = PyLong_FromLongLong(start);
    if (begun != NULL) {
        PyObject *told[] = {slot, worker, Py_None, begun, NULL, event};
        (void)tell_error(bound.helper.fail, told, 6, 4);
        Py_DECREF(begun);
    }
}
