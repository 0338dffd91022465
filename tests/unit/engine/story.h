#pragma once
/* What stories about the core are written with. */

#include <criterion/criterion.h>

#include "base/cleanup.h"
#include "driver.h"
#include "../leaks.h"

#define STEP(id, rest) "{\"id\":\"" id "\"," rest "}"
#define CALL(id, deps)                                                                                       \
        STEP(id, "\"type\":\"call-service\",\"dependsOn\":[" deps                                            \
                 "],\"config\":{\"url\":\"https://x.example/" id "\",\"method\":\"POST\"}")
#define RUNBOOK(steps) "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"steps\":[" steps "]}"
#define RUNBOOK_WITH(members, steps)                                                                         \
        "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\"," members ",\"steps\":[" steps "]}"
#define NO_RETRY ",\"retryPolicy\":{\"maxAttempts\":1}"

#define cr_step(d, path, status)                                                                             \
        cr_assert_str_eq(driver_step(d, path), status, "%s is %s", path, driver_step(d, path))
#define cr_status(d, status) cr_assert_str_eq(driver_status(d), status, "execution is %s", driver_status(d))

/** A story's end: what is in the journal gives the same again. */
static inline void finish(Driver *d) {
        driver_replay(d);
        driver_free(d);
}
