#pragma once
/* Error codes of the runbook protocol, their names and HTTP statuses. C99, stands alone. */

#ifdef __cplusplus
extern "C" {
#endif

/** What a refused request, query or definition is told. The order is not part of the ABI, the values are. */
typedef enum RunbookCode {
        RUNBOOK_OK = 0,
        RUNBOOK_INVALID_JSON = 1,        /* 400 the body is not JSON (or not UTF-8) */
        RUNBOOK_INVALID_REQUEST = 2,     /* 400 JSON, but not what this subject takes */
        RUNBOOK_INVALID_RUNBOOK = 3,     /* 400 the definition has errors; all are in `details` */
        RUNBOOK_INVALID_INPUT = 4,       /* 400 the input does not satisfy the runbook's inputSchema */
        RUNBOOK_UNAUTHENTICATED = 5,     /* 401 */
        RUNBOOK_FORBIDDEN = 6,           /* 403 */
        RUNBOOK_IDENTITY_MISMATCH = 7,   /* 403 the body names another user than the subject */
        RUNBOOK_NOT_AN_APPROVER = 8,     /* 403 */
        RUNBOOK_SELF_APPROVAL = 9,       /* 403 */
        RUNBOOK_RUNBOOK_NOT_FOUND = 10,  /* 404 */
        RUNBOOK_EXECUTION_NOT_FOUND = 11,/* 404 */
        RUNBOOK_STEP_NOT_FOUND = 12,     /* 404 */
        RUNBOOK_WRONG_STATE = 13,        /* 409 */
        RUNBOOK_ALREADY_DECIDED = 14,    /* 409 */
        RUNBOOK_DUPLICATE_VOTE = 15,     /* 409 */
        RUNBOOK_VERSION_CONFLICT = 16,   /* 409 */
        RUNBOOK_TOO_LARGE = 17,          /* 413 */
        RUNBOOK_TOO_DEEP = 18,           /* 422 */
        RUNBOOK_LIMIT_EXCEEDED = 19,     /* 422 */
        RUNBOOK_OVERLOADED = 20,         /* 429 */
        RUNBOOK_INTERNAL = 21,           /* 500 */
        RUNBOOK_UNAVAILABLE = 22,        /* 503 */
        RUNBOOK_STORE_FULL = 23,         /* 507 */
        RUNBOOK_N_CODES = 24
} RunbookCode;

/** "STEP_NOT_FOUND" for RUNBOOK_STEP_NOT_FOUND; "INTERNAL" for a value outside the enum. Static string. */
const char *runbook_code_name(RunbookCode code);

/** The HTTP status that goes with @code (200 for RUNBOOK_OK, 500 for a value outside the enum). */
int runbook_code_http_status(RunbookCode code);

/** The code named @name ("STEP_NOT_FOUND"), RUNBOOK_INTERNAL if there is none. */
RunbookCode runbook_code_from_name(const char *name);

#ifdef __cplusplus
}
#endif
