#pragma once
/* The client's inside, shared by its files. */

#include <pthread.h>
#include <runbook/client.h>
#include "base/buf.h"
#include "base/list.h"
#include "client/client_error.h"
#include "client/link.h"
#include "client/settings.h"

#define CLIENT_ATTEMPTS_MAX   10
#define CLIENT_TIMEOUT_MS_MAX (24LL * 3600 * 1000)
#define CLIENT_HEADERS_MAX    32 /* that a caller may add to one request */
#define CLIENT_BODY_BYTES_MAX (64 * 1024 * 1024)

struct RunbookClient {
        Link *link;
        ClientSettings settings;
        pthread_mutex_t lock; /* guards subscriptions */
        List subscriptions;   /* RunbookSubscription.node */
};

/** Append `<prefix>.<tenant>.<family>.<user>`, or without user for output subjects (@with_user false). */
void client_put_subject(const RunbookClient *c, const char *family, bool with_user, Buf *b);

/** watch.c: every subscription of @c may have missed something. */
void client_note_gap(RunbookClient *c);
