/* Coroutines: the first step in C; most need no other one. */

#include "turn.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *stage;
    Place place;
} Coroutine;

/* What a call that is not over returns to its wrapper, which awaits it. */
typedef struct {
    PyObject_HEAD
    PyObject *awaitable;
} Rest;

/* Wrap an owned awaitable; NULL passes through. */
static PyObject *
rest_of(PyObject *awaitable)
{
    if (awaitable == NULL) {
        return NULL;
    }
    Rest *rest = PyObject_New(Rest, &RestType);
    if (rest == NULL) {
        Py_DECREF(awaitable);
        return NULL;
    }
    rest->awaitable = awaitable;
    return (PyObject *)rest;
}

static PyObject *
decline_it(Coroutine *self, PyObject *inner, PyObject *event)
{
    PyObject *arguments[] = {self->stage, inner, event};
    return rest_of(PyObject_Vectorcall(bound.helper.drive, arguments, 3, NULL));
}

/* Go on in Python with a call that waits after its first step. */
static PyObject *
go_on(Light *light, PyObject *slot, PyObject *worker, PyObject *inner,
      PyObject *waited, PyObject *event, long long start)
{
    PyObject *begun = PyLong_FromLongLong(start);
    if (begun == NULL) {
        return NULL;
    }
    PyObject *arguments[] = {
        slot, worker, inner, waited, begun, event, OR_NONE(light->quiet),
        OR_NONE(light->token),
    };
    PyObject *awaitable = PyObject_Vectorcall(bound.helper.drive_on, arguments, 8, NULL);
    Py_DECREF(begun);
    return rest_of(awaitable);
}

/* The same of any event, in Python: 1 where it has a turn, 0 where the call is not a
   light one, -1 on an error. */
static int
claim_in_task(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
              long long start)
{
    PyObject *begun = PyLong_FromLongLong(start);
    if (begun == NULL) {
        return -1;
    }
    PyObject *told[] = {slot, worker, event, begun};
    light->turn = PyObject_Vectorcall(bound.helper.claim_in_task, told, 4, NULL);
    Py_DECREF(begun);
    return light->turn == NULL ? -1 : light->turn != Py_None;
}

/* native(event, coroutine): the result, or what the wrapper has to await for it. */
static PyObject *
coroutine_vectorcall(PyObject *op, PyObject *const *arguments, size_t flags,
                     PyObject *names)
{
    Coroutine *self = (Coroutine *)op;
    if (PyVectorcall_NARGS(flags) != 2 || names != NULL || self->stage == NULL) {
        PyErr_SetString(PyExc_TypeError, "it takes an event and a coroutine");
        return NULL;
    }
    PyObject *event = arguments[0], *inner = arguments[1], *result = NULL;
    Light light = NO_LIGHT;
    PyObject *slot = slot_here(&self->place);
    if (slot == NULL) {
        return NULL;
    }
    PyObject *worker = Py_NewRef(SLOT(slot, worker));
    PyObject *alert = WORKER(worker, alert);
    bool is_light = false;
    if (!is_zero(SLOT(WORKER(worker, slot), since))) {
        result = decline_it(self, inner, event);
        goto done;
    }
    long long start = now_ns();
    if (alert != bound.zero) {
        long bits = PyLong_AsLong(alert);
        int state = 0;
        if (bits > 0 && bits < 4) {
            state = bits & 1 ? turn_claim(&light, slot, worker, event, start) : 0;
            state = state ? state : claim_in_task(&light, slot, worker, event, start);
        }
        if (state <= 0) {
            result = state < 0 ? NULL : decline_it(self, inner, event);
            goto done;
        }
        light.quiet = bits & 1 ? Py_NewRef(WORKER(worker, quiet)) : NULL;
        is_light = true;
    }
    if (enter_plainly(is_light ? &light : NULL, slot, worker, start) < 0) {
        goto done;
    }
    PyObject *value = NULL;
    PySendResult state = PyIter_Send(inner, Py_None, &value);
    if (state == PYGEN_NEXT) {
        result = turn_give(&light) < 0 ? NULL
            : go_on(&light, slot, worker, inner, value, event, start);
        Py_DECREF(value);
    } else if (state == PYGEN_RETURN) {
        result = finish_plainly(is_light ? &light : NULL, slot, worker, event, value,
                                start) < 0 ? NULL : Py_NewRef(value);
        Py_DECREF(value);
    } else {
        (void)turn_give(&light);
        fail_plainly(is_light ? &light : NULL, slot, worker, event, start);
    }
done:
    light_clear(&light);
    Py_DECREF(worker);
    Py_DECREF(slot);
    return result;
}

static PyObject *
coroutine_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"stage", "find", NULL};
    PyObject *stage, *find;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OO:Coroutine", known,
                                     &stage, &find)) {
        return NULL;
    }
    if (bound.slot_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "bind() comes first");
        return NULL;
    }
    Coroutine *self = (Coroutine *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = coroutine_vectorcall;
        self->stage = Py_NewRef(stage);
        self->place.find = Py_NewRef(find);
    }
    return (PyObject *)self;
}

static int
coroutine_traverse(PyObject *op, visitproc visit, void *arg)
{
    Coroutine *self = (Coroutine *)op;
    Py_VISIT(self->stage);
    Py_VISIT(self->place.find);
    Py_VISIT(self->place.slot);
    return 0;
}

static int
coroutine_clear(PyObject *op)
{
    Coroutine *self = (Coroutine *)op;
    Py_CLEAR(self->stage);
    Py_CLEAR(self->place.slot);
    Py_CLEAR(self->place.find);
    return 0;
}

static void
rest_dealloc(PyObject *op)
{
    Py_XDECREF(((Rest *)op)->awaitable);
    PyObject_Free(op);
}

static PyMemberDef rest_members[] = {
    {"awaitable", T_OBJECT_EX, offsetof(Rest, awaitable), READONLY, "What to await."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject RestType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Rest",
    .tp_doc = "The rest of a coroutine's call.",
    .tp_basicsize = sizeof(Rest),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = rest_dealloc,
    .tp_members = rest_members,
};

PyTypeObject CoroutineType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Coroutine",
    .tp_doc = "Coroutine(stage, find): called with the event and a coroutine, takes its "
              "first step and records it.",
    .tp_basicsize = sizeof(Coroutine),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = coroutine_new,
    .tp_dealloc = clear_and_free,
    .tp_traverse = coroutine_traverse,
    .tp_clear = coroutine_clear,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Coroutine, vectorcall),
};
