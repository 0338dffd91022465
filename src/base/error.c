/* The protocol's error codes: names and HTTP statuses. */
#include <string.h>

#include <runbook/error.h>

#include "base/export.h"

static const struct {
        const char *name;
        int http_status;
} codes[RUNBOOK_N_CODES] = {
        [RUNBOOK_OK] = {"OK", 200},
        [RUNBOOK_INVALID_JSON] = {"INVALID_JSON", 400},
        [RUNBOOK_INVALID_REQUEST] = {"INVALID_REQUEST", 400},
        [RUNBOOK_INVALID_RUNBOOK] = {"INVALID_RUNBOOK", 400},
        [RUNBOOK_INVALID_INPUT] = {"INVALID_INPUT", 400},
        [RUNBOOK_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
        [RUNBOOK_FORBIDDEN] = {"FORBIDDEN", 403},
        [RUNBOOK_IDENTITY_MISMATCH] = {"IDENTITY_MISMATCH", 403},
        [RUNBOOK_NOT_AN_APPROVER] = {"NOT_AN_APPROVER", 403},
        [RUNBOOK_SELF_APPROVAL] = {"SELF_APPROVAL", 403},
        [RUNBOOK_RUNBOOK_NOT_FOUND] = {"RUNBOOK_NOT_FOUND", 404},
        [RUNBOOK_EXECUTION_NOT_FOUND] = {"EXECUTION_NOT_FOUND", 404},
        [RUNBOOK_STEP_NOT_FOUND] = {"STEP_NOT_FOUND", 404},
        [RUNBOOK_WRONG_STATE] = {"WRONG_STATE", 409},
        [RUNBOOK_ALREADY_DECIDED] = {"ALREADY_DECIDED", 409},
        [RUNBOOK_DUPLICATE_VOTE] = {"DUPLICATE_VOTE", 409},
        [RUNBOOK_VERSION_CONFLICT] = {"VERSION_CONFLICT", 409},
        [RUNBOOK_TOO_LARGE] = {"TOO_LARGE", 413},
        [RUNBOOK_TOO_DEEP] = {"TOO_DEEP", 422},
        [RUNBOOK_LIMIT_EXCEEDED] = {"LIMIT_EXCEEDED", 422},
        [RUNBOOK_OVERLOADED] = {"OVERLOADED", 429},
        [RUNBOOK_INTERNAL] = {"INTERNAL", 500},
        [RUNBOOK_UNAVAILABLE] = {"UNAVAILABLE", 503},
        [RUNBOOK_STORE_FULL] = {"STORE_FULL", 507},
};

static RunbookCode known(RunbookCode code) {
        return (unsigned)code < RUNBOOK_N_CODES ? code : RUNBOOK_INTERNAL;
}

RUNBOOK_EXPORT const char *runbook_code_name(RunbookCode code) { return codes[known(code)].name; }

RUNBOOK_EXPORT int runbook_code_http_status(RunbookCode code) { return codes[known(code)].http_status; }

RUNBOOK_EXPORT RunbookCode runbook_code_from_name(const char *name) {
        for (int code = 0; name && code < RUNBOOK_N_CODES; code++)
                if (!strcmp(codes[code].name, name))
                        return (RunbookCode)code;
        return RUNBOOK_INTERNAL;
}
