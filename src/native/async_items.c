/* Asynchronous generators: items that need no waiting in C, all else by Python. */

#include "step.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *items;  /* the Python object */
    PyObject *inner;  /* the user's asynchronous generator */
    PyObject *next;   /* what its first step is, until that is taken */
    PyObject *sent;   /* what the wrapper was sent, for the next step */
    PyObject *thrown; /* or what was thrown into it */
    PyObject *rest;   /* what the wrapper has to await */
    PyObject *made;   /* the item that this came to */
    Place place;
    bool over;
} AsyncItems;

static int
async_traverse(PyObject *op, visitproc visit, void *arg)
{
    AsyncItems *self = (AsyncItems *)op;
    Py_VISIT(self->items);
    Py_VISIT(self->inner);
    Py_VISIT(self->next);
    Py_VISIT(self->sent);
    Py_VISIT(self->thrown);
    Py_VISIT(self->rest);
    Py_VISIT(self->made);
    Py_VISIT(self->place.find);
    Py_VISIT(self->place.slot);
    return 0;
}

static int
async_clear(PyObject *op)
{
    AsyncItems *self = (AsyncItems *)op;
    Py_CLEAR(self->items);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->next);
    Py_CLEAR(self->sent);
    Py_CLEAR(self->thrown);
    Py_CLEAR(self->rest);
    Py_CLEAR(self->made);
    Py_CLEAR(self->place.find);
    Py_CLEAR(self->place.slot);
    return 0;
}

/* What the next step of the user's generator is: ``asend`` or ``athrow`` of what came
   in. */
static PyObject *
next_step(AsyncItems *self)
{
    PyObject *given = self->next, *sent = self->sent, *thrown = self->thrown;
    self->next = self->sent = self->thrown = NULL;
    if (given != NULL) {
        return given;
    }
    if (thrown != NULL) {
        given = PyObject_CallMethodOneArg(self->inner, bound.athrow, thrown);
    } else if ((sent == NULL || sent == Py_None) && PyAsyncGen_CheckExact(self->inner)) {
        given = Py_TYPE(self->inner)->tp_as_async->am_anext(self->inner);
    } else {
        given = PyObject_CallMethodOneArg(self->inner, bound.asend, OR_NONE(sent));
    }
    Py_XDECREF(sent);
    Py_XDECREF(thrown);
    return given;
}

/* Leave a step to Python: the wrapper awaits it. ``waited`` is what it waits for, if it
   began here. */
static PyObject *
wait_for(AsyncItems *self, PyObject *step, PyObject *waited)
{
    PyObject *first = PyList_New(0);
    if (first == NULL || (waited != NULL && PyList_Append(first, waited) < 0)) {
        Py_XDECREF(first);
        return NULL;
    }
    PyObject *told[] = {(PyObject *)self, self->items, step, first};
    put(&self->rest, PyObject_Vectorcall(bound.helper.rest, told, 4, NULL));
    Py_DECREF(first);
    if (self->rest != NULL) {
        PyErr_SetNone(waits);
    }
    return NULL;
}

/* What was awaited came to an item, or to the end. */
static PyObject *
taken(AsyncItems *self)
{
    PyObject *item = self->made;
    self->made = NULL;
    Py_CLEAR(self->rest);
    if (item == NULL) {
        self->over = true;
        PyErr_SetNone(ended);
        return NULL;
    }
    PyObject *told[] = {self->items, item};
    if (tell(bound.helper.items_item, told, 2) < 0) {
        self->over = true;
        Py_CLEAR(item);
    }
    return item;
}

/* The step came to an item; gives it. */
static PyObject *
made(AsyncItems *self, Step *step, PyObject *item)
{
    int state = step_end(step, self->items, item);
    PyObject *told[] = {self->items, item};
    if (state == 1 && (hand_over(step, self->items) < 0
                       || tell(bound.helper.items_item, told, 2) < 0)) {
        state = -1;
    }
    if (state < 0) {
        self->over = true;
        Py_CLEAR(item);
    }
    return item;
}

/* The step raised: so it ended, or failed. */
static PyObject *
raised(AsyncItems *self, Step *step)
{
    PyObject *told[] = {self->items, Py_None};
    self->over = true;
    if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        PyErr_Clear();
        if (hand_over(step, self->items) == 0
            && tell(bound.helper.items_end, told, 2) == 0) {
            PyErr_SetNone(ended);
        }
        return NULL;
    }
    hand_over_raised(step, self->items);
    (void)tell_error(bound.helper.items_end, told, 2, 1);
    return NULL;
}

/* One step: gives the item, else raises; ``Waits`` where there is ``rest`` to await
   before the next call, ``Ended`` where the generator is over. */
static PyObject *
async_vectorcall(PyObject *op, PyObject *const *arguments, size_t flags, PyObject *names)
{
    (void)arguments;
    AsyncItems *self = (AsyncItems *)op;
    if (PyVectorcall_NARGS(flags) || names != NULL || self->inner == NULL || self->over) {
        PyErr_SetString(PyExc_TypeError, "it is over, or got arguments");
        return NULL;
    }
    if (self->rest != NULL) {
        return taken(self);
    }
    Step step = {NULL, NULL, NO_LIGHT, 0, false};
    PyObject *result = NULL, *item = NULL;
    int state = PyAsyncGen_CheckExact(self->inner)
        ? step_begin(&step, self->items, &self->place, true) : 0;
    PyObject *next = state < 0 ? NULL : next_step(self);
    if (next == NULL) {
        self->over = true;
        if (state == 1) {
            result = raised(self, &step);
        }
    } else if (state == 0) {
        result = wait_for(self, next, NULL);
    } else {
        switch (PyIter_Send(next, Py_None, &item)) {
        case PYGEN_RETURN:
            result = made(self, &step, item);
            break;
        case PYGEN_NEXT:
            result = hand_over(&step, self->items) < 0 ? NULL
                : wait_for(self, next, item);
            Py_DECREF(item);
            break;
        default:
            result = raised(self, &step);
        }
    }
    Py_XDECREF(next);
    step_clear(&step);
    return result;
}

static PyObject *
async_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"items", "inner", "find", NULL};
    PyObject *items, *inner, *find;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OOO:AsyncItems", known,
                                     &items, &inner, &find)) {
        return NULL;
    }
    if (bound.items_type == NULL || Py_TYPE(items) != bound.items_type) {
        PyErr_SetString(PyExc_TypeError, "these are no items");
        return NULL;
    }
    PyObject *next = PyObject_CallOneArg(bound.helper.first_step, inner);
    AsyncItems *self = next == NULL ? NULL : (AsyncItems *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_XDECREF(next);
        return NULL;
    }
    self->vectorcall = async_vectorcall;
    self->items = Py_NewRef(items);
    self->inner = Py_NewRef(inner);
    self->next = next;
    self->place.find = Py_NewRef(find);
    return (PyObject *)self;
}

static PyMemberDef members[] = {
    {"sent", T_OBJECT_EX, offsetof(AsyncItems, sent), 0, "Sent into the wrapper."},
    {"thrown", T_OBJECT_EX, offsetof(AsyncItems, thrown), 0, "Thrown into the wrapper."},
    {"rest", T_OBJECT_EX, offsetof(AsyncItems, rest), READONLY, "What to await."},
    {"made", T_OBJECT_EX, offsetof(AsyncItems, made), 0, "What that came to."},
    {"over", T_BOOL, offsetof(AsyncItems, over), READONLY, "Whether it ended."},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject AsyncItemsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stagelight._native.AsyncItems",
    .tp_doc = "AsyncItems(items, inner, find): calling it makes the asynchronous "
              "generator's next item and records it, or says what to await for it.",
    .tp_basicsize = sizeof(AsyncItems),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = async_new,
    .tp_dealloc = clear_and_free,
    .tp_traverse = async_traverse,
    .tp_clear = async_clear,
    .tp_members = members,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(AsyncItems, vectorcall),
};
