/*
 * The fence on the bus: the stream RUNBOOK_FENCE holds the last start of each engine, as the nonce that its store has
 * written down for it.
 *
 *     no claim there, or one of ours        claim, on condition that nobody was faster (expected last sequence)
 *     one that our store knows nothing of   the store is older than what its engine has done: refuse
 *
 * A stream that has lost its tail shows an older claim of ours, which the store still knows; one that was wiped shows
 * none. Claims are looked at before anything is done, on every connect, and when somebody makes one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "subjects/bus_nats.h"
#include "subjects/fence.h"

#define FENCE_TRIES 3 /* somebody else of ours may claim at the same time: a look again tells */

static int fence_subject(const Bus *b, char ret[256]) {
        int n = snprintf(ret, 256, "%s.fence.%s", b->settings->prefix, b->settings->engine_id);
        return n < 256 ? 0 : -ENAMETOOLONG;
}

static int render(const Bus *b, Buf *body) {
        const SubjectsFence *fence = &b->settings->fence;
        char nonce[UUID_TEXT_SIZE + 1];
        JsonWriter w = json_writer(body);

        uuid_format(fence->nonces[0], nonce);
        json_begin_object(&w);
        json_key(&w, "engine");
        json_put_str(&w, b->settings->engine_id);
        json_key(&w, "incarnation");
        json_put_i64(&w, (int64_t)fence->incarnation);
        json_key(&w, "nonce");
        json_put_str(&w, nonce);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        return body->error;
}

/** The last claim. 0 with its sequence (0: none) and whether it is ours, and the very one of this start. */
static int last_claim(Bus *b, jsCtx *js, const char *subject, uint64_t *ret_seq, bool *ret_ours,
                      bool *ret_latest) {
        jsErrCode code = 0;
        natsMsg *msg = NULL;
        Uuid nonce;
        jsOptions o;

        jsOptions_Init(&o);
        o.Wait = BUS_API_TIMEOUT_MS;
        *ret_seq = 0;
        *ret_ours = true;
        *ret_latest = false;
        natsStatus s = js_GetLastMsg(&msg, js, STREAM_FENCE, subject, &o, &code);
        if (s == NATS_NOT_FOUND)
                return 0;
        if (s != NATS_OK)
                return s == NATS_NO_MEMORY ? -ENOMEM : -EAGAIN;
        Slice body = {natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)};
        *ret_seq = natsMsg_GetSequence(msg);
        *ret_ours = fence_is_ours(&b->settings->fence, body);
        *ret_latest = fence_nonce(body, &nonce) && uuid_eq(nonce, b->settings->fence.nonces[0]);
        natsMsg_Destroy(msg);
        return 0;
}

/** 0; -EAGAIN; 1: somebody was faster. */
static int put_claim(const Bus *b, jsCtx *js, const char *subject, uint64_t seq) {
        _cleanup_(buf_deinit) Buf body = {0};
        jsErrCode code = 0;
        jsPubOptions o;

        if (render(b, &body) < 0)
                return -ENOMEM;
        jsPubOptions_Init(&o);
        o.MaxWait = BUS_API_TIMEOUT_MS;
        o.ExpectLastSubjectSeq = seq;
        o.ExpectNoMessage = seq == 0;
        natsStatus s = js_Publish(NULL, js, subject, body.data, (int)body.n, &o, &code);
        if (s == NATS_OK)
                return 0;
        return code == JSStreamWrongLastSequenceErr ? 1 : s == NATS_NO_MEMORY ? -ENOMEM : -EAGAIN;
}

int fence_claim(Bus *b, jsCtx *js, bool adopt) {
        char subject[256];
        int r = b->settings->fence.n ? fence_subject(b, subject) : 0;

        if (r < 0 || b->settings->fence.n == 0)
                return r;
        for (int i = 0; i < FENCE_TRIES; i++) {
                bool is_ours, is_latest;
                uint64_t seq;
                r = last_claim(b, js, subject, &seq, &is_ours, &is_latest);
                if (r < 0 || is_latest)
                        return r;
                if (!is_ours && !adopt)
                        return -EKEYREJECTED;
                r = put_claim(b, js, subject, seq);
                if (r <= 0)
                        return r;
        }
        return -EAGAIN;
}

static int claim_on(Bus *b, bool adopt, Report *report) {
        Link *l = &b->links[BUS_LINK_MAIN];
        char fault[256] = "";

        l->was_told = true; /* the bus itself will say that NATS is away */
        if (bus_link_connect(l) < 0 || !l->js)
                return -EAGAIN;
        int r = streams_ensure(b, l->js, STREAM_FENCE, fault, sizeof(fault));
        if (r == 0)
                r = fence_claim(b, l->js, adopt);
        if (r == -EKEYREJECTED)
                report_set(report, RUNBOOK_UNAVAILABLE, "%s", fence_sentence);
        return r;
}

int bus_claim(const SubjectsSettings *settings, bool adopt, Report *report) {
        BusOptions options = {.settings = settings};
        Bus *b;

        int r = bus_new(&options, report, &b);
        if (r < 0)
                return r;
        b->streams_told = true; /* likewise what is wrong with streams */
        r = claim_on(b, adopt, report);
        bus_free(b);
        return r;
}
