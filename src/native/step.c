/* Steps of generators: begun, ended, or handed over to the Python object Items. */

#include "step.h"
#include "turn.h"

void
step_clear(Step *step)
{
    light_clear(&step->light);
    Py_CLEAR(step->slot);
    Py_CLEAR(step->worker);
}

/* Begin an item of a task's own in C: 1 where that was possible, 2 where this is no
   task, 0 where Python has to, -1 on an error. */
static int
begin_in_task(Step *step)
{
    int looping = task_runs(step->worker);
    if (looping <= 0) {
        return looping < 0 ? -1 : 2;
    }
    int state = untraced(step->worker, step->start);
    if (state <= 0) {
        return state;
    }
    PyObject *before = NULL;
    if (turn_now(&before, &step->light.rested) < 0) {
        return -1;
    }
    Py_XDECREF(before);
    step->light.held = AT_END;
    step->light.turn = turn_new(step->slot, step->start);
    step->light.quiet = Py_NewRef(WORKER(step->worker, quiet));
    return step->light.turn == NULL ? -1 : 1;
}

/* Begin a step in C: 1 where that was possible, 0 where Python has to, -1 on an error. */
int
step_begin(Step *step, PyObject *items, Place *place, bool asynchronous)
{
    PyObject *run = ITEMS(items, run);
    if (Py_TYPE(run) != bound.run_type) {
        return 0;
    }
    bool source = ITEMS(items, source) == Py_True;
    if (!source && RUN(run, traced) != Py_None) {
        return 0;
    }
    step->slot = slot_here(place);
    if (step->slot == NULL) {
        return -1;
    }
    step->worker = Py_NewRef(SLOT(step->slot, worker));
    if (!is_zero(SLOT(WORKER(step->worker, slot), since))) {
        return 0;
    }
    step->start = now_ns();
    if (WORKER(step->worker, alert) != bound.zero) {
        long bits = PyLong_AsLong(WORKER(step->worker, alert));
        int state = source && bits == 1 ? 2 : 0;
        if (asynchronous && source && (bits == 1 || bits == 3)) {
            state = begin_in_task(step);
            state = state == 2 && bits == 3 ? 0 : state;
        }
        if (state == 2) {
            state = light_begin(&step->light, step->slot, step->worker, Py_None, 1,
                                step->start);
        }
        if (state <= 0) {
            return state;
        }
        step->quiet = true;
        put_new(&RUN(run, traced), Py_None);
        put_new(&ITEMS(items, _traced), Py_None);
    }
    Light *light = step->quiet ? &step->light : NULL;
    return enter_plainly(light, step->slot, step->worker, step->start) < 0 ? -1 : 1;
}

/* Let Python go on with a step that began here. */
int
hand_over(Step *step, PyObject *items)
{
    PyObject *start = PyLong_FromLongLong(step->start);
    if (start == NULL) {
        return -1;
    }
    put(&ITEMS(items, _start), start);
    put_new(&ITEMS(items, _light), step->slot);
    put_new(&ITEMS(items, _token),
            step->light.token == NULL ? Py_None : step->light.token);
    step_clear(step);
    return 0;
}

/* The same after it raised: that exception stays the one that is raised. */
void
hand_over_raised(Step *step, PyObject *items)
{
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    if (hand_over(step, items) < 0) {
        PyErr_Clear();
    }
    PyErr_Restore(kind, error, trace);
}

/* End a step in C with an item: 1 where Python has to, -1 on an error. */
int
step_end(Step *step, PyObject *items, PyObject *item)
{
    PyObject *slot = step->slot, *worker = step->worker;
    if (WORKER(worker, special) != Py_False) {
        return 1;
    }
    long long end = now_ns();
    PyObject *produced = PyNumber_Add(SLOT(slot, produced), bound.one);
    if (produced == NULL) {
        return -1;
    }
    put(&SLOT(slot, produced), produced);
    if (!step->quiet) {
        return add_sample(slot, end, end - step->start);
    }
    if (light_leave(&step->light, slot, worker, end - step->start) < 0) {
        return -1;
    }
    if (WORKER(worker, special) != Py_False) {
        PyObject *event = RUN(ITEMS(items, run), event);
        return light_finish(&step->light, slot, worker, event, item, step->start, end);
    }
    int failed = add_sample(slot, end, end - step->start);
    return failed ? failed
        : light_note(&step->light, slot, worker, item, step->start, end);
}
