/*
 * Commands: `<prefix>.<tenant>.cmd.<user>.<verb>[.<executionId>[.<stepId>]]`
 *
 * One row and one small function a verb. What the writer decides (does the execution exist, may this user
 * touch it, is it in the right state) is not looked at here: by the time the writer gets there it could be
 * otherwise.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/call.h"
#include "subjects/heavy.h"

typedef struct CmdVerb {
        const char *name;
        const char *shape; /* what follows the verb in the subject */
        size_t n_tokens;   /* how many tokens that is */
        RequestKind request;
        InputKind input;
        size_t body_max;
        void (*decode)(Call *c);
} CmdVerb;

static void decode_approve(Call *c) {
        Input *in = &c->request->input;
        Slice decision = SLICE_NULL;
        call_get_token(c, 2, "step id", &in->path);
        if (json_get_string_required(&c->at, "decision", &decision)) {
                JsonAt at = json_at_key(&c->at, "decision");
                if (slice_eq_str(decision, "approved"))
                        in->decision = VOTE_APPROVED;
                else if (slice_eq_str(decision, "rejected"))
                        in->decision = VOTE_REJECTED;
                else
                        json_at_error(&at, "must be \"approved\" or \"rejected\"");
        }
        call_get_string(c, &c->at, "comments", LIMIT_NAMED(LIMIT_TEXT_ARG_BYTES), &in->text);
        if (call_get_string(c, &c->at, "hash", DIGEST_TEXT_SIZE, "hexadecimal digits", &in->hash)) {
                JsonAt at = json_at_key(&c->at, "hash");
                Digest shown;
                if (!digest_parse(in->hash, &shown))
                        json_at_error(&at,
                                      "must be %d hexadecimal digits: the hash of what was shown for "
                                      "approval",
                                      DIGEST_TEXT_SIZE);
        }
}

static void decode_cancel(Call *c) {
        call_get_string(c, &c->at, "reason", LIMIT_NAMED(LIMIT_TEXT_ARG_BYTES), &c->request->input.text);
}

static void decode_pause(Call *c) {
        c->request->input.flag = true;
        json_get_bool(&c->at, "freezeClocks", &c->request->input.flag);
}

/** The body is the definition itself, JSON or YAML; the command id can only be in the header. */
static void decode_register(Call *c) {
        if (c->message->body.n == 0)
                report_set(&c->report, RUNBOOK_INVALID_REQUEST,
                           "the body is empty: it must be a runbook definition, JSON or YAML");
        else if (runbook_def_parse(c->message->body, c->subjects->host.definitions, &c->report,
                                   &c->request->runbook) == -ENOMEM)
                c->error = -ENOMEM;
        if (c->report.code == RUNBOOK_INVALID_REQUEST && c->message->body.n > 0)
                c->report.code = RUNBOOK_INVALID_RUNBOOK; /* YAML that is none: its sentence stays */
}

static void decode_replay(Call *c) {
        Input *in = &c->request->input;
        in->text = SLICE("rerun");
        if (!call_get_string(c, &c->at, "mode", LIMIT_NAMED(LIMIT_ID_BYTES), &in->text))
                return;
        JsonAt at = json_at_key(&c->at, "mode");
        if (!slice_eq_str(in->text, "rerun") && !slice_eq_str(in->text, "verify"))
                json_at_error(&at, "must be \"rerun\" or \"verify\"");
}

static void decode_retry(Call *c) { call_get_token(c, 2, "step id", &c->request->input.path); }

/* Alphabetical. README.md documents every row; tests/tidy checks that. */
/* clang-format off */
static const CmdVerb verbs[] = {
        {"approve", "<executionId>.<stepId>", 2, REQUEST_COMMAND, INPUT_APPROVE, BODY_SMALL_MAX, decode_approve},
        {"cancel", "<executionId>", 1, REQUEST_COMMAND, INPUT_CANCEL, BODY_SMALL_MAX, decode_cancel},
        {"pause", "<executionId>", 1, REQUEST_COMMAND, INPUT_PAUSE, BODY_SMALL_MAX, decode_pause},
        {"register", "", 0, REQUEST_REGISTER, 0, 0, decode_register},
        {"replay", "<executionId>", 1, REQUEST_REPLAY, 0, BODY_SMALL_MAX, decode_replay},
        {"resume", "<executionId>", 1, REQUEST_COMMAND, INPUT_RESUME, BODY_SMALL_MAX, NULL},
        {"retry", "<executionId>.<stepId>", 2, REQUEST_COMMAND, INPUT_RETRY, BODY_SMALL_MAX, decode_retry},
        {"start", "", 0, REQUEST_START, INPUT_START, BODY_BYTES_MAX, cmd_decode_start},
};
/* clang-format on */

static const CmdVerb *find_verb(Slice name, Report *report) {
        const char *names[N_ELEMENTS(verbs)];
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                if (slice_eq_str(name, verbs[i].name))
                        return &verbs[i];
                names[i] = verbs[i].name;
        }
        const char *near = slice_nearest(name, names, N_ELEMENTS(names));
        if (name.n == 0)
                report_set(report, RUNBOOK_INVALID_REQUEST,
                           "the subject ends before the command: "
                           "it must be <prefix>.<tenant>.cmd.<user>.<command>");
        else
                report_set(report, RUNBOOK_INVALID_REQUEST, "there is no command \"%.*s\"%s%s%s",
                           SLICE_ARG(slice_cut_utf8(name, LIMIT_ID_BYTES)), near ? "; did you mean \"" : "",
                           near ? near : "", near ? "\"?" : "");
        return NULL;
}

void cmd_handle(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                Answer *answer) {
        bool is_heavy = m->body.n > HEAVY_FROM_BYTES && answer->is_awaited && parts->n_tokens > 0 &&
                        slice_eq_str(parts->tokens[0], "register");
        if (!is_heavy || !heavy_take(s, parts, m, default_command_id, answer))
                cmd_read(s, parts, m, default_command_id, answer);
}

void cmd_read(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id, Answer *answer) {
        _cleanup_(report_deinit) Report report = {0};
        const CmdVerb *verb = find_verb(parts->n_tokens > 0 ? parts->tokens[0] : SLICE_NULL, &report);
        if (verb && parts->n_tokens != verb->n_tokens + 1)
                report_set(&report, RUNBOOK_INVALID_REQUEST,
                           "the subject has %zu tokens after the user's, but \"%s\" takes %zu: %s%s%s",
                           parts->n_tokens, verb->name, verb->n_tokens + 1, verb->name,
                           verb->n_tokens > 0 ? "." : "", verb->shape);
        if (report_is_error(&report)) {
                answer_refuse(answer, &report);
                return;
        }
        Call c;
        call_begin(&c, s, parts, m, default_command_id, verb->request);
        if (c.request)
                c.request->input.kind = verb->input;
        if (verb->n_tokens > 0)
                call_get_execution(&c, 1);
        if (verb->body_max > 0)
                call_parse_body(&c, verb->body_max);
        bool readable = verb->body_max == 0 || json_is_object(c.body);
        if (verb->decode && readable && !c.error && c.report.code == RUNBOOK_OK)
                verb->decode(&c);
        call_digest(&c, "cmd");
        call_finish(&c, answer);
}
