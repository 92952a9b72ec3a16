/* Light calls: those of default mode outside of the head sample. */

#include "light.h"

void
light_clear(Light *light)
{
    Py_CLEAR(light->quiet);
    Py_CLEAR(light->trail);
    Py_CLEAR(light->turn);
    Py_CLEAR(light->token);
    Py_CLEAR(light->rested);
}

/* Whether the event is what the last stage of the trail returned. */
static bool
goes_on(PyObject *trail, PyObject *slot, PyObject *event)
{
    if (!PyTuple_CheckExact(trail) || PyTuple_GET_SIZE(trail) != 6
        || PyLong_AsVoidPtr(PyTuple_GET_ITEM(trail, 2)) != (void *)event
        || event == Py_None) {
        return false;
    }
    long number = 0;
    for (PyObject *step = trail; PyTuple_CheckExact(step);
         step = PyTuple_GET_ITEM(step, 0)) {
        number++;
        if (PyTuple_GET_ITEM(step, 1) == slot || number >= bound.fan_out) {
            return false;
        }
    }
    return true;
}

/* Whether nothing is current in this thread's context. */
int
nothing_current(void)
{
    PyObject *context = NULL;
    if (PyContextVar_Get(bound.current, NULL, &context) < 0) {
        return -1;
    }
    int full = context != NULL && PyDict_CheckExact(context)
        ? PyDict_GET_SIZE(context) != 0
        : context == NULL ? 0
        : Py_TYPE(context) == bound.context_type || Py_TYPE(context) == bound.rested_type
        ? PyDict_GET_SIZE(context) != 0
        : PyObject_IsTrue(context);
    Py_XDECREF(context);
    return full < 0 ? -1 : !full;
}

/* Begin a light call: 1 where it is one, 0 where the wrapper has to do it, -1 where
   that raised. */
int
light_begin(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
            long alert, long long start)
{
    PyObject *running = PyObject_CallNoArgs(TRACER(running));
    if (running == NULL) {
        return -1;
    }
    Py_DECREF(running);
    if (running != Py_None) {
        return 0;
    }
    light->quiet = Py_XNewRef(WORKER(worker, quiet));
    bool quiet = Py_TYPE(light->quiet) == bound.quiet_type;
    if (alert & 2) {
        PyObject *clock = PyLong_FromLongLong(start);
        if (clock == NULL) {
            return -1;
        }
        PyObject *arguments[] = {slot, worker, event, clock};
        light->turn = PyObject_Vectorcall(bound.helper.claim, arguments, 4, NULL);
        Py_DECREF(clock);
        if (light->turn == NULL) {
            return -1;
        }
        if (light->turn == Py_None) {
            return 0;
        }
    } else {
        if (!quiet || PyLong_AsLongLong(TRACER(due)) <= start) {
            return 0;
        }
        if (WORKER(worker, turn) != Py_None) {
            PyObject *arguments[] = {worker, event};
            PyObject *stale = PyObject_Vectorcall(bound.helper.stale, arguments, 2, NULL);
            if (stale == NULL) {
                return -1;
            }
            Py_DECREF(stale);
            if (stale != Py_True) {
                return 0;
            }
        }
        int nothing = nothing_current();
        if (nothing <= 0) {
            return nothing;
        }
        light->trail = Py_NewRef(WORKER(worker, trail));
        if (light->trail != Py_None && !goes_on(light->trail, slot, event)) {
            put(&light->trail, Py_NewRef(Py_None));
            put_new(&WORKER(worker, trail), Py_None);
            put_new(&WORKER(worker, journey), Py_None);
        }
    }
    if (!(alert & 1) || !quiet) {
        Py_CLEAR(light->quiet);
    }
    return 1;
}

/* Make the call's context current; from here on it has begun. */
int
light_enter(Light *light, PyObject *slot, long long start)
{
    if (light->quiet != NULL) {
        put_new(&QUIET(light->quiet, slot), slot);
        light->token = PyContextVar_Set(bound.current, light->quiet);
        if (light->token == NULL) {
            return -1;
        }
    }
    /* One reference is the token's, one the turn variable's, one is ours: another one is
       that of a copy of the task's context, which must not see what becomes of it. */
    if (light->rested != NULL && Py_REFCNT(light->rested) != 3) {
        Py_CLEAR(light->rested);
    }
    if (light->held == TO_MAKE && turn_make(light, slot, start) < 0) {
        return -1;
    }
    put_new(&SLOT(slot, turn), OR_NONE(light->turn));
    return light->held == TO_GIVE && light->rested == NULL ? turn_give(light) : 0;
}

int
light_fail(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
           long long start)
{
    PyObject *begun = PyLong_FromLongLong(start);
    if (begun == NULL) {
        return -1;
    }
    PyObject *arguments[] = {
        slot, worker, OR_NONE(light->trail), OR_NONE(light->token), begun, NULL, event,
    };
    int failed = tell_error(bound.helper.light_fail, arguments, 7, 5);
    Py_DECREF(begun);
    return failed;
}

/* Put the thread's own context back, and see whether anybody looked at ours. */
int
light_leave(Light *light, PyObject *slot, PyObject *worker, long long took)
{
    PyObject *quiet = light->quiet;
    if (quiet == NULL) {
        return 0;
    }
    if (PyContextVar_Reset(bound.current, light->token) < 0) {
        return -1;
    }
    Py_CLEAR(light->token);
    /* One reference is the worker's, one is ours: another one is somebody's copy. */
    if (Py_REFCNT(quiet) != 2 || QUIET(quiet, span) != Py_None
        || took > PyLong_AsLongLong(SLOT(slot, slow))) {
        put_new(&WORKER(worker, special), Py_True);
    }
    return light->held == HELD ? 0 : turn_left(light);
}

int
light_finish(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
             PyObject *result, long long start, long long end)
{
    PyObject *begun = PyLong_FromLongLong(start), *ended = PyLong_FromLongLong(end);
    int failed = -1;
    if (begun != NULL && ended != NULL) {
        PyObject *arguments[] = {
            slot, worker, OR_NONE(light->trail), OR_NONE(light->quiet),
            begun, ended, event, result,
        };
        failed = tell(bound.helper.light_finish, arguments, 8);
    }
    Py_XDECREF(begun);
    Py_XDECREF(ended);
    return failed;
}

/* Note what a light call did: on its event's turn, else on the thread's trail. */
int
light_note(Light *light, PyObject *slot, PyObject *worker, PyObject *result,
           long long start, long long end)
{
    PyObject *turn = light->turn;
    if (turn != NULL && Py_TYPE(turn) == &LightTurnType) {
        put_new(&SLOT(slot, turn), Py_None);
        return turn_note(turn, slot, result, start, end);
    }
    PyObject *begun = PyLong_FromLongLong(start), *ended = PyLong_FromLongLong(end);
    PyObject *key = PyLong_FromVoidPtr(result);
    int failed = -1;
    if (begun == NULL || ended == NULL || key == NULL) {
        goto done;
    }
    if (turn == NULL) {
        PyObject *trail = PyTuple_New(6);
        if (trail == NULL) {
            goto done;
        }
        PyTuple_SET_ITEM(trail, 0, Py_NewRef(OR_NONE(light->trail)));
        PyTuple_SET_ITEM(trail, 1, Py_NewRef(slot));
        PyTuple_SET_ITEM(trail, 2, Py_NewRef(key));
        PyTuple_SET_ITEM(trail, 3, Py_NewRef(Py_None));
        PyTuple_SET_ITEM(trail, 4, Py_NewRef(begun));
        PyTuple_SET_ITEM(trail, 5, Py_NewRef(ended));
        put(&WORKER(worker, trail), trail);
        failed = 0;
        goto done;
    }
    put_new(&SLOT(slot, turn), Py_None);
    if (PyObject_SetAttr(turn, bound.ended, ended) < 0
        || PyObject_SetAttr(turn, bound.slot_name, slot) < 0
        || PyObject_SetAttr(turn, bound.outcome, bound.success) < 0
        || PyObject_SetAttr(turn, bound.key, key) < 0) {
        goto done;
    }
    if (light->quiet != NULL) {
        PyObject *journey = PyObject_GetAttr(turn, bound.journey);
        if (journey == NULL) {
            goto done;
        }
        PyObject *arguments[] = {journey, SLOT(slot, stage), begun, ended};
        failed = tell(bound.helper.remember, arguments, 4);
        Py_DECREF(journey);
    } else {
        failed = 0;
    }
done:
    Py_XDECREF(begun);
    Py_XDECREF(ended);
    Py_XDECREF(key);
    return failed;
}
