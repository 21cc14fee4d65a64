/* Drives an order book through function pointers: add, trade, cancel, reject, replace, read out. */
#include "order_books.h"
#include <stdio.h>

static void play(const abst_books_api *api, void *books, abst_command command) {
    const void *raw;
    int64_t count = api->apply(books, &command, 1, &raw);
    const abst_event *events = (const abst_event *)raw;
    for (int64_t at = 0; at < count; ++at)
        printf("%d %llu %lld@%lld\n", events[at].kind, (unsigned long long)events[at].order_id,
               (long long)events[at].quantity_lots, (long long)events[at].price_ticks);
}

int main(void) {
    abst_books_api api;
    abst_level levels[4];
    Py_Initialize();
    if (abst_books_load(&api) < 0) { PyErr_Print(); return 1; }
    void *books = api.open(2);
    play(&api, books, (abst_command){.op = 4, .phase = 2, .book = 1});
    play(&api, books, (abst_command){.op = 1, .side = 2, .time_in_force = 1, .order_type = 2, .order_id = 1,
                                     .price_ticks = 100, .quantity_lots = 5, .book = 1});
    play(&api, books, (abst_command){.op = 1, .side = 1, .time_in_force = 3, .order_type = 2, .order_id = 2,
                                     .price_ticks = 100, .quantity_lots = 2, .book = 1});
    play(&api, books, (abst_command){.op = 3, .order_id = 1, .price_ticks = 101, .quantity_lots = 6, .book = 1});
    play(&api, books, (abst_command){.op = 2, .order_id = 9, .book = 1});
    int64_t count = api.levels(books, 1, 2, levels, 4);
    printf("levels %lld: %lld@%lld, leaves %lld\n", (long long)count, (long long)levels[0].lots,
           (long long)levels[0].price_ticks, (long long)api.leaves(books, 1));
    play(&api, books, (abst_command){.op = 2, .order_id = 1, .book = 1});
    api.close(books);
    return Py_FinalizeEx() ? 1 : 0;
}
