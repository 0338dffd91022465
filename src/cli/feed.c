/*
 * One execution's lifecycle events, whole and in order.
 *
 * Live events come by core NATS: quick, but at most once. The history query is complete, but must be asked.
 * So: subscribe first, then read the history; a live event that is the next in sequence is given out, an
 * older one is dropped, a newer one (or a gap told by the client) makes the history be read again from its
 * last page. A slow poll covers the loss of the very last event. Users who may not subscribe get the same
 * stream by polling alone.
 */

#include <stdlib.h>
#include <time.h>
#include "base/cleanup.h"
#include "cli/feed.h"
#include "json/json_read.h"

#define PAGE_EVENTS      500
#define POLL_MS          1000  /* without live events */
#define POLL_LIVE_MS     10000 /* with them */
#define RETRY_MS         1000  /* while NATS or the engine is away */
#define FETCH_TIMEOUT_MS 3000
#define EVENT_BYTES_MAX  (16 * 1024 * 1024)

struct Feed {
        Cli *cli;
        char *execution_id;
        RunbookSubscription *subscription; /* NULL: we only poll */
        int64_t last_sequence;
        json_t *page; /* the history's last answer */
        size_t next;  /* in page */
        char *cursor; /* that gave `page`; NULL: the first page */
        bool want_history, away, caught_up;
        int64_t fetch_at_ms; /* not before; monotonic enough for waiting */
};

static int64_t tick_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int feed_open(Cli *cli, const char *execution_id, Feed **ret) {
        Feed *f = calloc(1, sizeof *f);
        int r;

        if (!f || !(f->execution_id = strdup(execution_id))) {
                free(f);
                return cli_no_memory(cli);
        }
        f->cli = cli;
        f->want_history = true;
        r = runbook_client_subscribe(cli->client, RUNBOOK_EVENT_LIFECYCLE, execution_id, NULL, NULL,
                                     &f->subscription, &cli->error);
        if (r < 0 && r != RUNBOOK_CLIENT_E_PERMISSION) {
                feed_close(f);
                return cli_explain(cli, r, NULL);
        }
        *ret = f;
        return 0;
}

void feed_close(Feed *f) {
        if (!f)
                return;
        runbook_subscription_free(f->subscription);
        json_decref(f->page);
        free(f->cursor);
        free(f->execution_id);
        free(f);
}

bool feed_is_away(const Feed *f) { return f->away; }

bool feed_is_caught_up(const Feed *f) { return f->caught_up; }

/** Ask for the page at the cursor. 0, or a CliExit when there is no sense in going on. */
static int fetch(Feed *f) {
        RunbookQuery query = {.limit = PAGE_EVENTS, .cursor = f->cursor};
        RunbookCall call = {.timeout_ms = FETCH_TIMEOUT_MS, .attempts = 1};
        RunbookReply *reply = NULL;
        json_t *json;
        int r = runbook_client_history(f->cli->client, f->execution_id, &query, &call, &reply,
                                       &f->cli->error);

        f->away = r == RUNBOOK_CLIENT_E_TIMEOUT || r == RUNBOOK_CLIENT_E_NO_ENGINE ||
                  r == RUNBOOK_CLIENT_E_NO_SERVER;
        f->fetch_at_ms = tick_ms() + (f->away ? RETRY_MS : f->subscription ? POLL_LIVE_MS : POLL_MS);
        if (f->away || (r == 0 && reply->is_error && reply->code == RUNBOOK_OVERLOADED)) {
                runbook_reply_free(reply);
                return 0;
        }
        r = cli_outcome(f->cli, r, &reply);
        if (r)
                return r;
        json = cli_parse(f->cli, reply);
        runbook_reply_free(reply);
        if (!json)
                return EXIT_UNREACHABLE;
        json_decref(f->page);
        f->page = json;
        f->next = 0;
        f->want_history = false;
        return 0;
}

/** The page is used up: is there a next one? Without, its cursor stays, to be read again later. */
static bool turn_page(Feed *f) {
        const char *next = json_string_value(json_object_get(f->page, "nextCursor"));
        char *copy;

        if (!next || (f->cursor && !strcmp(next, f->cursor)))
                return false;
        copy = strdup(next);
        if (!copy)
                return false;
        free(f->cursor);
        f->cursor = copy;
        json_object_del(f->page, "nextCursor");
        return true;
}

/** The next event of the page that was not given out yet. */
static json_t *take_from_page(Feed *f) {
        json_t *events = json_object_get(f->page, "events");

        while (f->next < json_array_size(events)) {
                json_t *event = json_array_get(events, f->next++);

                if (json_number(event, "sequence") > f->last_sequence) {
                        f->last_sequence = json_number(event, "sequence");
                        return json_incref(event);
                }
        }
        return NULL;
}

/** Take one live event if it is the next one. */
static json_t *take_live(Feed *f, int64_t timeout_ms) {
        _cleanup_(report_deinit) Report report = {0};
        RunbookEvent *event = NULL;
        json_t *json = NULL;
        int64_t sequence;

        if (runbook_subscription_next(f->subscription, timeout_ms, &event) < 0)
                return NULL;
        if (event->kind == RUNBOOK_EVENT_LIFECYCLE)
                json = json_parse((Slice){event->body, event->body_size}, EVENT_BYTES_MAX, &report);
        runbook_event_free(event);
        sequence = json_number(json, "sequence");
        if (sequence == f->last_sequence + 1) {
                f->last_sequence = sequence;
                f->away = false;
                return json;
        }
        if (!json || sequence > f->last_sequence + 1) {
                f->want_history = true;
                f->fetch_at_ms = 0;
        }
        json_decref(json);
        return NULL;
}

static void wait_a_little(int64_t ms) {
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

int feed_next(Feed *f, int64_t timeout_ms, json_t **ret) {
        int64_t deadline_ms = tick_ms() + timeout_ms;

        *ret = NULL;
        for (;;) {
                int64_t now_ms = tick_ms(), wait_ms;

                *ret = take_from_page(f);
                if (*ret)
                        return 0;
                if (turn_page(f)) {
                        f->want_history = true;
                        f->fetch_at_ms = 0;
                } else if (f->page && !f->want_history) {
                        f->caught_up = true;
                }
                if (now_ms >= f->fetch_at_ms) {
                        int r = fetch(f);

                        if (r || cli_interrupted())
                                return r;
                        continue;
                }
                if (now_ms >= deadline_ms || cli_interrupted())
                        return 0;
                wait_ms = f->fetch_at_ms < deadline_ms ? f->fetch_at_ms - now_ms : deadline_ms - now_ms;
                if (f->subscription)
                        *ret = take_live(f, wait_ms);
                else
                        wait_a_little(wait_ms);
                if (*ret)
                        return 0;
        }
}
