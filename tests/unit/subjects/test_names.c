#include <criterion/criterion.h>
#include <errno.h>

#include "../leaks.h"
#include "subjects/names.h"

TestSuite(names, .fini = check_leaks);

static int split(const char *subject, SubjectParts *parts, Report *report) {
        return subject_split(slice_from_str(subject), SLICE("runbook.v1"), parts, report);
}

Test(names, subjects_come_apart) {
        Report report = {0};
        SubjectParts p;
        cr_assert_eq(split("runbook.v1.acme.cmd.alice.approve.x.y", &p, &report), 0);
        cr_assert(slice_eq_str(p.tenant, "acme"));
        cr_assert(slice_eq_str(p.family, "cmd"));
        cr_assert(slice_eq_str(p.user, "alice"));
        cr_assert_eq(p.n_tokens, 3);
        cr_assert(slice_eq_str(p.tokens[0], "approve"));
        cr_assert(slice_eq_str(p.tokens[2], "y"));
        cr_assert(slice_eq_str(p.rest, "approve.x.y"));
}

Test(names, short_subjects_have_empty_parts) {
        Report report = {0};
        SubjectParts p;
        cr_assert_eq(split("runbook.v1.acme.cmd.alice", &p, &report), 0);
        cr_assert_eq(p.n_tokens, 0);
        cr_assert_eq(p.rest.n, 0);
        cr_assert_eq(split("runbook.v1.acme.cmd", &p, &report), 0);
        cr_assert_eq(p.user.n, 0);
        cr_assert_eq(split("runbook.v1.acme", &p, &report), 0);
        cr_assert_eq(p.family.n, 0);
}

Test(names, malformed_subjects_are_refused) {
        static const char *const bad[] = {"",
                                          "runbook.v1",
                                          "runbook.v1.",
                                          "runbook.v2.acme.cmd.alice.start",
                                          "runbook.v1x.a.b",
                                          "runbook.v1.acme..alice",
                                          "runbook.v1.a.cmd.b.",
                                          "runbook.v1.a.cmd.b..c",
                                          "runbook"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Report report = {0};
                SubjectParts p;
                cr_assert_eq(split(bad[i], &p, &report), -EINVAL, "%s", bad[i]);
                cr_assert_eq(report.code, RUNBOOK_INVALID_REQUEST);
                report_deinit(&report);
        }
}

Test(names, endless_subjects_are_refused) {
        Buf b = {0};
        Report report = {0};
        SubjectParts p;
        buf_put_str(&b, "runbook.v1.acme.event.alice");
        for (int i = 0; i < SUBJECT_TOKENS_MAX + 1; i++)
                buf_put_str(&b, ".x");
        cr_assert_eq(subject_split(buf_slice(&b), SLICE("runbook.v1"), &p, &report), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_TOO_LARGE);
        while (b.n <= SUBJECT_BYTES_MAX)
                buf_put_char(&b, 'x');
        cr_assert_eq(subject_split(buf_slice(&b), SLICE("runbook.v1"), &p, &report), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_TOO_LARGE);
        report_deinit(&report);
        buf_deinit(&b);
}

Test(names, tokens_go_there_and_back) {
        static const struct {
                const char *name, *token;
        } pairs[] = {
                        {"alice", "alice"},           {"alice@example.com", "alice%40example%2Ecom"},
                        {"a b*c>d", "a%20b%2Ac%3Ed"}, {"100%", "100%25"},
                        {"Zo\u00eb", "Zo%C3%AB"},     {"A-b_9", "A-b_9"},
        };
        for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
                Buf b = {0};
                Arena arena = {0};
                Report report = {0};
                Slice name;
                name_put_token(&b, slice_from_str(pairs[i].name));
                cr_assert(slice_eq_str(buf_slice(&b), pairs[i].token));
                cr_assert_eq(name_get_identity(buf_slice(&b), "user", &arena, &name, &report), 0);
                cr_assert(slice_eq_str(name, pairs[i].name));
                arena_deinit(&arena);
                buf_deinit(&b);
        }
}

Test(names, an_identity_has_one_spelling) {
        /* Each is a readable spelling of a name, but not the canonical one: another NATS permission would
         * stand for it. */
        static const char *const bad[] = {"%61lice", "alice@example", "zo%c3%ab", "a%2dB", "a:b", "Zo\u00eb"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Arena arena = {0};
                Report report = {0};
                Slice name;
                cr_assert_eq(name_get_identity(slice_from_str(bad[i]), "user", &arena, &name, &report),
                             -EINVAL, "%s", bad[i]);
                cr_assert_eq(report.code, RUNBOOK_INVALID_REQUEST);
                cr_assert_not_null(strstr(report.message, "must be spelled"));
                cr_assert_eq(name_get_token(slice_from_str(bad[i]), "id", 100, &arena, &name, &report), 0,
                             "%s", bad[i]);
                arena_deinit(&arena);
                report_deinit(&report);
        }
}

Test(names, broken_tokens_are_refused) {
        static const char *const bad[] = {"%",   "%4",    "a%zz", "%ff", "%C3",
                                          "%00", "a%0Ab", "%7F",  "",    "%ED%A0%80"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Arena arena = {0};
                Report report = {0};
                Slice name;
                cr_assert_eq(name_get_token(slice_from_str(bad[i]), "id", 100, &arena, &name, &report),
                             -EINVAL, "%s", bad[i]);
                cr_assert_eq(report.code, RUNBOOK_INVALID_REQUEST);
                arena_deinit(&arena);
                report_deinit(&report);
        }
}

Test(names, long_identities_are_refused) {
        char token[200];
        Arena arena = {0};
        Report report = {0};
        Slice name;
        memset(token, 'a', sizeof(token));
        cr_assert_eq(name_get_identity((Slice){token, 128}, "user", &arena, &name, &report), 0);
        cr_assert_eq(name_get_identity((Slice){token, 129}, "user", &arena, &name, &report), -EINVAL);
        arena_deinit(&arena);
        report_deinit(&report);
}

Test(names, answers_go_to_inboxes_only) {
        static const char *const prefixes[] = {"_INBOX_alice", "replies.", NULL};
        static const char *const good[] = {"_INBOX.x", "_INBOX.a.b.c", "_R_.q", "_INBOX_alice.7",
                                           "replies.x"};
        static const char *const bad[] = {"",
                                          "_INBOX.",
                                          "_INBOX",
                                          "_INBOXx.a",
                                          "_INBOX.*",
                                          "_INBOX.>",
                                          "_INBOX.a..b",
                                          "_INBOX.a b",
                                          "_INBOX.a\r\nPUB x",
                                          "runbook.v1.acme.lifecycle.x.execution.started",
                                          "$JS.API.STREAM.DELETE.X",
                                          "_INBOX_alicex.7",
                                          "replies",
                                          "_R_",
                                          "_INBOX_alice"};
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                cr_assert(subject_is_inbox(slice_from_str(good[i]), prefixes), "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                cr_assert_not(subject_is_inbox(slice_from_str(bad[i]), prefixes), "%s", bad[i]);
        cr_assert_not(subject_is_inbox(SLICE("replies.x"), NULL));
}
