/* The module stagelight._native, and what it has to know of the Python classes. */

#include "native.h"

/* The offset of a class's slot, by its descriptor. */
static int
offset_of(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (found == NULL) {
        return -1;
    }
    PyMemberDef *member = Py_TYPE(found) == &PyMemberDescr_Type
        ? ((PyMemberDescrObject *)found)->d_member : NULL;
    if (member == NULL || member->type != T_OBJECT_EX) {
        PyErr_Format(PyExc_TypeError, "%s.%s is no slot", type->tp_name, name);
        Py_DECREF(found);
        return -1;
    }
    *offset = member->offset;
    Py_DECREF(found);
    return 0;
}

static int
take(PyObject *names, const char *name, PyObject **place)
{
    PyObject *found = PyDict_GetItemString(names, name);
    if (found == NULL) {
        PyErr_Format(PyExc_TypeError, "bind() needs %s", name);
        return -1;
    }
    put(place, Py_NewRef(found));
    return 0;
}

static int
take_type(PyObject *names, const char *name, PyTypeObject **place)
{
    PyObject *found = NULL;
    if (take(names, name, &found) < 0) {
        return -1;
    }
    if (!PyType_Check(found)) {
        PyErr_Format(PyExc_TypeError, "%s is no class", name);
        Py_DECREF(found);
        return -1;
    }
    Py_XDECREF(*place);
    *place = (PyTypeObject *)found;
    return 0;
}

static PyObject *
bind(PyObject *module, PyObject *arguments, PyObject *names)
{
    (void)module;
    if (PyTuple_GET_SIZE(arguments) || names == NULL) {
        PyErr_SetString(PyExc_TypeError, "bind() takes names only");
        return NULL;
    }
#define FIELD(group, name)                                                        \
    if (offset_of(bound.group##_type, #name, &bound.group.name) < 0) return NULL;
#define SLOT_FIELD(name) FIELD(slot, name)
#define WORKER_FIELD(name) FIELD(worker, name)
#define QUIET_FIELD(name) FIELD(quiet, name)
#define RESTED_FIELD(name) FIELD(rested, name)
#define TRACER_FIELD(name) FIELD(tracer, name)
#define ITEMS_FIELD(name) FIELD(items, name)
#define RUN_FIELD(name) FIELD(run, name)
#define HELPER(name)                                                              \
    if (take(names, #name, &bound.helper.name) < 0) return NULL;
    if (take_type(names, "Worker", &bound.worker_type) < 0
        || take_type(names, "Quiet", &bound.quiet_type) < 0
        || take_type(names, "Context", &bound.context_type) < 0
        || take_type(names, "Items", &bound.items_type) < 0
        || take_type(names, "Rested", &bound.rested_type) < 0
        || take_type(names, "Run", &bound.run_type) < 0
        || take_type(names, "Tracer", &bound.tracer_type) < 0
        || take_type(names, "Buffer", &bound.buffer_type) < 0
        || take(names, "tracer", &bound.tracer_object) < 0
        || take(names, "current", &bound.current) < 0
        || take(names, "task_turn", &bound.task_turn) < 0
        || take(names, "success", &bound.success) < 0
        || take_type(names, "Slot", &bound.slot_type) < 0) {
        return NULL;
    }
    SLOT_FIELDS(SLOT_FIELD)
    WORKER_FIELDS(WORKER_FIELD)
    QUIET_FIELDS(QUIET_FIELD)
    RESTED_FIELDS(RESTED_FIELD)
    TRACER_FIELDS(TRACER_FIELD)
    ITEMS_FIELDS(ITEMS_FIELD)
    RUN_FIELDS(RUN_FIELD)
    HELPERS(HELPER)
    PyObject *fan_out = PyDict_GetItemString(names, "fan_out");
    PyObject *batch = PyDict_GetItemString(names, "batch");
    PyObject *detailed = PyDict_GetItemString(names, "detailed");
    if (Py_TYPE(bound.tracer_object) != bound.tracer_type
        || !PyContextVar_CheckExact(bound.current)
        || !PyContextVar_CheckExact(bound.task_turn)
        || !PyType_IsSubtype(bound.context_type, &PyDict_Type)
        || fan_out == NULL || batch == NULL || detailed == NULL) {
        PyErr_SetString(PyExc_TypeError, "bind() got something of another kind");
        return NULL;
    }
    bound.fan_out = PyLong_AsLong(fan_out);
    bound.batch = PyLong_AsLong(batch);
    bound.detailed = PyLong_AsLong(detailed);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
native_clock(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyLong_FromLongLong(now_ns());
}

static PyObject *
use_clock(PyObject *module, PyObject *clock)
{
    (void)module;
    put(&bound.clock, clock == Py_None ? NULL : Py_NewRef(clock));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_VARARGS | METH_KEYWORDS,
     "Take the classes and functions that the record consists of."},
    {"count_in", (PyCFunction)(void (*)(void))count_in, METH_FASTCALL,
     "count_in(samples, bounds, width): count samples, an array of \"Q\", into cells, "
     "between bounds, one of \"q\"; gives the first cell, the numbers of samples from "
     "there on in so many bytes each, their sum, maximum and minimum."},
    {"clock", native_clock, METH_NOARGS, "The clock, in nanoseconds."},
    {"use_clock", use_clock, METH_O,
     "Read another clock, which a test moves; with None, the usual one."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "stagelight._native",
    .m_doc = "The plain part of the record path in C.",
    .m_size = -1,
    .m_methods = methods,
};

static int
prepare(void)
{
    bound.zero = PyLong_FromLong(0);
    bound.turn_over = PyUnicode_InternFromString("turn_over");
    bound.slot_name = PyUnicode_InternFromString("slot");
    bound.ended = PyUnicode_InternFromString("ended");
    bound.outcome = PyUnicode_InternFromString("outcome");
    bound.key = PyUnicode_InternFromString("key");
    bound.one = PyLong_FromLong(1);
    bound.throw_name = PyUnicode_InternFromString("throw");
    bound.process = PyUnicode_InternFromString("process");
    bound.asend = PyUnicode_InternFromString("asend");
    bound.athrow = PyUnicode_InternFromString("athrow");
    bound.queue = PyUnicode_InternFromString("queue");
    bound.within = PyUnicode_InternFromString("within");
    bound.pipeline = PyUnicode_InternFromString("pipeline");
    bound.journey = PyUnicode_InternFromString("journey");
    if (PyErr_Occurred()) {
        return -1;
    }
    return 0;
}

PyMODINIT_FUNC
PyInit__native(void)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "only for the main interpreter");
        return NULL;
    }
    PyTypeObject *types[] = {
        &AsyncItemsType, &CallType, &CoroutineType, &ItemsType, &LightTurnType,
        &PausesType, &RestType, &StepsType,
    };
    if (prepare() < 0) {
        return NULL;
    }
    for (size_t place = 0; place < sizeof(types) / sizeof(*types); place++) {
        if (PyType_Ready(types[place]) < 0) {
            return NULL;
        }
    }
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) {
        return NULL;
    }
    if (PyModule_AddObject(module, "Pauses", Py_NewRef((PyObject *)&PausesType)) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    decline = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    ended = PyErr_NewException("stagelight._native.Ended", PyExc_BaseException, NULL);
    waits = PyErr_NewException("stagelight._native.Waits", PyExc_BaseException, NULL);
    if (decline == NULL || ended == NULL || waits == NULL
        || PyModule_AddObject(module, "Waits", Py_NewRef(waits)) < 0
        || PyModule_AddObject(module, "AsyncItems",
                              Py_NewRef((PyObject *)&AsyncItemsType)) < 0
        || PyModule_AddObject(module, "Ended", Py_NewRef(ended)) < 0
        || PyModule_AddObject(module, "LightTurn",
                              Py_NewRef((PyObject *)&LightTurnType)) < 0
        || PyModule_AddObject(module, "Coroutine",
                              Py_NewRef((PyObject *)&CoroutineType)) < 0
        || PyModule_AddObject(module, "Rest", Py_NewRef((PyObject *)&RestType)) < 0
        || PyModule_AddObject(module, "Items", Py_NewRef((PyObject *)&ItemsType)) < 0
        || PyModule_AddObject(module, "Steps", Py_NewRef((PyObject *)&StepsType)) < 0
        || PyModule_AddObject(module, "DECLINE", Py_NewRef(decline)) < 0
        || PyModule_AddObject(module, "Call", Py_NewRef((PyObject *)&CallType)) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
