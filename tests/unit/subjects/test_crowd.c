#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "subjects/crowd.h"

TestSuite(crowd, .fini = check_leaks);

static const uint64_t seed[2] = {1, 2};

static bool note(Crowd *c, const char *tenant) {
        return crowd_is_loud(c, crowd_note(c, seed, slice_from_str(tenant), 100));
}

Test(crowd, one_alone_is_loud) {
        Crowd c = {0};
        for (int i = 0; i < 50000; i++)
                cr_assert(note(&c, "acme"));
}

Test(crowd, the_quiet_ones_are_not) {
        Crowd c = {0};
        bool loud, quiet = false;
        for (int i = 0; i < 100000; i++) {
                loud = note(&c, "noisy");
                if (i % 10 == 0)
                        quiet = note(&c, i % 20 ? "quiet" : "still") && i > 100; /* few say little */
                cr_assert(loud, "at %d", i);
                cr_assert_not(quiet, "at %d", i);
        }
}

Test(crowd, large_messages_are_many) {
        Crowd c = {0};
        for (int i = 0; i < 20000; i++)
                note(&c, "busy");
        size_t cell = 0;
        for (int i = 0; i < 20; i++)
                cell = crowd_note(&c, seed, SLICE("large"), 1 << 20);
        cr_assert(crowd_is_loud(&c, cell));
        cr_assert_not(note(&c, "busy"));
}

Test(crowd, it_forgets) {
        Crowd c = {0};
        for (int i = 0; i < 20000; i++)
                note(&c, "noisy");
        cr_assert_not(note(&c, "quiet"));
        for (int i = 0; i < 60000; i++)
                note(&c, "quiet");
        cr_assert(note(&c, "quiet"));
        cr_assert_not(note(&c, "noisy"), "the one that was noisy has become quiet");
}
