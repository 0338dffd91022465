/*
 * Stored records: an input of the journal, and the pieces of an execution. Damage is -EBADMSG, never a
 * crash, and what decodes encodes to something that decodes to the same. The first byte says which record
 * the rest is.
 */

#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "fuzz.h"
#include "model/execution.h"
#include "model/input.h"

static const char definition[] = "{\"id\":\"f\",\"name\":\"f\",\"version\":\"1\",\"steps\":["
                                 "{\"id\":\"a\",\"name\":\"a\",\"type\":\"wait\",\"dependsOn\":[],\"config\":"
                                 "{\"durationMs\":1}},"
                                 "{\"id\":\"b\",\"name\":\"b\",\"type\":\"wait\",\"dependsOn\":[\"a\"],"
                                 "\"config\":{\"durationMs\":1}}]}";

static int fetch(void *userdata, uint32_t instance, uint32_t which, Value **ret) {
        (void)userdata, (void)instance, (void)which;
        *ret = value_new_bytes(SLICE("{\"kept\":\"elsewhere\"}"));
        return *ret ? 0 : -ENOMEM;
}

static void fuzz_input(Slice record) {
        Input in = {0}, again = {0};
        Buf once = {0}, twice = {0};
        int r = input_decode(record, &in);

        PROMISE(r == 0 || r == -EBADMSG, "a damaged record is -EBADMSG");
        if (r == 0) {
                PROMISE(input_encode(&in, &once) == 0, "what was decoded can be encoded");
                PROMISE(input_decode(buf_slice(&once), &again) == 0, "what was encoded can be decoded");
                PROMISE(input_encode(&again, &twice) == 0 && slice_eq(buf_slice(&once), buf_slice(&twice)),
                        "and is the same");
                input_release(&again);
                input_release(&in);
        }
        buf_deinit(&once);
        buf_deinit(&twice);
}

/** Cut @rest at the length that its first two bytes give. */
static Slice take(Slice *rest) {
        size_t n = rest->n >= 2 ? ((size_t)(uint8_t)rest->data[0] << 8 | (uint8_t)rest->data[1]) : 0;
        Slice piece;

        if (rest->n >= 2)
                *rest = (Slice){rest->data + 2, rest->n - 2};
        if (n > rest->n)
                n = rest->n;
        piece = (Slice){rest->data, n};
        *rest = (Slice){rest->data + n, rest->n - n};
        return piece;
}

static void fuzz_execution(Slice rest) {
        Report report = {0};
        Runbook *runbook = NULL;
        Execution *x = NULL;
        Slice fixed = take(&rest), state = take(&rest), tenant, id, version;
        int r;

        PROMISE(runbook_def_parse((Slice){definition, sizeof definition - 1}, &runbook_defaults_builtin,
                                  &report, &runbook) == 0,
                "the fixed definition compiles");
        r = execution_peek_static(fixed, &tenant, &id, &version);
        PROMISE(r == 0 || r == -EBADMSG, "a damaged record is -EBADMSG");
        r = execution_decode(runbook, (Uuid){0}, fixed, state, &x);
        PROMISE((r == 0) == (x != NULL), "0 and an execution, or neither");
        for (uint32_t page = 0; r == 0 && page * STEP_PAGE < x->n_instances; page++)
                r = execution_decode_page(x, page, take(&rest), fetch, NULL);
        for (uint32_t scope = 0; r == 0 && scope < x->n_scopes; scope++)
                r = execution_decode_scope(x, scope, take(&rest), fetch, NULL);
        if (r == 0)
                r = execution_finish_load(x);
        PROMISE(r == 0 || r == -EBADMSG || r == -ENOMEM, "a damaged record is -EBADMSG");
        execution_free(x);
        runbook_unref(runbook);
        report_deinit(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice rest;

        if (size == 0)
                return 0;
        rest = (Slice){(const char *)data + 1, size - 1};
        if (data[0] == 'i')
                fuzz_input(rest);
        else
                fuzz_execution(rest);
        return 0;
}
