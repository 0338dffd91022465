/* Tokens: encoding and back, and which subjects are valid. */

#include <criterion/criterion.h>
#include <runbook/client.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "client/subject.h"

TestSuite(subject, .fini = check_leaks);

Test(subject, encodes_what_is_not_plain) {
        static const struct {
                const char *text, *token;
        } cases[] = {
                        {"alice", "alice"},         {"alice@example.com", "alice%40example%2Ecom"},
                        {"A-Z_09", "A-Z_09"},       {"a b*c>d", "a%20b%2Ac%3Ed"},
                        {"100%", "100%25"},         {"zoë", "zo%C3%AB"},
                        {"body[3]", "body%5B3%5D"}, {"", ""},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *token = runbook_token_encode(cases[i].text);
                _cleanup_free_ char *back = runbook_token_decode(token);

                cr_expect_str_eq(token, cases[i].token);
                cr_expect_str_eq(back, cases[i].text);
        }
}

Test(subject, refuses_malformed_tokens) {
        static const char *const bad[] = {"%", "%4", "%4g", "%zz", "%00", "abc%"};

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_expect_null(runbook_token_decode(bad[i]), "%s", bad[i]);
        _cleanup_free_ char *lower = runbook_token_decode("%c3%ab");
        cr_expect_str_eq(lower, "ë");
}

Test(subject, event_types_keep_their_dots) {
        _cleanup_(buf_deinit) Buf b = {0};

        subject_put_tokens(&b, SLICE("order.paid/eu.v1"));
        cr_expect(slice_eq_str(buf_slice(&b), "order.paid%2Feu.v1"));
}

Test(subject, validity) {
        static const char *const good[] = {"a", "runbook.v1.t.cmd.u.start", "a-b_c.%20"};
        static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "a\tb", "a\n"};

        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                cr_expect(subject_is_valid(slice_from_str(good[i])), "%s", good[i]);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_expect_not(subject_is_valid(slice_from_str(bad[i])), "%s", bad[i]);
        char long_one[SUBJECT_BYTES_MAX + 1];
        memset(long_one, 'a', sizeof long_one);
        cr_expect_not(subject_is_valid((Slice){long_one, sizeof long_one}));
        cr_expect(subject_is_valid((Slice){long_one, sizeof long_one - 1}));
}

Test(subject, taking_apart) {
        Slice rest = SLICE("a.bc.d");

        cr_expect(slice_eq_str(subject_next(&rest), "a"));
        cr_expect(slice_eq_str(subject_next(&rest), "bc"));
        cr_expect(slice_eq_str(rest, "d"));
        cr_expect(slice_eq_str(subject_next(&rest), "d"));
        cr_expect_eq(subject_next(&rest).n, 0);
}

Test(subject, ids_are_uuid_v7_and_differ) {
        char a[RUNBOOK_CLIENT_ID_SIZE], b[RUNBOOK_CLIENT_ID_SIZE];

        runbook_new_id(a);
        runbook_new_id(b);
        cr_expect_str_neq(a, b);
        cr_expect_eq(strlen(a), 36);
        cr_expect_eq(a[14], '7');
}
