/*
 * The crowd before the door
 *
 * When more comes than can be read, something must be refused unread. If it were whatever comes, one tenant that
 * floods the engine would take all others with it. So messages are counted by tenant, large ones as several, and those
 * are refused who send more than the average. Alone, one tenant is the average, and is refused.
 *
 * Tenants share cells by their hash; two in one cell share its luck, which is rare enough for a moment of
 * overload. Counts are halved now and then, so what counts is the recent past.
 */
#include "base/map.h"
#include "subjects/crowd.h"

#define CROWD_HALVE_AT 16384 /* messages and KiB */
#define KIB 1024

static void halve(Crowd *c) {
        uint32_t total = 0;
        for (size_t i = 0; i < CROWD_CELLS; i++) {
                uint32_t n = __atomic_load_n(&c->counts[i], __ATOMIC_RELAXED) / 2;
                __atomic_store_n(&c->counts[i], n, __ATOMIC_RELAXED);
                total += n;
        }
        __atomic_store_n(&c->total, total, __ATOMIC_RELAXED);
}

size_t crowd_note(Crowd *c, const uint64_t seed[2], Slice tenant, size_t n_bytes) {
        size_t cell = map_hash(seed, tenant) % CROWD_CELLS;
        uint32_t weight = 1 + (uint32_t)(n_bytes / KIB < CROWD_HALVE_AT ? n_bytes / KIB : CROWD_HALVE_AT);
        __atomic_add_fetch(&c->counts[cell], weight, __ATOMIC_RELAXED);
        if (__atomic_add_fetch(&c->total, weight, __ATOMIC_RELAXED) >= CROWD_HALVE_AT)
                halve(c);
        return cell;
}

bool crowd_is_loud(const Crowd *c, size_t cell) {
        uint64_t n_senders = 0;
        for (size_t i = 0; i < CROWD_CELLS; i++)
                n_senders += __atomic_load_n(&c->counts[i], __ATOMIC_RELAXED) > 0;
        return __atomic_load_n(&c->counts[cell], __ATOMIC_RELAXED) * n_senders >=
               __atomic_load_n(&c->total, __ATOMIC_RELAXED);
}
