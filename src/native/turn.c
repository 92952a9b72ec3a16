/* The turn of an event that begins in an asyncio task: what _journey.Turn is, and
   without a journey until somebody asks for one. */

#include "turn.h"

#include <stddef.h>

/* One that is free: each event of a task needs one as the one before it goes. */
static LightTurn *spare;

/* A new turn, of an event that begins in this call; it has ended nothing yet. */
PyObject *
turn_new(PyObject *slot, long long start)
{
    LightTurn *turn = spare;
    if (turn != NULL) {
        spare = NULL;
        (void)PyObject_Init((PyObject *)turn, &LightTurnType);
    } else if ((turn = PyObject_GC_New(LightTurn, &LightTurnType)) == NULL) {
        return NULL;
    }
    turn->journey = turn->within = turn->seen = NULL;
    turn->slot = Py_NewRef(Py_None);
    turn->outcome = Py_NewRef(bound.success);
    turn->key = turn->ambient = 0;
    turn->idle = turn->ended = 0;
    turn->calls = 1;
    turn->forwarded = false;
    turn->number = 1;
    turn->steps[0] = (TurnStep){Py_NewRef(slot), start, 0};
    PyObject_GC_Track(turn);
    return (PyObject *)turn;
}

/* Make a turn that nobody else knows that of another event. */
void
turn_again(LightTurn *turn, PyObject *slot, long long start)
{
    for (int place = 1; place < turn->number; place++) {
        Py_DECREF(turn->steps[place].slot);
    }
    turn->number = 1;
    put_new(&turn->steps[0].slot, slot);
    turn->steps[0].begun = start;
    turn->steps[0].ended = 0;
    Py_CLEAR(turn->journey);
    Py_CLEAR(turn->within);
    Py_CLEAR(turn->seen);
    put_new(&turn->slot, Py_None);
    put_new(&turn->outcome, bound.success);
    turn->key = turn->ambient = 0;
    turn->idle = turn->ended = 0;
    turn->calls = 1;
    turn->forwarded = false;
}

static PyObject *
turn_journey(PyObject *op, void *closure)
{
    (void)closure;
    LightTurn *turn = (LightTurn *)op;
    if (turn->journey != NULL) {
        return Py_NewRef(turn->journey);
    }
    PyObject *done = PyList_New(0);
    for (int place = 0; done != NULL && place < turn->number; place++) {
        TurnStep *step = &turn->steps[place];
        if (!step->ended) {
            continue;
        }
        PyObject *one = Py_BuildValue("OLL", SLOT(step->slot, stage), step->begun,
                                      step->ended);
        if (one == NULL || PyList_Append(done, one) < 0) {
            Py_CLEAR(done);
        }
        Py_XDECREF(one);
    }
    PyObject *began = PyLong_FromLongLong(turn->steps[0].begun), *journey = NULL;
    if (done != NULL && began != NULL) {
        PyObject *told[] = {began, done};
        journey = PyObject_Vectorcall(bound.helper.task_journey, told, 2, NULL);
    }
    Py_XDECREF(done);
    Py_XDECREF(began);
    if (journey != NULL && turn->journey == NULL) {
        turn->journey = Py_NewRef(journey);
    }
    return journey;
}

static PyObject *
turn_began(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(((LightTurn *)op)->steps[0].begun);
}

static PyObject *
turn_origin(PyObject *op, void *closure)
{
    PyObject *journey = ((LightTurn *)op)->journey;
    return journey == NULL ? turn_began(op, closure) : Py_NewRef(journey);
}

static PyObject *
turn_pipeline(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *slot = ((LightTurn *)op)->steps[0].slot;
    return PyObject_GetAttr(SLOT(slot, stage), bound.pipeline);
}

static PyObject *
turn_seen(PyObject *op, void *closure)
{
    (void)closure;
    LightTurn *turn = (LightTurn *)op;
    if (turn->seen != NULL) {
        return Py_NewRef(turn->seen);
    }
    PyObject *seen = PyTuple_New(turn->number);
    for (int place = 0; seen != NULL && place < turn->number; place++) {
        PyTuple_SET_ITEM(seen, place, Py_NewRef(SLOT(turn->steps[place].slot, stage)));
    }
    return seen;
}

static int
turn_set_seen(PyObject *op, PyObject *seen, void *closure)
{
    (void)closure;
    put(&((LightTurn *)op)->seen, Py_XNewRef(seen));
    return 0;
}

/* What is the same for all of them: nobody fetched the event. */
static PyObject *
turn_queue(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    Py_RETURN_NONE;
}

static PyObject *
turn_wait(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    return Py_NewRef(bound.zero);
}

static PyObject *
turn_batch(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    return PyTuple_New(0);
}

static int
turn_traverse(PyObject *op, visitproc visit, void *arg)
{
    LightTurn *turn = (LightTurn *)op;
    Py_VISIT(turn->journey);
    Py_VISIT(turn->within);
    Py_VISIT(turn->slot);
    Py_VISIT(turn->outcome);
    Py_VISIT(turn->seen);
    for (int place = 0; place < turn->number; place++) {
        Py_VISIT(turn->steps[place].slot);
    }
    return 0;
}

static int
turn_clear(PyObject *op)
{
    LightTurn *turn = (LightTurn *)op;
    Py_CLEAR(turn->journey);
    Py_CLEAR(turn->within);
    Py_CLEAR(turn->slot);
    Py_CLEAR(turn->outcome);
    Py_CLEAR(turn->seen);
    return 0;
}

/* The slots of its steps go last: they have no way back to it. */
static void
turn_dealloc(PyObject *op)
{
    LightTurn *turn = (LightTurn *)op;
    PyObject_GC_UnTrack(op);
    (void)turn_clear(op);
    for (int place = 0; place < turn->number; place++) {
        Py_DECREF(turn->steps[place].slot);
    }
    if (spare == NULL) {
        spare = turn;
    } else {
        PyObject_GC_Del(op);
    }
}

#define MEMBER(name, kind) {#name, kind, offsetof(LightTurn, name), 0, NULL}
static PyMemberDef turn_members[] = {
    MEMBER(ambient, T_ULONGLONG),
    MEMBER(calls, T_LONG),
    MEMBER(ended, T_LONGLONG),
    MEMBER(forwarded, T_BOOL),
    MEMBER(idle, T_LONGLONG),
    MEMBER(key, T_ULONGLONG),
    MEMBER(outcome, T_OBJECT),
    MEMBER(slot, T_OBJECT),
    MEMBER(within, T_OBJECT),
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef turn_fields[] = {
    {"batch", turn_batch, NULL, NULL, NULL},
    {"began", turn_began, NULL, NULL, NULL},
    {"journey", turn_journey, NULL, NULL, NULL},
    {"origin", turn_origin, NULL, NULL, NULL},
    {"pipeline", turn_pipeline, NULL, NULL, NULL},
    {"queue", turn_queue, NULL, NULL, NULL},
    {"seen", turn_seen, turn_set_seen, NULL, NULL},
    {"wait", turn_wait, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject LightTurnType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.LightTurn",
    .tp_doc = "What _journey.Turn is, of an event that begins in an asyncio task.",
    .tp_basicsize = sizeof(LightTurn),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_dealloc = turn_dealloc,
    .tp_traverse = turn_traverse,
    .tp_clear = turn_clear,
    .tp_members = turn_members,
    .tp_getset = turn_fields,
};
