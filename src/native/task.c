/* What an asyncio task works on: the turn of its event, found and noted in C where
   nobody fetched the event, and no trace is open. */

#include "turn.h"

static unsigned long long
key_of(PyObject *event)
{
    return event == Py_None ? 0 : (unsigned long long)(uintptr_t)event;
}

/* Whether a call continues a turn: 1 where it does, 0 where it is another event's, -1
   where Python has to say. */
static int
continues(LightTurn *turn, PyObject *slot, PyObject *event)
{
    if ((turn->within != NULL && turn->within != Py_None) || turn->seen != NULL || turn->idle) {
        return -1;
    }
    if (event == Py_None || turn->key != key_of(event) || turn->calls >= bound.fan_out) {
        return 0;
    }
    for (int place = 0; place < turn->number; place++) {
        if (SLOT(turn->steps[place].slot, stage) == SLOT(slot, stage)) {
            return 0;
        }
    }
    return turn->number < STEPS ? 1 : -1;
}

/* Whether another turn than one of ours is over, as ``_trail._is_over`` has it. */
static bool
is_over(PyObject *turn, PyObject *event)
{
    PyObject *queue = PyObject_GetAttr(turn, bound.queue);
    PyObject *within = PyObject_GetAttr(turn, bound.within);
    PyObject *key = PyObject_GetAttr(turn, bound.key);
    bool over = queue == Py_None && within == Py_None && key != NULL
        && PyLong_Check(key) && PyLong_AsVoidPtr(key) != (void *)event;
    Py_XDECREF(queue);
    Py_XDECREF(within);
    Py_XDECREF(key);
    PyErr_Clear();
    return over;
}

/* The running task's turn, and the context that holds it if a light call left it there,
   as ``TASK_TURN.get()`` finds it. */
int
turn_now(PyObject **turn, PyObject **rested)
{
    PyObject *held = NULL, *context = NULL;
    if (PyContextVar_Get(bound.task_turn, NULL, &held) < 0) {
        return -1;
    }
    if (held == NULL || Py_TYPE(held) != bound.rested_type) {
        *turn = held;
        return 0;
    }
    *turn = Py_XNewRef(RESTED(held, turn));
    if (PyContextVar_Get(bound.current, NULL, &context) < 0) {
        Py_DECREF(held);
        return -1;
    }
    if (context == held) {
        *rested = held;
    } else {
        Py_DECREF(held);
    }
    Py_XDECREF(context);
    return 0;
}

/* Whether a task runs in this thread, as far as can be told without Python: 1, 0 or -1
   on an error. Where its loop made the turn there is no need to ask for the loop, which
   looks for a fork each time. */
int
task_runs(PyObject *worker)
{
    PyObject *turn = NULL;
    if (PyContextVar_Get(bound.task_turn, NULL, &turn) < 0) {
        return -1;
    }
    PyObject *held = turn;
    if (turn != NULL && Py_TYPE(turn) == bound.rested_type) {
        turn = RESTED(turn, turn);
    }
    bool ours = turn != NULL && Py_TYPE(turn) == &LightTurnType
        && SLOT(((LightTurn *)turn)->steps[0].slot, worker) == worker;
    Py_XDECREF(held);
    if (ours) {
        return 1;
    }
    PyObject *running = PyObject_CallNoArgs(TRACER(running));
    if (running == NULL) {
        return -1;
    }
    bool known = running != Py_None && !PyModule_Check(running);
    Py_DECREF(running);
    return known;
}

/* Whether what begins now is outside of every trace: 1, 0 or -1 on an error. */
int
untraced(PyObject *worker, long long start)
{
    if (Py_TYPE(WORKER(worker, quiet)) != bound.quiet_type
        || TRACER(sdk_decides) != Py_False
        || PyLong_AsLongLong(TRACER(due)) <= start) {
        return 0;
    }
    return nothing_current();
}

/* What ``_trail.claim_in_task`` does for an event that nobody fetched: 1 where the light
   call has its turn, 0 where Python has to say, -1 on an error. */
int
turn_claim(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
           long long start)
{
    PyObject *pending = WORKER(worker, pending), *recent = WORKER(worker, recent);
    if (!PyList_CheckExact(pending) || PyList_GET_SIZE(pending)
        || !PyDict_CheckExact(recent) || PyDict_GET_SIZE(recent)
        || WORKER(worker, trail) != Py_None || !is_zero(WORKER(worker, idle))) {
        return 0;
    }
    int state = untraced(worker, start);
    if (state > 0) {
        state = task_runs(worker);
    }
    if (state <= 0) {
        return state;
    }
    PyObject *before = NULL;
    if (turn_now(&before, &light->rested) < 0) {
        return -1;
    }
    if (before != NULL && Py_TYPE(before) == &LightTurnType) {
        LightTurn *turn = (LightTurn *)before;
        state = continues(turn, slot, event);
        if (state == 1) {
            turn->steps[turn->number++] = (TurnStep){Py_NewRef(slot), start, 0};
            turn->calls++;
            light->turn = before;
            return 1;
        }
    } else {
        state = before == NULL || before == Py_None || is_over(before, event) ? 0 : -1;
    }
    if (state < 0) {
        Py_XDECREF(before);
        return 0;
    }
    light->turn = before;
    light->held = TO_MAKE;
    return 1;
}

/* Make the turn of a light call, out of the one before it where only this task has it. */
int
turn_make(Light *light, PyObject *slot, long long start)
{
    if (light->rested != NULL && Py_REFCNT(light->turn) == 2) {
        turn_again((LightTurn *)light->turn, slot, start);
        light->held = HELD;
        return 0;
    }
    put(&light->turn, turn_new(slot, start));
    light->held = TO_GIVE;
    return light->turn == NULL ? -1 : 0;
}

/* Make a light call's turn that of the running task, where that is still to do; what is
   being raised stays so. */
int
turn_give(Light *light)
{
    if (light->held < TO_GIVE) {
        return 0;
    }
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyObject *token = PyContextVar_Set(bound.task_turn, light->turn);
    int failed = token == NULL ? -1 : 0;
    Py_XDECREF(token);
    light->held = GIVEN;
    if (kind != NULL) {
        PyErr_Restore(kind, error, trace);
    }
    return failed;
}

/* The same at its end, in the context that is current again: the task's next call then
   need not set a variable. */
int
turn_left(Light *light)
{
    if (light->rested != NULL) {
        put_new(&RESTED(light->rested, turn), light->turn);
        return 0;
    }
    PyObject *turn = NULL;
    if (turn_give(light) < 0 || PyContextVar_Get(bound.task_turn, NULL, &turn) < 0) {
        return -1;
    }
    Py_XDECREF(turn);
    if (turn != light->turn) {
        return 0; /* what was fetched meanwhile */
    }
    PyObject *rested = PyObject_CallNoArgs((PyObject *)bound.rested_type);
    if (rested == NULL) {
        return -1;
    }
    put_new(&RESTED(rested, turn), light->turn);
    PyObject *token = PyContextVar_Set(bound.task_turn, rested);
    if (token != NULL) {
        put(&token, PyContextVar_Set(bound.current, rested));
    }
    Py_DECREF(rested);
    Py_XDECREF(token);
    return token == NULL ? -1 : 0;
}

/* Note on a turn that its latest call ended plainly. */
int
turn_note(PyObject *op, PyObject *slot, PyObject *result, long long start, long long end)
{
    LightTurn *turn = (LightTurn *)op;
    turn->ended = end;
    turn->key = key_of(result);
    put_new(&turn->slot, slot);
    put_new(&turn->outcome, bound.success);
    TurnStep *step = &turn->steps[turn->number - 1];
    if (turn->journey == NULL && step->slot == slot && step->begun == start) {
        step->ended = end;
        return 0;
    }
    PyObject *journey = PyObject_GetAttr(op, bound.journey);
    PyObject *begun = PyLong_FromLongLong(start), *ended = PyLong_FromLongLong(end);
    int failed = -1;
    if (journey != NULL && begun != NULL && ended != NULL) {
        PyObject *told[] = {journey, SLOT(slot, stage), begun, ended};
        failed = tell(bound.helper.remember, told, 4);
    }
    Py_XDECREF(journey);
    Py_XDECREF(begun);
    Py_XDECREF(ended);
    return failed;
}
