/* Any bytes as a checkpoint: only one that its key has signed counts, and it counts once. */

#include <runbook/client.h>
#include <string.h>
#include "fuzz.h"

static const char chain[] = "01900000-0000-7000-8000-00000000000a"; /* in the corpus's good ones */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        RunbookCheckpoints *c = runbook_checkpoints_new(RUNBOOK_CHECKPOINTS_ALL);
        RunbookClientError e = {0};
        RunbookAttested attested;
        int first, again;

        PROMISE(c != NULL, "there is memory");
        first = runbook_checkpoints_add(c, (const char *)data, size, &e);
        PROMISE(first >= 0 && first <= RUNBOOK_CHECKPOINT_HEAD, "the outcome is one of the known ones");
        PROMISE((first == RUNBOOK_CHECKPOINT_FINE) == (e.message[0] == 0), "a fault has a sentence");
        PROMISE(first != RUNBOOK_CHECKPOINT_REPEATED, "nothing was there before");
        again = runbook_checkpoints_add(c, (const char *)data, size, &e);
        if (first == RUNBOOK_CHECKPOINT_FINE || first == RUNBOOK_CHECKPOINT_LINK)
                PROMISE(again == RUNBOOK_CHECKPOINT_REPEATED, "what counted is known again");
        else
                PROMISE(again == first && !runbook_checkpoints_newest(c, chain, &attested),
                        "what does not count leaves nothing behind");
        if (runbook_checkpoints_newest(c, chain, &attested))
                PROMISE(runbook_checkpoints_check(c, chain, attested.sequence, attested.hash, NULL) ==
                                        RUNBOOK_ATTESTED,
                        "what is remembered is attested");
        runbook_checkpoints_free(c);
        return 0;
}
