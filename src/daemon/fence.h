#pragma once
/* One store, one engine: a restored or cloned store must not do again what its original does. See fence.c. */

#include "runtime/ports.h"
#include "storage/store.h"

#define EXIT_FENCED 3 /* another engine has claimed this one's identity while it ran */

/**
 * Note this start in @store. *ret is what is claimed on the bus with. 0, -EKEYREJECTED or other negative errors with a
 * sentence in @report.
 */
int fence_note(Store *store, Ids ids, Clock clock, bool adopt, Report *report, StoreFence *ret);
/** What came of asking the bus (subjects_claim): 0 to go on, negative to end. */
int fence_judge_claim(int claimed, Report *report);
/** SubjectsHost.on_fenced: ends the process at once; whatever is under way is recovered by whoever has taken over. */
void fence_lost(void *userdata, const char *sentence);
