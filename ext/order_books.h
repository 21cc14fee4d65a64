/* Order books for C and C++: the records, and the functions of the Python module ext.book_api.
 *
 * A program that has started Python (Py_Initialize, with this project on sys.path) calls abst_books_load
 * once; after that Python takes no part, and none of the functions needs its lock. One thread at a time per
 * handle. The layouts are those of ext/book_records.py, which says what every field means.
 */
#ifndef ABST_ORDER_BOOKS_H
#define ABST_ORDER_BOOKS_H

#include <Python.h>
#include <stdint.h>

typedef struct {
    uint8_t op, side, time_in_force, phase, order_type, self_trade;
    uint16_t flags;
    uint64_t order_id;
    int64_t price_ticks, quantity_lots, reference_price_ticks;
    uint32_t owner, group, book, reserved;
    int64_t time_ns;
} abst_command;

typedef struct {
    int64_t stop_price_ticks, peak_lots, minimum_lots, expiry_ns;
    uint64_t reserved[4];
} abst_order_tail;

typedef struct {
    uint8_t kind, side;
    uint16_t reason;
    uint32_t flags;
    uint64_t order_id, other_order_id;
    int64_t price_ticks, quantity_lots, leaves_lots, other_leaves_lots;
    uint32_t orders, book;
} abst_event;

typedef struct {
    int64_t price_ticks, lots;
    uint32_t orders, side;
} abst_level;

typedef struct {
    /* Closed, empty books; NULL when there is no memory. */
    void *(*open)(uint32_t books);
    void (*close)(void *books);
    /* Apply records, aligned to 8 bytes. Returns the number of events and where they are, until the next call;
     * -1 when there is no memory: the books are then lost, and only good to close. */
    int64_t (*apply)(void *books, const void *commands, uint64_t records, const void **events);
    /* What of an order still can fill; 0 when it is in none of the books. */
    int64_t (*leaves)(void *books, uint64_t order_id);
    /* Up to `most` prices of a side, best first; returns how many, -1 when there is no such side. */
    int64_t (*levels)(void *books, uint32_t book, uint8_t side, void *levels, uint64_t most);
} abst_books_api;

static inline void *abst_books_function(PyObject *functions, const char *name) {
    PyObject *capsule = PyDict_GetItemString(functions, name);
    return capsule ? PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)) : NULL;
}

/* Fill in the functions. 0, or -1 with a Python exception set. */
static inline int abst_books_load(abst_books_api *api) {
    PyObject *module = PyImport_ImportModule("ext.book_api");
    PyObject *functions = module ? PyObject_GetAttrString(module, "__pyx_capi__") : NULL;
    if (!functions) return -1;
    *(void **)&api->open = abst_books_function(functions, "abst_books_open");
    *(void **)&api->close = abst_books_function(functions, "abst_books_close");
    *(void **)&api->apply = abst_books_function(functions, "abst_books_apply");
    *(void **)&api->leaves = abst_books_function(functions, "abst_books_leaves");
    *(void **)&api->levels = abst_books_function(functions, "abst_books_levels");
    if (api->open && api->close && api->apply && api->leaves && api->levels) return 0;
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ImportError, "ext.book_api lacks a function");
    return -1;
}

#endif
