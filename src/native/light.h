/* Light calls: those of default mode outside of the head sample. */

#ifndef STAGELIGHT_LIGHT_H
#define STAGELIGHT_LIGHT_H

#include "native.h"

/* A light call in default mode, on the thread's trail or on a fetched event. */
typedef struct {
    PyObject *quiet, *trail, *turn, *token;
    PyObject *rested; /* the task's own context before it, which holds a turn */
    /* Whether the task has the turn: since before; since it began; from its begin on,
       or from its end on, unless ``rested`` can take it; or the turn is that of the
       event before, and this one's has to be made. */
    enum { HELD, GIVEN, TO_GIVE, AT_END, TO_MAKE } held;
} Light;

#define NO_LIGHT ((Light){NULL, NULL, NULL, NULL, NULL, HELD})

void light_clear(Light *light);
int nothing_current(void);
int light_begin(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
                long alert, long long start);
int light_enter(Light *light, PyObject *slot, long long start);
int light_fail(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
               long long start);
int light_leave(Light *light, PyObject *slot, PyObject *worker, long long took);
int light_finish(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
                 PyObject *result, long long start, long long end);
int light_note(Light *light, PyObject *slot, PyObject *worker, PyObject *result,
               long long start, long long end);
int enter_plainly(Light *light, PyObject *slot, PyObject *worker, long long start);
int finish_plainly(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
                   PyObject *result, long long start);
void fail_plainly(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
                  long long start);

int turn_make(Light *light, PyObject *slot, long long start);
int turn_give(Light *light);
int turn_left(Light *light);
int turn_note(PyObject *turn, PyObject *slot, PyObject *result, long long start,
              long long end);

#define OR_NONE(object) ((object) == NULL ? Py_None : (object))

#endif
