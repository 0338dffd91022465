/*
 * Streams and the durable queue's consumer: made where they are missing, looked at where they are there
 *
 * Looked at on every connect, because a nats-server that lost power may have lost what it had acknowledged.
 * A stream is the operator's: where it differs from what the guarantees need we say so and leave it. The
 * consumer is ours: it is changed, and made anew when it stands beyond the stream's end, for then it would
 * skip every new message in silence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "subjects/bus_nats.h"
#include "subjects/fence.h"

#define NS_PER_MS           1000000LL
#define STREAM_SUBJECTS_MAX 4
#define SUBJECT_TEXT_MAX    256

/** A JetStream call failed: a sentence for the log, and an errno. */
static int api_error(natsStatus s, jsErrCode code, const char *what, char *fault, size_t n_fault) {
        if (s == NATS_NO_MEMORY)
                return -ENOMEM;
        if (s == NATS_NO_RESPONDERS || code == JSNotEnabledErr || code == JSNotEnabledForAccountErr)
                snprintf(fault, n_fault,
                         "the NATS server has no JetStream for us: commands are carried out, but lifecycle "
                         "events wait in "
                         "the outbox and the durable queue is not served (start nats-server with -js)");
        else
                snprintf(fault, n_fault, "%s: %s", what, nats_error_text(s));
        return -EAGAIN;
}

static void api_options(jsOptions *o) {
        jsOptions_Init(o);
        o->Wait = BUS_API_TIMEOUT_MS;
}

/* ---- streams ----------------------------------------------------------------------- */

typedef struct StreamSubjects {
        char text[STREAM_SUBJECTS_MAX][SUBJECT_TEXT_MAX];
        const char *list[STREAM_SUBJECTS_MAX];
        int n;
} StreamSubjects;

static void list_subjects(const Bus *b, const StreamSpec *spec, StreamSubjects *ret) {
        for (ret->n = 0; ret->n < STREAM_SUBJECTS_MAX && spec->subjects[ret->n]; ret->n++) {
                snprintf(ret->text[ret->n], SUBJECT_TEXT_MAX, "%s.%s", b->settings->prefix,
                         spec->subjects[ret->n]);
                ret->list[ret->n] = ret->text[ret->n];
        }
}

/** Does wildcard subject @wide take everything that @narrow takes? */
static bool covers(const char *wide, const char *narrow) {
        while (*wide && *narrow) {
                size_t n_wide = strcspn(wide, "."), n_narrow = strcspn(narrow, ".");
                if (*wide == '>')
                        return true;
                if (*wide != '*' && (n_wide != n_narrow || strncmp(wide, narrow, n_wide) != 0))
                        return false;
                if (*narrow == '>')
                        return false;
                wide += n_wide + (wide[n_wide] == '.');
                narrow += n_narrow + (narrow[n_narrow] == '.');
        }
        return !*wide && !*narrow;
}

static bool has_subject(const jsStreamConfig *c, const char *subject) {
        for (int i = 0; i < c->SubjectsLen; i++)
                if (covers(c->Subjects[i], subject))
                        return true;
        return false;
}

static void warn(const StreamSpec *spec, const char *setting, const char *is, const char *needed) {
        log_event(LOG_WARN, "a stream is not set up as the engine needs it; it is left as it is", "stream",
                  spec->name, "setting", setting, "is", is, "needed", needed, NULL);
}

static void check_stream(const Bus *b, const StreamSpec *spec, const jsStreamConfig *c) {
        jsRetentionPolicy retention =
                        spec->retention == STREAM_WORK_QUEUE ? js_WorkQueuePolicy : js_LimitsPolicy;
        static const char *const retentions[] = {"limits", "interest", "workqueue"};
        StreamSubjects subjects;
        char is[32], needed[32];
        list_subjects(b, spec, &subjects);
        for (int i = 0; i < subjects.n; i++)
                if (!has_subject(c, subjects.list[i]))
                        warn(spec, "subjects", "without it", subjects.list[i]);
        if (c->Retention != retention)
                warn(spec, "retention", retentions[c->Retention], retentions[retention]);
        if (c->Storage != js_FileStorage)
                warn(spec, "storage", "memory", "file");
        if (c->Discard != js_DiscardNew)
                warn(spec, "discard", "old", "new");
        if (c->NoAck)
                warn(spec, "no_ack", "true", "false");
        if (c->Duplicates < spec->duplicates_ms * NS_PER_MS) {
                snprintf(is, sizeof(is), "%lld ms", (long long)(c->Duplicates / NS_PER_MS));
                snprintf(needed, sizeof(needed), "%lld ms", (long long)spec->duplicates_ms);
                warn(spec, "duplicate_window", is, needed);
        }
        if (spec->deny_delete && !c->DenyDelete)
                warn(spec, "deny_delete", "false", "true");
        if (spec->deny_purge && !c->DenyPurge)
                warn(spec, "deny_purge", "false", "true");
}

static natsStatus add_stream(const Bus *b, jsCtx *js, const StreamSpec *spec, jsErrCode *ret_code) {
        StreamSubjects subjects;
        jsStreamConfig c;
        jsOptions o;
        list_subjects(b, spec, &subjects);
        jsStreamConfig_Init(&c);
        c.Name = spec->name;
        c.Description = spec->description;
        c.Subjects = subjects.list;
        c.SubjectsLen = subjects.n;
        c.Retention = spec->retention == STREAM_WORK_QUEUE ? js_WorkQueuePolicy : js_LimitsPolicy;
        c.Storage = js_FileStorage;
        c.Discard = js_DiscardNew;
        c.Duplicates = spec->duplicates_ms * NS_PER_MS;
        c.DenyDelete = spec->deny_delete;
        c.DenyPurge = spec->deny_purge;
        api_options(&o);
        natsStatus s = js_AddStream(NULL, js, &c, &o, ret_code);
        if (s == NATS_OK)
                log_event(LOG_INFO, "a stream was made", "stream", spec->name, NULL);
        return s;
}

static int ensure_stream(Bus *b, jsCtx *js, const StreamSpec *spec, char *fault, size_t n_fault) {
        jsStreamInfo *info = NULL;
        jsErrCode code = 0;
        jsOptions o;
        char what[80];
        api_options(&o);
        natsStatus s = js_GetStreamInfo(&info, js, spec->name, &o, &code);
        if (s == NATS_OK) {
                if (!b->streams_told)
                        check_stream(b, spec, info->Config);
                jsStreamInfo_Destroy(info);
                return 0;
        }
        if (s == NATS_NOT_FOUND || code == JSStreamNotFoundErr) {
                code = 0;
                s = add_stream(b, js, spec, &code);
        }
        snprintf(what, sizeof(what), "the stream %s can't be made or looked at", spec->name);
        return s == NATS_OK ? 0 : api_error(s, code, what, fault, n_fault);
}

int streams_ensure(Bus *b, jsCtx *js, const char *name, char *fault, size_t n_fault) {
        for (int i = 0; i < N_STREAMS; i++)
                if (!strcmp(stream_specs[i].name, name))
                        return ensure_stream(b, js, &stream_specs[i], fault, n_fault);
        return -ENOENT;
}

/* ---- the durable queue's consumer -------------------------------------------------- */

static void consumer_config(const Bus *b, jsConsumerConfig *c) {
        jsConsumerConfig_Init(c);
        c->Durable = QUEUE_CONSUMER;
        c->Description = "runbookd takes queued commands";
        c->DeliverPolicy = js_DeliverAll; /* of a work queue: all that nobody has acknowledged */
        c->DeliverSubject = QUEUE_DELIVER;
        c->DeliverGroup = QUEUE_CONSUMER;
        c->AckPolicy = js_AckExplicit;
        c->AckWait = QUEUE_ACK_WAIT_MS * NS_PER_MS;
        c->MaxDeliver = -1;
        c->MaxAckPending = b->window.size;
}

/** Is it one that we can go on with as it is, or after an update? */
static bool consumer_is_ours(const jsConsumerConfig *is, const jsConsumerConfig *c) {
        return is->DeliverSubject && !strcmp(is->DeliverSubject, c->DeliverSubject) && is->DeliverGroup &&
               !strcmp(is->DeliverGroup, c->DeliverGroup) && is->AckPolicy == c->AckPolicy &&
               !is->FilterSubject;
}

static natsStatus add_consumer(jsCtx *js, jsConsumerConfig *c, jsErrCode *ret_code) {
        jsConsumerInfo *info = NULL;
        jsOptions o;
        api_options(&o);
        natsStatus s = js_AddConsumer(&info, js, STREAM_QUEUE, c, &o, ret_code);
        jsConsumerInfo_Destroy(info);
        return s;
}

static natsStatus remake_consumer(jsCtx *js, jsConsumerConfig *c, const char *why, jsErrCode *ret_code) {
        jsOptions o;
        api_options(&o);
        log_event(LOG_WARN, "the durable queue's consumer is made anew", "reason", why, NULL);
        natsStatus s = js_DeleteConsumer(js, STREAM_QUEUE, QUEUE_CONSUMER, &o, ret_code);
        return s == NATS_OK || s == NATS_NOT_FOUND ? add_consumer(js, c, ret_code) : s;
}

/** The stream is asked after the consumer was: what was delivered in between must not look like lost. */
static natsStatus check_consumer(jsCtx *js, jsConsumerConfig *c, const jsConsumerInfo *info,
                                 jsErrCode *ret_code) {
        jsStreamInfo *stream = NULL;
        jsOptions o;
        api_options(&o);
        natsStatus s = js_GetStreamInfo(&stream, js, STREAM_QUEUE, &o, ret_code);
        if (s != NATS_OK)
                return s;
        uint64_t stream_last = stream->State.LastSeq;
        jsStreamInfo_Destroy(stream);
        if (info->AckFloor.Stream > stream_last || info->Delivered.Stream > stream_last)
                return remake_consumer(js, c,
                                       "it stands beyond the end of its stream: the server has lost messages",
                                       ret_code);
        if (!consumer_is_ours(info->Config, c))
                return remake_consumer(js, c, "it has other settings", ret_code);
        if (info->Config->AckWait == c->AckWait && info->Config->MaxAckPending == c->MaxAckPending)
                return NATS_OK;
        s = js_UpdateConsumer(NULL, js, STREAM_QUEUE, c, &o, ret_code);
        return s == NATS_OK ? s : remake_consumer(js, c, "it has settings that can't be changed", ret_code);
}

int streams_resize(Bus *b, jsCtx *js) {
        jsConsumerConfig c;
        jsErrCode code;
        jsOptions o;
        api_options(&o);
        consumer_config(b, &c);
        return js_UpdateConsumer(NULL, js, STREAM_QUEUE, &c, &o, &code) == NATS_OK ? 0 : -EAGAIN;
}

static int ensure_consumer(Bus *b, jsCtx *js, char *fault, size_t n_fault) {
        jsConsumerInfo *info = NULL;
        jsConsumerConfig c;
        jsErrCode code = 0;
        jsOptions o;
        api_options(&o);
        natsStatus s = js_GetConsumerInfo(&info, js, STREAM_QUEUE, QUEUE_CONSUMER, &o, &code);
        if (s == NATS_OK || s == NATS_NOT_FOUND || code == JSConsumerNotFoundErr)
                queue_window_init(b, info ? (uint32_t)info->NumAckPending : 0);
        consumer_config(b, &c);
        if (s == NATS_OK)
                s = check_consumer(js, &c, info, &code);
        else if (s == NATS_NOT_FOUND || code == JSConsumerNotFoundErr)
                s = add_consumer(js, &c, &code);
        jsConsumerInfo_Destroy(info);
        return s == NATS_OK ? 0
                            : api_error(s, code, "the durable queue's consumer can't be made or looked at",
                                        fault, n_fault);
}

int streams_setup(Bus *b, natsConnection *nc, jsCtx *js, char *fault, size_t n_fault) {
        int r = 0;
        for (int i = 0; i < N_STREAMS && !r; i++)
                r = ensure_stream(b, js, &stream_specs[i], fault, n_fault);
        b->streams_told |= r == 0; /* what differs is said once, not at every connect */
        if (!r)
                r = fence_claim(b, js, false);
        if (r == -EKEYREJECTED)
                b->options.on_fenced(b->options.userdata, fence_sentence);
        if (!r)
                r = ensure_consumer(b, js, fault, n_fault);
        if (r < 0)
                return r;
        /*
         * A plain subscription to where the consumer pushes: nats.c gets it back after a reconnect like any
         * other.
         */
        Delivery *d = &b->deliveries[BUS_SUBSCRIPTIONS_MAX];
        if (d->sub)
                return 0;
        r = delivery_start(b, d, nc, QUEUE_DELIVER, QUEUE_CONSUMER);
        if (r < 0)
                snprintf(fault, n_fault, "the durable queue can't be subscribed to: %s",
                         nats_error_text(NATS_ERR));
        return r;
}
