/* Generators: each step of a plain one in C, all else by the Python object Items. */

#include "step.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *items;  /* the Python object */
    PyObject *inner;  /* the user's generator */
    PyObject *sent;   /* what the wrapper was sent, for the next step */
    PyObject *thrown; /* or what was thrown into it */
    PyObject *value;  /* what the generator returned */
    Place place;
    bool over;
} Items;

static int
items_traverse(PyObject *op, visitproc visit, void *arg)
{
    Items *self = (Items *)op;
    Py_VISIT(self->items);
    Py_VISIT(self->inner);
    Py_VISIT(self->sent);
    Py_VISIT(self->thrown);
    Py_VISIT(self->value);
    Py_VISIT(self->place.find);
    Py_VISIT(self->place.slot);
    return 0;
}

static int
items_clear(PyObject *op)
{
    Items *self = (Items *)op;
    Py_CLEAR(self->items);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->sent);
    Py_CLEAR(self->thrown);
    Py_CLEAR(self->value);
    Py_CLEAR(self->place.find);
    Py_CLEAR(self->place.slot);
    return 0;
}

static PySendResult
advance(Items *self, PyObject **item)
{
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    if (thrown == NULL) {
        PyObject *sent = self->sent;
        self->sent = NULL;
        PySendResult state = PyIter_Send(self->inner, sent == NULL ? Py_None : sent, item);
        Py_XDECREF(sent);
        return state;
    }
    *item = PyObject_CallMethodOneArg(self->inner, bound.throw_name, thrown);
    Py_DECREF(thrown);
    if (*item != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyObject *kind, *stop, *trace;
    PyErr_Fetch(&kind, &stop, &trace);
    PyErr_NormalizeException(&kind, &stop, &trace);
    *item = PyObject_GetAttrString(stop, "value");
    Py_XDECREF(kind);
    Py_XDECREF(stop);
    Py_XDECREF(trace);
    return *item == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* One step: gives the item, else raises; ``Ended`` where the generator returned. */
static PyObject *
items_vectorcall(PyObject *op, PyObject *const *arguments, size_t flags, PyObject *names)
{
    (void)arguments;
    Items *self = (Items *)op;
    if (PyVectorcall_NARGS(flags) || names != NULL || self->inner == NULL || self->over) {
        PyErr_SetString(PyExc_TypeError, "it is over, or got arguments");
        return NULL;
    }
    Step step = {NULL, NULL, NO_LIGHT, 0, false};
    PyObject *told[3] = {self->items, NULL, NULL}, *item = NULL;
    int state = step_begin(&step, self->items, &self->place, false);
    bool plain = state == 1;
    if (!plain) {
        step_clear(&step);
        if (state < 0 || tell(bound.helper.items_step, told, 1) < 0) {
            self->over = true;
            return NULL;
        }
    }
    switch (advance(self, &item)) {
    case PYGEN_NEXT:
        state = plain ? step_end(&step, self->items, item) : 1;
        if (state == 1) {
            told[1] = item;
            if ((plain && hand_over(&step, self->items) < 0)
                || tell(bound.helper.items_item, told, 2) < 0) {
                state = -1;
            }
        }
        step_clear(&step);
        if (state < 0) {
            self->over = true;
            Py_CLEAR(item);
        }
        return item;
    case PYGEN_RETURN:
        self->over = true;
        put(&self->value, item);
        told[1] = Py_None;
        if ((!plain || hand_over(&step, self->items) == 0)
            && tell(bound.helper.items_end, told, 2) == 0) {
            PyErr_SetNone(ended);
        }
        step_clear(&step);
        return NULL;
    default:
        self->over = true;
        if (plain) {
            hand_over_raised(&step, self->items);
        }
        (void)tell_error(bound.helper.items_end, told, 2, 1);
        step_clear(&step);
        return NULL;
    }
}

static PyObject *
items_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"items", "inner", "find", NULL};
    PyObject *items, *inner, *find;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OOO:Items", known,
                                     &items, &inner, &find)) {
        return NULL;
    }
    if (bound.items_type == NULL || Py_TYPE(items) != bound.items_type) {
        PyErr_SetString(PyExc_TypeError, "these are no items");
        return NULL;
    }
    Items *self = (Items *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->vectorcall = items_vectorcall;
        self->items = Py_NewRef(items);
        self->inner = Py_NewRef(inner);
        self->place.find = Py_NewRef(find);
    }
    return (PyObject *)self;
}

static PyMemberDef members[] = {
    {"sent", T_OBJECT_EX, offsetof(Items, sent), 0, "Sent into the wrapper."},
    {"thrown", T_OBJECT_EX, offsetof(Items, thrown), 0, "Thrown into the wrapper."},
    {"value", T_OBJECT_EX, offsetof(Items, value), 0, "What the generator returned."},
    {"over", T_BOOL, offsetof(Items, over), READONLY, "Whether it ended."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject ItemsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.Items",
    .tp_doc = "Items(items, inner, find): calling it makes the generator's next item "
              "and records it.",
    .tp_basicsize = sizeof(Items),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = items_new,
    .tp_dealloc = clear_and_free,
    .tp_traverse = items_traverse,
    .tp_clear = items_clear,
    .tp_members = members,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Items, vectorcall),
};
