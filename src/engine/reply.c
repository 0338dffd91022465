/* What the sender of a command is told, and how a refusal is kept for the audit. */

#include <stdarg.h>
#include <stdio.h>

#include "engine/internal.h"

#define REFUSAL_MAX 1024 /* bytes of a refusal's sentence */

static const char *verb_of(InputKind kind) {
        switch (kind) {
        case INPUT_PAUSE:
                return "pause";
        case INPUT_RESUME:
                return "resume";
        case INPUT_CANCEL:
                return "cancel";
        case INPUT_APPROVE:
                return "approve";
        case INPUT_RETRY:
                return "retry";
        default:
                return "command";
        }
}

int refuse(Move *m, RunbookCode code, const char *format, ...) {
        char message[REFUSAL_MAX];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        size_t n_message = n < 0 ? 0 : (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;
        while (n_message > 0 && !slice_is_utf8((Slice){message, n_message}))
                n_message--;
        message[n_message] = '\0';
        report_set(&m->out->refusal, code, "%s", message);
        if (m->x->n_refused >= LIMIT_REFUSALS_AUDITED)
                return -EPERM; /* a flood of refusals must not grow the history without end */
        m->x->n_refused++;
        EventData data = {.by = m->in->user,
                          .code = slice_from_str(runbook_code_name(code)),
                          .command_id = m->in->command_id,
                          .message = (Slice){message, n_message},
                          .reason = slice_from_str(verb_of(m->in->kind))};
        uint32_t instance =
                m->in->kind == INPUT_APPROVE ? execution_find_path(m->x, m->in->path) : INSTANCE_NONE;
        if (instance != INSTANCE_NONE)
                record_step(m, "approval.refused", instance, &data);
        else
                record_execution(m, "command.refused", &data);
        return -EPERM;
}

void reply_status(Move *m, const char *status) {
        JsonWriter w = json_writer(&m->out->reply);
        json_begin_object(&w);
        json_key(&w, "executionId");
        json_put_string(&w, (Slice){m->id_text, UUID_TEXT_SIZE});
        json_key(&w, "status");
        json_put_str(&w, status);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
}

bool may_control(Move *m) {
        if (m->in->user.n == 0 || execution_user_allowed(m->x, m->in->user))
                return true; /* no user: the engine itself, for a parent execution */
        refuse(m, RUNBOOK_FORBIDDEN, "\"%.*s\" is not among legalBasis.authorizedUsers of this execution",
               SLICE_ARG(m->in->user));
        return false;
}
