#pragma once
/* Parts of relay.c that others use too. */

#include "gateway/routes.h"

/** @answer's body becomes the response's, with an ETag where it is a GET's. */
void relay_pass(Request *r, int status, LinkAnswer *answer);
/** What came of a call, as link_ask tells it, becomes the response. */
void relay_answer(Request *r, int status, LinkAnswer *answer, const RunbookClientError *e);
