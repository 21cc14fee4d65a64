# cython: language_level=3
"""The prices of one side of a book in order, and what rests at each.

Prices are kept as keys of which the largest is the best: the price itself for buys, its
negative for sells. Keys lie in *runs* of at most 64, the runs in a directory by their
lowest key, the best run last: where trading happens an insertion moves a few keys, and
far from it no more than one run (and, once in dozens of times, the directory). That order
is needed only where prices appear and vanish; a price that is there is found by the last
bits of its key in ``hints``, which may be wrong and are checked.

Level number 0 is no level.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from ext.memory cimport memory_take

cdef enum:
    NO_LEVEL = 0
    RUN_KEYS = 64

cdef struct Level:
    int64_t key                # 0 while the level is free
    int64_t leaves_lots        # of all its orders, what is visible
    int64_t hidden_lots        # of its icebergs, what is not
    uint32_t first_order       # next free level in the pool
    uint32_t last_order
    uint32_t orders
    uint32_t owner             # whose prices it is among

cdef struct LevelPool:
    Level* levels
    uint32_t capacity
    uint32_t used
    uint32_t first_free
    uint32_t live

cdef struct KeyRun:
    int64_t keys[RUN_KEYS]
    uint32_t levels[RUN_KEYS]
    uint32_t count
    uint32_t next_free

cdef struct DirectoryEntry:
    int64_t lowest_key         # no key of the run is lower; the first run takes lower ones too
    uint32_t run
    uint32_t reserved

cdef struct SidePrices:
    int64_t best_key           # INT64_MIN when the side is empty
    uint32_t best_level
    uint32_t levels
    DirectoryEntry* directory
    uint32_t runs
    uint32_t directory_capacity
    KeyRun* pool
    uint32_t pool_used
    uint32_t pool_capacity
    uint32_t first_free_run    # its number + 1
    uint32_t hint_mask
    uint32_t* hints            # level numbers by the last bits of the key
    uint32_t owner             # told apart from others that share the pool of levels

cdef struct LevelCursor:
    uint32_t entry
    uint32_t at


# -- pool of levels

cdef inline int64_t level_price_ticks(const Level* level) noexcept nogil:
    return level.key if level.key > 0 else -level.key


cdef inline uint32_t level_pool_room(const LevelPool* pool) noexcept nogil:
    """Return how many levels can be taken before the pool must grow."""
    return pool.capacity - 1 - pool.live if pool.capacity else 0


cdef inline int level_pool_grow(LevelPool* pool) noexcept nogil:
    """Double the pool; -1 when there is no memory."""
    cdef uint32_t capacity = 2 * pool.capacity if pool.capacity else 32
    cdef void* grown = memory_take(capacity * sizeof(Level))
    if grown == NULL:
        return -1
    if pool.used > 0:
        memcpy(grown, pool.levels, pool.used * sizeof(Level))
    free(pool.levels)
    pool.levels = <Level*> grown
    pool.capacity = capacity
    if pool.used == 0:
        pool.used = 1
        pool.levels[NO_LEVEL] = Level(0, 0, 0, 0, 0, 0, 0)
    return 0


cdef inline uint32_t level_pool_take(LevelPool* pool, int64_t key, uint32_t owner) noexcept nogil:
    """Hand out the number of an empty level; room was reserved."""
    cdef uint32_t level = pool.first_free
    if level != NO_LEVEL:
        pool.first_free = pool.levels[level].first_order
    else:
        level = pool.used
        pool.used += 1
    pool.levels[level] = Level(key, 0, 0, 0, 0, 0, owner)
    pool.live += 1
    return level


cdef inline void level_pool_give_back(LevelPool* pool, uint32_t level) noexcept nogil:
    pool.levels[level].key = 0
    pool.levels[level].first_order = pool.first_free
    pool.first_free = level
    pool.live -= 1


# -- keys in order

cdef inline int side_prices_init(SidePrices* side, uint32_t owner) noexcept nogil:
    """Make an empty side of one that is all zero; -1 when there is no memory."""
    side.owner = owner
    side.best_key = INT64_MIN
    return side_prices_size_hints(side, 64)


cdef inline int side_prices_size_hints(SidePrices* side, uint32_t count) noexcept nogil:
    cdef uint32_t* hints = <uint32_t*> calloc(count, sizeof(uint32_t))
    if hints == NULL:
        return -1
    free(side.hints)
    side.hints = hints
    side.hint_mask = count - 1
    return 0


cdef inline int side_prices_reserve(SidePrices* side) noexcept nogil:
    """Make room for one more run, and for hints of twice as many levels; -1 when there is no memory."""
    cdef uint32_t capacity
    cdef void* grown
    if 2 * side.levels > side.hint_mask and side_prices_size_hints(side, 2 * (side.hint_mask + 1)) < 0:
        return -1
    if side.runs == side.directory_capacity:
        capacity = 2 * side.directory_capacity if side.directory_capacity else 4
        grown = realloc(side.directory, capacity * sizeof(DirectoryEntry))
        if grown == NULL:
            return -1
        side.directory = <DirectoryEntry*> grown
        side.directory_capacity = capacity
    if side.first_free_run == 0 and side.pool_used == side.pool_capacity:
        capacity = 2 * side.pool_capacity if side.pool_capacity else 1
        grown = realloc(side.pool, capacity * sizeof(KeyRun))
        if grown == NULL:
            return -1
        side.pool = <KeyRun*> grown
        side.pool_capacity = capacity
    return 0


cdef inline uint32_t side_prices_take_run(SidePrices* side) noexcept nogil:
    cdef uint32_t run = side.first_free_run
    if run != 0:
        run -= 1
        side.first_free_run = side.pool[run].next_free
    else:
        run = side.pool_used
        side.pool_used += 1
    side.pool[run].count = 0
    return run


cdef inline uint32_t side_prices_entry_of(const SidePrices* side, int64_t key) noexcept nogil:
    """Return the directory entry in which the key is or belongs; the side has runs."""
    cdef uint32_t low = 0
    cdef uint32_t high = side.runs - 1
    cdef uint32_t middle
    if side.directory[high].lowest_key <= key:
        return high
    while low < high:
        middle = (low + high + 1) >> 1
        if side.directory[middle].lowest_key <= key:
            low = middle
        else:
            high = middle - 1
    return low


cdef inline uint32_t key_run_position(const KeyRun* run, int64_t key) noexcept nogil:
    """Return how many keys of the run are lower; searched from the best, where most orders come."""
    cdef uint32_t at = run.count
    cdef uint32_t low = 0
    cdef uint32_t middle
    cdef uint32_t near = at - 8 if at > 8 else 0
    while at > near:
        if run.keys[at - 1] < key:
            return at
        at -= 1
    while low < at:
        middle = (low + at) >> 1
        if run.keys[middle] < key:
            low = middle + 1
        else:
            at = middle
    return low


cdef inline void side_prices_insert_run(
    SidePrices* side, uint32_t entry, uint32_t run, int64_t lowest_key
) noexcept nogil:
    memmove(
        &side.directory[entry + 1], &side.directory[entry], (side.runs - entry) * sizeof(DirectoryEntry)
    )
    side.directory[entry] = DirectoryEntry(lowest_key, run, 0)
    side.runs += 1


cdef inline void side_prices_split(SidePrices* side, uint32_t entry) noexcept nogil:
    """Move the better half of a full run to a new one after it."""
    cdef uint32_t added = side_prices_take_run(side)
    cdef KeyRun* full = &side.pool[side.directory[entry].run]
    cdef KeyRun* better = &side.pool[added]
    cdef uint32_t kept = RUN_KEYS // 2
    better.count = full.count - kept
    memcpy(better.keys, &full.keys[kept], better.count * sizeof(int64_t))
    memcpy(better.levels, &full.levels[kept], better.count * sizeof(uint32_t))
    full.count = kept
    side_prices_insert_run(side, entry + 1, added, better.keys[0])


cdef inline void side_prices_update_best(SidePrices* side) noexcept nogil:
    cdef KeyRun* run
    if side.runs == 0:
        side.best_key = INT64_MIN
        side.best_level = NO_LEVEL
        return
    run = &side.pool[side.directory[side.runs - 1].run]
    side.best_key = run.keys[run.count - 1]
    side.best_level = run.levels[run.count - 1]


cdef inline uint32_t side_prices_find(SidePrices* side, const Level* levels, int64_t key) noexcept nogil:
    """Return the level at ``key`` or NO_LEVEL. O(1) where the hint is right, else O(log levels)."""
    cdef uint32_t* hint = &side.hints[<uint32_t> key & side.hint_mask]
    cdef const KeyRun* run
    cdef uint32_t at
    if levels[hint[0]].key == key and levels[hint[0]].owner == side.owner:
        return hint[0]
    if key > side.best_key:
        return NO_LEVEL
    run = &side.pool[side.directory[side_prices_entry_of(side, key)].run]
    at = key_run_position(run, key)
    if at == run.count or run.keys[at] != key:
        return NO_LEVEL
    hint[0] = run.levels[at]
    return hint[0]


cdef inline int side_prices_insert(SidePrices* side, int64_t key, uint32_t level) noexcept nogil:
    """Add a key that is not there; -1 when there is no memory."""
    cdef uint32_t entry, at
    cdef KeyRun* run
    if side_prices_reserve(side) < 0:
        return -1
    side.hints[<uint32_t> key & side.hint_mask] = level
    if side.runs == 0:
        side_prices_insert_run(side, 0, side_prices_take_run(side), key)
    entry = side_prices_entry_of(side, key)
    if side.pool[side.directory[entry].run].count == RUN_KEYS:
        side_prices_split(side, entry)
        entry = side_prices_entry_of(side, key)
    run = &side.pool[side.directory[entry].run]
    at = key_run_position(run, key)
    memmove(&run.keys[at + 1], &run.keys[at], (run.count - at) * sizeof(int64_t))
    memmove(&run.levels[at + 1], &run.levels[at], (run.count - at) * sizeof(uint32_t))
    run.keys[at] = key
    run.levels[at] = level
    run.count += 1
    side.levels += 1
    if key > side.best_key:
        side.best_key = key
        side.best_level = level
    return 0


cdef inline void side_prices_drop_run(SidePrices* side, uint32_t entry) noexcept nogil:
    cdef uint32_t run = side.directory[entry].run
    side.pool[run].next_free = side.first_free_run
    side.first_free_run = run + 1
    side.runs -= 1
    memmove(
        &side.directory[entry], &side.directory[entry + 1], (side.runs - entry) * sizeof(DirectoryEntry)
    )


cdef inline void side_prices_remove(SidePrices* side, int64_t key) noexcept nogil:
    """Remove a key that is there."""
    cdef uint32_t entry = side_prices_entry_of(side, key)
    cdef KeyRun* run = &side.pool[side.directory[entry].run]
    cdef uint32_t at = key_run_position(run, key)
    run.count -= 1
    memmove(&run.keys[at], &run.keys[at + 1], (run.count - at) * sizeof(int64_t))
    memmove(&run.levels[at], &run.levels[at + 1], (run.count - at) * sizeof(uint32_t))
    side.levels -= 1
    if run.count == 0:
        side_prices_drop_run(side, entry)
    if key == side.best_key:
        side_prices_update_best(side)


# -- walking

cdef inline LevelCursor side_prices_best(const SidePrices* side) noexcept nogil:
    """Return a cursor at the best price; the side is not empty."""
    cdef uint32_t entry = side.runs - 1
    return LevelCursor(entry, side.pool[side.directory[entry].run].count - 1)


cdef inline uint32_t side_prices_level(const SidePrices* side, LevelCursor cursor) noexcept nogil:
    return side.pool[side.directory[cursor.entry].run].levels[cursor.at]


cdef inline bint side_prices_to_worse(const SidePrices* side, LevelCursor* cursor) noexcept nogil:
    """Move to the next worse price; false, and not moved, when there is none."""
    if cursor.at > 0:
        cursor.at -= 1
    elif cursor.entry > 0:
        cursor.entry -= 1
        cursor.at = side.pool[side.directory[cursor.entry].run].count - 1
    else:
        return False
    return True


cdef inline bint side_prices_to_better(const SidePrices* side, LevelCursor* cursor) noexcept nogil:
    """Move to the next better price; false, and not moved, when there is none."""
    if cursor.at + 1 < side.pool[side.directory[cursor.entry].run].count:
        cursor.at += 1
    elif cursor.entry + 1 < side.runs:
        cursor.entry += 1
        cursor.at = 0
    else:
        return False
    return True


cdef inline bint side_prices_below(const SidePrices* side, int64_t key, LevelCursor* cursor) noexcept nogil:
    """Move to the best price worse than ``key``; false when there is none. O(log prices)."""
    cdef uint32_t entry
    if side.levels == 0:
        return False
    entry = side_prices_entry_of(side, key)
    cursor[0] = LevelCursor(entry, key_run_position(&side.pool[side.directory[entry].run], key))
    return side_prices_to_worse(side, cursor)


cdef inline void side_prices_free(SidePrices* side) noexcept nogil:
    free(side.hints)
    free(side.directory)
    free(side.pool)
