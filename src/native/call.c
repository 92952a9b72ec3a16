/* Plain calls: what the wrapper's short and light paths do, in one call of C. */

#include "native.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *target;
    PyObject *twin; /* gives the object whose ``process`` is to run, else NULL */
    Place place;
} Call;

/* A light call in default mode, on the thread's trail or on a fetched event. */
typedef struct {
    PyObject *quiet, *trail, *turn, *token;
} Light;

static void
light_clear(Light *light)
{
    Py_CLEAR(light->quiet);
    Py_CLEAR(light->trail);
    Py_CLEAR(light->turn);
    Py_CLEAR(light->token);
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
static int
nothing_current(void)
{
    PyObject *context = NULL;
    if (PyContextVar_Get(bound.current, NULL, &context) < 0) {
        return -1;
    }
    int full = context != NULL && PyDict_CheckExact(context)
        ? PyDict_GET_SIZE(context) != 0
        : context == NULL ? 0
        : Py_TYPE(context) == bound.context_type ? PyDict_GET_SIZE(context) != 0
        : PyObject_IsTrue(context);
    Py_XDECREF(context);
    return full < 0 ? -1 : !full;
}

/* Begin a light call: 1 where it is one, 0 where the wrapper has to do it, -1 where
   that raised. */
static int
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
static int
light_enter(Light *light, PyObject *slot)
{
    put_new(&SLOT(slot, turn), light->turn == NULL ? Py_None : light->turn);
    if (light->quiet == NULL) {
        return 0;
    }
    put_new(&QUIET(light->quiet, slot), slot);
    light->token = PyContextVar_Set(bound.current, light->quiet);
    return light->token == NULL ? -1 : 0;
}

#define OR_NONE(object) ((object) == NULL ? Py_None : (object))

static int
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
static int
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
    return 0;
}

static int
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
static int
light_note(Light *light, PyObject *slot, PyObject *worker, PyObject *result,
           long long start, long long end)
{
    PyObject *begun = PyLong_FromLongLong(start), *ended = PyLong_FromLongLong(end);
    PyObject *key = PyLong_FromVoidPtr(result);
    PyObject *turn = light->turn;
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
    Light light = {NULL, NULL, NULL, NULL};
    bool is_light = false;
    PyObject *slot = slot_here(&self->place);
    if (slot == NULL) {
        return NULL;
    }
    PyObject *worker = Py_NewRef(SLOT(slot, worker));
    PyObject *alert = WORKER(worker, alert);
    long long start = 0, end;
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
    PyObject *since = PyLong_FromLongLong(start);
    if (since == NULL) {
        goto done;
    }
    put_new(&WORKER(worker, slot), slot);
    put(&SLOT(slot, since), since);
    if (is_light && light_enter(&light, slot) < 0) {
        put_new(&SLOT(slot, since), bound.zero);
        goto done;
    }
    result = run(self, arguments + 1, number - 1, names);
    if (result == NULL) {
        if (is_light) {
            (void)light_fail(&light, slot, worker, event, start);
        } else if ((since = PyLong_FromLongLong(start)) != NULL) {
            PyObject *told[] = {slot, worker, Py_None, since, NULL, event};
            (void)tell_error(bound.helper.fail, told, 6, 4);
            Py_DECREF(since);
        }
        goto done;
    }
    end = now_ns();
    int failed = is_light ? light_leave(&light, slot, worker, end - start) : 0;
    if (failed) {
        ;
    } else if (WORKER(worker, special) != Py_False) {
        if (is_light) {
            failed = light_finish(&light, slot, worker, event, result, start, end);
        } else {
            PyObject *begun = PyLong_FromLongLong(start);
            PyObject *ended = PyLong_FromLongLong(end);
            failed = -1;
            if (begun != NULL && ended != NULL) {
                PyObject *told[] = {slot, worker, Py_None, begun, ended, event, result};
                failed = tell(bound.helper.finish, told, 7);
            }
            Py_XDECREF(begun);
            Py_XDECREF(ended);
        }
    } else {
        failed = add_sample(slot, end, end - start);
        if (is_light && !failed) {
            failed = light_note(&light, slot, worker, result, start, end);
        }
    }
    if (failed) {
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

static void
call_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    (void)call_clear(op);
    Py_TYPE(op)->tp_free(op);
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
    .tp_dealloc = call_dealloc,
    .tp_traverse = call_traverse,
    .tp_clear = call_clear,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Call, vectorcall),
};
