/* One step of a generator: an item that is made. */

#ifndef STAGELIGHT_STEP_H
#define STAGELIGHT_STEP_H

#include "light.h"

/* A light step, or one that only counts. */
typedef struct {
    PyObject *slot, *worker;
    Light light;
    long long start;
    bool quiet;
} Step;

void step_clear(Step *step);
int step_begin(Step *step, PyObject *items, Place *place, bool asynchronous);
int hand_over(Step *step, PyObject *items);
void hand_over_raised(Step *step, PyObject *items);
int step_end(Step *step, PyObject *items, PyObject *item);

#endif
