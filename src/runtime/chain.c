/*
 * The chain: inputs that other inputs caused
 *
 *     parent ──START_CHILD──► child          child ──SIGNAL_PARENT──► parent
 *     wait ──early event──► the same execution
 *
 * They run in the transaction of what caused them, first in, first out, so a crash never finds a child
 * without its parent or a parent that wasn't told. Each is bounded in what it does, but children have
 * children: past RUNTIME_CHAIN_SOFT no further item joins the batch, and past RUNTIME_CHAIN_MAX no further
 * child starts in it. That child's step fails with a retryable error, and its retry policy starts it again in
 * a later transaction. Signals always go through; there are no more of them than children.
 */
#include <errno.h>
#include <stdlib.h>

#include "json/json_read.h"
#include "runtime/runtime_private.h"

Chained *chained_new(Batch *b, InputKind kind, Uuid id) {
        Chained *c = ARENA_NEW(&b->arena, Chained);
        if (!c)
                return NULL;
        list_init(&c->node);
        c->input.kind = kind;
        c->input.execution_id = id;
        c->input.seed = batch_seed(b);
        return c;
}

Slice chained_child(Batch *b, Uuid child) {
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(child, text);
        return arena_dup(&b->arena, (Slice){text, UUID_TEXT_SIZE});
}

/** Tell the parent that its child @c could not be started. */
static int child_refused(Batch *b, const Chained *c, const char *code, const char *message, bool retryable) {
        Chained *done = chained_new(b, INPUT_CHILD_DONE, c->input.parent);

        if (!done)
                return -ENOMEM;
        done->input.tenant = c->input.tenant;
        done->input.instance = c->input.parent_instance;
        done->input.text = chained_child(b, c->input.execution_id);
        done->input.error = value_new(
                json_pack("{s:s, s:s, s:b}", "code", code, "message", message, "retryable", retryable));
        if (!done->input.error || !done->input.text.data) {
                value_unref(done->input.error);
                return -ENOMEM;
        }
        batch_chain(b, done);
        return 0;
}

static int run_child_start(Batch *b, Chained *c) {
        _cleanup_(runbook_unref_p) Runbook *runbook = NULL;
        CacheEntry *parent, *child;
        char sentence[512];

        if (b->n_chained > RUNTIME_CHAIN_MAX) {
                snprintf(sentence, sizeof(sentence),
                         "More than %d child executions and what they cause were started at once "
                         "(RUNTIME_CHAIN_MAX); the step's retry policy may try it again.",
                         RUNTIME_CHAIN_MAX);
                return child_refused(b, c, "LIMIT_EXCEEDED", sentence, true);
        }
        int r = batch_execution(b, c->input.parent, &parent);
        if (r)
                return r;
        r = runtime_runbook_lookup(b->r, b->txn, c->input.tenant, c->runbook_id, c->version, &runbook);
        if (r == STORE_E_NOT_FOUND) {
                snprintf(sentence, sizeof(sentence), "There is no runbook \"%.*s\"%s%.*s.",
                         SLICE_ARG(c->runbook_id), c->version.n ? " in version " : "", SLICE_ARG(c->version));
                return child_refused(b, c, "RUNBOOK_NOT_FOUND", sentence, false);
        }
        if (r)
                return r;
        uint32_t max = parent->x->runbook->max_depth < runbook->max_depth ? parent->x->runbook->max_depth
                                                                          : runbook->max_depth;
        if (c->input.depth > max) {
                snprintf(sentence, sizeof(sentence),
                         "Runbook \"%.*s\" would run %u levels deep, more than maxDepth, which is %u (raise "
                         "it in "
                         "the runbooks, at most to %d, LIMIT_DEPTH).",
                         SLICE_ARG(c->runbook_id), c->input.depth, max, LIMIT_DEPTH);
                return child_refused(b, c, "DEPTH_EXCEEDED", sentence, false);
        }
        r = start_execution(b, runbook, &c->input, &child);
        if (r == -EINVAL)
                return child_refused(b, c, runbook_code_name(b->update.refusal.code),
                                     b->update.refusal.message ? b->update.refusal.message
                                                               : "The child was refused.",
                                     false);
        return r;
}

static int put_back(Batch *b, const Chained *c) {
        return store_early_add(b->txn, c->input.tenant, c->early->type, c->early->correlation,
                               &c->early->event);
}

int chain_run_one(Batch *b, Chained *c) {
        CacheEntry *e;

        if (c->input.kind == INPUT_START)
                return run_child_start(b, c);
        int r = batch_execution(b, c->input.execution_id, &e);
        if (r == 0)
                r = batch_step(b, e, &c->input);
        else if (r == STORE_E_NOT_FOUND)
                return 0; /* a child that never started has nobody to signal */
        if (r == 0 && c->early && !b->update.applied)
                r = put_back(b, c);
        return r;
}
