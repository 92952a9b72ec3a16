/* What the parts of stagelight._native share.

   The record itself stays with the Python classes: their slots are read and written
   here at the offsets that their own descriptors tell. Whatever is not plain is
   handed back to, or done by, the Python functions that do it without us. */

#ifndef STAGELIGHT_NATIVE_H
#define STAGELIGHT_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdbool.h>
#include <time.h>

/* Attributes: F(group, name) is the offset of a slot in its class. */
#define SLOT_FIELDS(F)                                                            \
    F(add) F(apart) F(produced) F(roll) F(since) F(slow) F(stage) F(turn) F(worker)
#define WORKER_FIELDS(F)                                                          \
    F(alert) F(away) F(dropped) F(frame) F(idle) F(journey) F(pause) F(pending)       \
    F(quiet) F(recent) F(run) F(slot) F(special) F(trail) F(turn)
#define QUIET_FIELDS(F) F(slot) F(span)
#define RESTED_FIELDS(F) F(turn)
#define TRACER_FIELDS(F) F(due) F(running) F(sdk_decides)
#define ITEMS_FIELDS(F)                                                           \
    F(_light) F(_start) F(_token) F(_traced) F(run) F(source)
#define RUN_FIELDS(F) F(blocked) F(dropped) F(event) F(slot) F(traced) F(worker)
/* Python functions that do what is not done here. */
#define HELPERS(F)                                                                \
    F(fail) F(finish) F(light_fail) F(light_finish) F(remember) F(stale) F(claim)  \
    F(items_step) F(items_item) F(items_end) F(drive) F(drive_on) F(claim_in_task)\
    F(task_journey) F(first_step) F(rest)

#define OFFSET(name) Py_ssize_t name;
#define OBJECT(name) PyObject *name;

typedef struct {
    PyTypeObject *slot_type, *worker_type, *quiet_type, *context_type, *tracer_type;
    PyTypeObject *items_type, *rested_type, *run_type, *buffer_type;
    struct { SLOT_FIELDS(OFFSET) } slot;
    struct { WORKER_FIELDS(OFFSET) } worker;
    struct { QUIET_FIELDS(OFFSET) } quiet;
    struct { RESTED_FIELDS(OFFSET) } rested;
    struct { TRACER_FIELDS(OFFSET) } tracer;
    struct { ITEMS_FIELDS(OFFSET) } items;
    struct { RUN_FIELDS(OFFSET) } run;
    struct { HELPERS(OBJECT) } helper;
    PyObject *tracer_object;
    PyObject *current;  /* the context variable of OpenTelemetry */
    PyObject *task_turn;  /* that of an asyncio task's turn */
    PyObject *clock; /* only under test, else NULL */
    PyObject *zero, *one;
    PyObject *turn_over, *slot_name, *ended, *outcome, *key, *journey, *success, *process, *throw_name;
    PyObject *queue, *within, *pipeline, *asend, *athrow;
    long fan_out, batch, detailed;
} Bound;

extern Bound bound;
/* Returned to a wrapper that has to do the whole call by itself. */
extern PyObject *decline;
/* Raised to a generator's wrapper where the generator has returned. */
extern PyObject *ended;
/* Raised to an asynchronous one's wrapper where it has to await something. */
extern PyObject *waits;
extern PyTypeObject AsyncItemsType, CallType, CoroutineType, ItemsType, LightTurnType, PausesType;
extern PyTypeObject RestType, StepsType;
PyObject *count_in(PyObject *module, PyObject *const *arguments, Py_ssize_t number);

#define AT(object, offset) (*(PyObject **)((char *)(object) + (offset)))
#define SLOT(object, name) AT(object, bound.slot.name)
#define WORKER(object, name) AT(object, bound.worker.name)
#define QUIET(object, name) AT(object, bound.quiet.name)
#define RESTED(object, name) AT(object, bound.rested.name)
#define ITEMS(object, name) AT(object, bound.items.name)
#define RUN(object, name) AT(object, bound.run.name)
#define TRACER(name) AT(bound.tracer_object, bound.tracer.name)

/* Put an owned reference where another one is. */
static inline void
put(PyObject **place, PyObject *value)
{
    PyObject *before = *place;
    *place = value;
    Py_XDECREF(before);
}

static inline void
put_new(PyObject **place, PyObject *value)
{
    if (*place != value) {
        Py_INCREF(value);
        put(place, value);
    }
}

/* Whether a clock in a slot is 0. */
static inline bool
is_zero(PyObject *number)
{
    return number == bound.zero;
}

long long other_clock(void);

/* The clock of time.perf_counter_ns(). */
static inline long long
clock_ns(void)
{
#if defined(__linux__)
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (long long)at.tv_sec * 1000000000 + at.tv_nsec;
#elif PY_VERSION_HEX >= 0x030D0000
    PyTime_t at = 0;
    (void)PyTime_PerfCounterRaw(&at);
    return (long long)at;
#else
    return (long long)_PyTime_GetPerfCounter();
#endif
}

/* The same, or the clock that a test moves. */
static inline long long
now_ns(void)
{
    return bound.clock == NULL ? clock_ns() : other_clock();
}

/* One stage's slot in the running thread, kept from the last call. */
typedef struct {
    PyObject *find; /* the stage's own look-up, made on the thread's first call */
    PyObject *slot;
    uint64_t thread;
} Place;

void clear_and_free(PyObject *op);
PyObject *find_slot(Place *place);

/* The running thread's slot, owned; NULL with an exception where it has none. */
static inline PyObject *
slot_here(Place *place)
{
    if (place->thread == PyThreadState_GetID(PyThreadState_Get())
        && place->slot != NULL) {
        return Py_NewRef(place->slot);
    }
    return find_slot(place);
}

int tell(PyObject *helper, PyObject **arguments, Py_ssize_t number);
int tell_error(PyObject *helper, PyObject **arguments, Py_ssize_t number,
               Py_ssize_t place);
int add_sample(PyObject *slot, long long end, long long took);

#endif
