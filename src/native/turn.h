/* Turns of events that begin in an asyncio task. */

#ifndef STAGELIGHT_TURN_H
#define STAGELIGHT_TURN_H

#include "light.h"

/* Stages that it remembers by itself; with more of them it is Python's. */
#define STEPS 4

typedef struct {
    PyObject *slot;
    long long begun, ended; /* 0 where it did not end, or not plainly */
} TurnStep;

typedef struct {
    PyObject_HEAD
    PyObject *journey, *within, *slot, *outcome;
    PyObject *seen; /* where Python has set it, else NULL */
    unsigned long long key, ambient;
    long long idle, ended;
    long calls;
    bool forwarded;
    int number;
    TurnStep steps[STEPS];
} LightTurn;

PyObject *turn_new(PyObject *slot, long long start);
void turn_again(LightTurn *turn, PyObject *slot, long long start);
int task_runs(PyObject *worker);
int untraced(PyObject *worker, long long start);
int turn_claim(Light *light, PyObject *slot, PyObject *worker, PyObject *event,
               long long start);
int turn_now(PyObject **turn, PyObject **rested);

#endif
