/*
 * Subjects and the names in them
 *
 * A subject is `<prefix>.<tenant>.<family>.<user>.<rest…>`. Names travel percent-encoded, one token each.
 * nats-server's permissions compare tokens, we compare names: so tenant and user are taken in exactly one
 * spelling.
 */
#include <errno.h>
#include <sys/types.h>

#include "base/quote.h"
#include "model/limits.h"
#include "subjects/names.h"

/** Cut the next token off @rest; false at its end. */
static bool next_token(Slice *rest, Slice *ret) {
        if (!rest->data)
                return false;
        const char *dot = rest->n ? memchr(rest->data, '.', rest->n) : NULL;
        *ret = (Slice){rest->data, dot ? (size_t)(dot - rest->data) : rest->n};
        *rest = dot ? (Slice){dot + 1, rest->n - ret->n - 1} : SLICE_NULL;
        return true;
}

int subject_split(Slice subject, Slice prefix, SubjectParts *ret, Report *report) {
        *ret = (SubjectParts){0};
        if (subject.n > SUBJECT_BYTES_MAX)
                return report_set(report, RUNBOOK_TOO_LARGE,
                                  "the subject is %zu bytes long, the most is %d (SUBJECT_BYTES_MAX)",
                                  subject.n, SUBJECT_BYTES_MAX);
        if (subject.n <= prefix.n || !slice_starts_with(subject, prefix) || subject.data[prefix.n] != '.')
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the subject does not begin with \"%.*s.\"", SLICE_ARG(prefix));
        Slice rest = {subject.data + prefix.n + 1, subject.n - prefix.n - 1};
        Slice *heads[] = {&ret->tenant, &ret->family, &ret->user};
        for (size_t i = 0; i < 3 && next_token(&rest, heads[i]); i++)
                if (heads[i]->n == 0)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "the subject has an empty token");
        ret->rest = rest;
        for (Slice token; next_token(&rest, &token);) {
                if (token.n == 0)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "the subject has an empty token");
                if (ret->n_tokens == SUBJECT_TOKENS_MAX)
                        return report_set(report, RUNBOOK_TOO_LARGE,
                                          "the subject has more than %d tokens after the user's "
                                          "(SUBJECT_TOKENS_MAX)",
                                          SUBJECT_TOKENS_MAX);
                ret->tokens[ret->n_tokens++] = token;
        }
        return 0;
}

void name_put_token(Buf *b, Slice text) { quote_token(b, text); }

bool name_is_valid(Slice name, size_t n_max) {
        if (name.n == 0 || name.n > n_max || !slice_is_utf8(name))
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        return true;
}

/** Decode into @out, which has token.n bytes of room; the length, or -1 when an escape is malformed. */
static ssize_t decode(Slice token, char *out) {
        size_t n = 0;
        for (size_t i = 0; i < token.n; i++, n++) {
                if (token.data[i] != '%') {
                        out[n] = token.data[i];
                        continue;
                }
                int byte = slice_percent_byte((Slice){token.data + i, token.n - i});
                if (byte < 0)
                        return -1;
                out[n] = (char)byte;
                i += 2;
        }
        return (ssize_t)n;
}

int name_get_token(Slice token, const char *what, size_t n_max, Arena *arena, Slice *ret, Report *report) {
        char *out = arena_alloc(arena, token.n + 1);
        if (!out)
                return -ENOMEM;
        ssize_t n = decode(token, out);
        if (n < 0)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the %s in the subject has a malformed escape: write %%XX with two hex "
                                  "digits",
                                  what);
        Slice name = {out, (size_t)n};
        if (!name_is_valid(name, n_max))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the %s in the subject must be 1 to %zu bytes of UTF-8 without control "
                                  "characters",
                                  what, n_max);
        *ret = name;
        return 0;
}

int name_get_identity(Slice token, const char *what, Arena *arena, Slice *ret, Report *report) {
        int r = name_get_token(token, what, LIMIT_ID_BYTES, arena, ret, report);
        if (r < 0)
                return r;
        Buf canonical = {0};
        name_put_token(&canonical, *ret);
        r = canonical.error;
        if (!r && !slice_eq(buf_slice(&canonical), token))
                r = report_set(report, RUNBOOK_INVALID_REQUEST,
                               "the %s in the subject must be spelled \"%.*s\"", what, SLICE_ARG(canonical));
        buf_deinit(&canonical);
        return r;
}

bool subject_is_inbox(Slice subject, const char *const *prefixes) {
        if (subject.n == 0 || subject.n > SUBJECT_BYTES_MAX || subject.data[subject.n - 1] == '.')
                return false;
        for (size_t i = 0; i < subject.n; i++)
                if ((unsigned char)subject.data[i] <= ' ' || subject.data[i] == 0x7f ||
                    subject.data[i] == '*' || subject.data[i] == '>' ||
                    (subject.data[i] == '.' && i > 0 && subject.data[i - 1] == '.'))
                        return false;
        if (slice_starts_with(subject, SLICE("_INBOX.")) || slice_starts_with(subject, SLICE("_R_.")))
                return true;
        for (size_t i = 0; prefixes && prefixes[i]; i++) {
                Slice p = slice_from_str(prefixes[i]);
                if (p.n > 0 && subject.n > p.n && slice_starts_with(subject, p) &&
                    (p.data[p.n - 1] == '.' || subject.data[p.n] == '.'))
                        return true;
        }
        return false;
}
