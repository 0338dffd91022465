/* REQUEST_REPLAY: run an execution's input again as a new one, or hand the request to the verifier, which
 * compares history with itself. */
#include <errno.h>
#include <stdlib.h>

#include "json/json_write.h"
#include "runtime/runtime_private.h"

static int reply_replaying(Batch *b, Item *it, Uuid id) {
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(id, text);
        buf_reset(&b->reply);
        JsonWriter w = json_writer(&b->reply);
        json_begin_object(&w);
        json_key(&w, "executionId");
        json_put_str(&w, text);
        json_key(&w, "status");
        json_put_str(&w, "replaying");
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        return batch_reply(b, it);
}

static int rerun(Batch *b, Item *it, const Execution *original) {
        const Request *q = it->request;
        CacheEntry *e;
        Input in = {
                .execution_id = uuid_v7(b->now_ms, it->random[1], it->random[2]),
                .tenant = q->input.tenant, .user = q->input.user, .command_id = q->input.command_id,
                .traceparent = q->input.traceparent, .value = original->input, .context = original->context,
                .original = original->id, .parent_instance = INSTANCE_NONE, .dry_run = original->is_dry_run,
        };
        int r = 0;

        if (refuse_new_work(b, it, &r))
                return r;
        r = start_execution(b, original->runbook, &in, &e);
        if (r == -EINVAL)
                return batch_refuse_report(b, it, &b->update.refusal);
        return r ? r : reply_replaying(b, it, in.execution_id);
}

int handle_replay(Batch *b, Item *it) {
        const Request *q = it->request;
        CacheEntry *e;

        int r = batch_execution_of(b, it, &e);
        if (r || !e)
                return r;
        if (!execution_user_allowed(e->x, q->input.user))
                return batch_refuse(b, it, RUNBOOK_FORBIDDEN,
                                    "\"%.*s\" is not among legalBasis.authorizedUsers of this execution.",
                                    SLICE_ARG(q->input.user));
        if (slice_eq(q->input.text, SLICE("rerun")))
                return rerun(b, it, e->x);
        if (!slice_eq(q->input.text, SLICE("verify")))
                return batch_refuse(b, it, RUNBOOK_INVALID_REQUEST,
                                    "mode must be \"rerun\" or \"verify\", is \"%.*s\".",
                                    SLICE_ARG(q->input.text));
        it->later = true;
        return 0;
}
