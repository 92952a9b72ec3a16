/* Samples into the cells of a distribution. */

#include "native.h"

#include <limits.h>
#include <string.h>

/* More cells than this are Python's. */
#define CELLS 512
/* So are samples of days, and more samples at once: their sum has to fit. */
#define LONG (1ULL << 48)
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

PyObject *
count_in(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 3) {
        PyErr_SetString(PyExc_TypeError, "count_in(samples, bounds, width)");
        return NULL;
    }
    Py_ssize_t width = PyLong_AsSsize_t(arguments[2]);
    if (width == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_buffer samples, edges;
    if (PyObject_GetBuffer(arguments[0], &samples, PyBUF_FORMAT) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(arguments[1], &edges, PyBUF_FORMAT) < 0) {
        PyBuffer_Release(&samples);
        return NULL;
    }
    PyObject *result = NULL;
    const unsigned long long *values = samples.buf;
    const long long *bounds = edges.buf;
    Py_ssize_t number = samples.len / (Py_ssize_t)sizeof(*values);
    Py_ssize_t last_edge = edges.len / (Py_ssize_t)sizeof(*bounds);
    unsigned counts[CELLS] = {0};
    unsigned long long total = 0, top = 0, bottom = ULLONG_MAX;
    if (strcmp(samples.format, "Q") != 0 || strcmp(edges.format, "q") != 0
        || number == 0 || width < (Py_ssize_t)sizeof(*counts) || width > 8) {
        PyErr_SetString(PyExc_TypeError, "count_in: not the arrays it is made for");
        goto done;
    }
    if (last_edge >= CELLS || number > MANY) {
        PyErr_SetString(PyExc_OverflowError, "too many");
        goto done;
    }
    for (Py_ssize_t place = 0; place < number; place++) {
        unsigned long long value = values[place];
        if (value > LONG) {
            PyErr_SetString(PyExc_OverflowError, "a sample is too large");
            goto done;
        }
        total += value;
        top = value > top ? value : top;
        bottom = value < bottom ? value : bottom;
        counts[cell_of(bounds, last_edge, (long long)value)]++;
    }
    Py_ssize_t first = cell_of(bounds, last_edge, (long long)bottom);
    Py_ssize_t last = cell_of(bounds, last_edge, (long long)top);
    unsigned char fields[CELLS * 8] = {0};
    for (Py_ssize_t cell = first; cell <= last; cell++) {
        unsigned char *field = fields + width * (cell - first);
        for (unsigned left = counts[cell]; left; left >>= 8) {
            *field++ = (unsigned char)left;
        }
    }
    result = Py_BuildValue("ny#KKK", first, fields, width * (last - first + 1), total,
                           top, bottom);
done:
    PyBuffer_Release(&edges);
    PyBuffer_Release(&samples);
    return result;
}
