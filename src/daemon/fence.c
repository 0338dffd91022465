/*
 * The fence
 *
 *     start ─► note in the store ──► claim on the bus ──► go on
 *                │ data file lies        │ its last claim is none that
 *                │ elsewhere             │ this store knows of
 *                └─────► refuse ◄────────┘          (--adopt-restored: go on all the same)
 *     running: somebody else claims ─► end at once
 *
 * Where NATS can't be asked at the start the place alone decides, and the bus is asked on connecting.
 */
#include "daemon/fence.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/notify.h"

int fence_note(Store *store, Ids ids, Clock clock, bool adopt, Report *report, StoreFence *ret) {
        uint64_t words[2];

        ids.random(ids.userdata, words, 2);
        int r = store_fence_note(store, uuid_v7(clock.now_ms(clock.userdata), words[0], words[1]), adopt,
                                 report, ret);
        if (r == -ENOSPC)
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "There is no room left in the data directory to note this start. Free some.");
        else if (r < 0 && !report_is_error(report))
                report_set(report, RUNBOOK_UNAVAILABLE, "This start can't be noted in the store: %s.",
                           strerror(-r));
        if (r == 0 && adopt)
                log_event(LOG_WARN,
                          "the store is taken as it is: other engines on copies of it are fenced off", NULL);
        return r;
}

int fence_judge_claim(int claimed, Report *report) {
        if (claimed == 0 || claimed == -EKEYREJECTED || claimed == -ENOMEM)
                return claimed;
        log_event(LOG_WARN,
                  "whether another engine runs on a copy of this store is not known yet: NATS can't be asked",
                  NULL);
        report_deinit(report);
        *report = (Report){0};
        return 0;
}

void fence_lost(void *userdata, const char *sentence) {
        log_event(LOG_ERROR, "fenced off: ending at once", "error", sentence, NULL);
        notify_send("STOPPING=1");
        _exit(EXIT_FENCED);
}
