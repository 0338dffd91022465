#pragma once
/* One execution's lifecycle events, whole and in order: history and live events woven into one stream. */

#include "cli/session.h"

typedef struct Feed Feed;

/** Begins at the first event. 0 and a feed, or a CliExit after having said why. The execution id is copied.
 */
int feed_open(Cli *cli, const char *execution_id, Feed **ret);
void feed_close(Feed *f); /* NULL-safe */
/** Wait at most @timeout_ms for the next event. 0 and an owned event; 0 and NULL: none yet; or a CliExit,
 * everything said. */
int feed_next(Feed *f, int64_t timeout_ms, json_t **ret);
/** Is there nobody to ask at the moment (NATS or engine away)? It goes on by itself when they are back. */
bool feed_is_away(const Feed *f);
/** Has everything that the history held been given out? */
bool feed_is_caught_up(const Feed *f);
