/* Samples into the cells of a distribution. */

#include "native.h"

#include <limits.h>

/* More cells than this are Python's. */
#define CELLS 512
/* So are samples of days, and more samples at once: their sum has to fit. */
#define LONG (1LL << 48)
#define MANY (1 << 14)

/* The first bound that is not below the value, as ``bisect_left`` finds it. */
static Py_ssize_t
cell_of(const long long *bounds, Py_ssize_t number, long long value)
{
    const long long *first = bounds;
    while (number > 0) {
        Py_ssize_t half = number / 2;
        bool above = first[half] < value;
        first = above ? first + half + 1 : first;
        number = above ? number - half - 1 : half;
    }
    return first - bounds;
}

static int
add_to(PyObject *cells, Py_ssize_t cell, long long more)
{
    PyObject *key = PyLong_FromSsize_t(cell), *sum = NULL;
    if (key == NULL) {
        return -1;
    }
    int failed = -1;
    PyObject *before = PyDict_GetItemWithError(cells, key);
    if (before != NULL) {
        long long number = PyLong_AsLongLong(before);
        if (number == -1 && PyErr_Occurred()) {
            goto done;
        }
        more += number;
    } else if (PyErr_Occurred()) {
        goto done;
    }
    sum = PyLong_FromLongLong(more);
    failed = sum == NULL ? -1 : PyDict_SetItem(cells, key, sum);
done:
    Py_XDECREF(sum);
    Py_DECREF(key);
    return failed;
}

PyObject *
count_in(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 3 || !PyDict_CheckExact(arguments[0])
        || !PyList_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "count_in(dict, list, buffer)");
        return NULL;
    }
    Py_buffer buffer;
    if (PyObject_GetBuffer(arguments[2], &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    const long long *bounds = buffer.buf;
    Py_ssize_t edges = buffer.len / (Py_ssize_t)sizeof(long long);
    unsigned counts[CELLS] = {0};
    PyObject *result = NULL;
    long long total = 0, top = LLONG_MIN, bottom = LLONG_MAX;
    if (edges >= CELLS || PyList_GET_SIZE(arguments[1]) > MANY) {
        PyErr_SetString(PyExc_OverflowError, "too many");
        goto done;
    }
    /* Nothing in here lets other code run: the list stays as it is. */
    Py_ssize_t number = PyList_GET_SIZE(arguments[1]);
    for (Py_ssize_t place = 0; place < number; place++) {
        PyObject *sample = PyList_GET_ITEM(arguments[1], place);
        if (!PyLong_CheckExact(sample)) {
            PyErr_SetString(PyExc_TypeError, "a sample is no integer");
            goto done;
        }
        long long value = PyLong_AsLongLong(sample);
        if (value == -1 && PyErr_Occurred()) {
            goto done;
        }
        if (value > LONG || value < -LONG) {
            PyErr_SetString(PyExc_OverflowError, "a sample is too large");
            goto done;
        }
        total += value;
        top = value > top ? value : top;
        bottom = value < bottom ? value : bottom;
        counts[cell_of(bounds, edges, value)]++;
    }
    for (Py_ssize_t cell = 0; cell <= edges; cell++) {
        if (counts[cell] && add_to(arguments[0], cell, counts[cell]) < 0) {
            goto done;
        }
    }
    result = Py_BuildValue("LLL", total, top, bottom);
done:
    PyBuffer_Release(&buffer);
    return result;
}
