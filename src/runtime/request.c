/*
 * Requests: one allocation and one arena each, made by whoever decodes a message, freed by whoever answered
 * it.
 */
#include <stdlib.h>

#include "runtime/ports.h"

Request *request_new(RequestKind kind) {
        Request *r = calloc(1, sizeof(*r));
        if (!r)
                return NULL;
        list_init(&r->node);
        r->kind = kind;
        return r;
}

void request_free(Request *r) {
        if (!r)
                return;
        if (r->release)
                r->release(r->userdata);
        value_unref(r->input.value);
        value_unref(r->input.error);
        value_unref(r->input.logs);
        value_unref(r->input.evidence);
        value_unref(r->input.context);
        runbook_unref(r->runbook);
        arena_deinit(&r->arena);
        free(r);
}
