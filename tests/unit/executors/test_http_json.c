/* The canonical text must be what the tree's way makes: json_parse_own, then json_canonical. */
#include <errno.h>
#include <stdlib.h>

#include "../leaks.h"
#include "executors/http_json.h"
#include "json/json_read.h"
#include "json/json_write.h"

TestSuite(http_json, .fini = check_leaks);

static void check_same(HttpJson *j, const char *data, size_t n) {
        Slice text = {data, n};
        Buf wanted = {0};
        json_t *tree = json_parse_own(text);
        int r = http_json_canonical(j, text);
        if (tree) {
                cr_assert_eq(json_canonical(tree, &wanted), 0);
                cr_assert_eq(r, 0, "%.*s", SLICE_ARG(text));
                cr_assert(slice_eq(buf_slice(&j->text), buf_slice(&wanted)), "%.*s became %.*s, not %.*s",
                          SLICE_ARG(text), SLICE_ARG(buf_slice(&j->text)), SLICE_ARG(buf_slice(&wanted)));
                cr_assert_eq(j->is_object, json_is_object(tree));
                cr_assert_eq(j->n_members, json_is_object(tree) ? json_object_size(tree) : 0);
        } else {
                cr_assert_eq(r, -EBADMSG, "%.*s was taken", SLICE_ARG(text));
        }
        json_decref(tree);
        buf_deinit(&wanted);
}

Test(http_json, agrees_with_the_tree) {
        static const char *const texts[] = {"{}",
                                            "[]",
                                            " [ ] ",
                                            "null",
                                            "true",
                                            "false",
                                            "\"\"",
                                            "0",
                                            "-0",
                                            "-0.0",
                                            "1.0",
                                            "1e3",
                                            "1E+3",
                                            "1e-3",
                                            "123456789012345678",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "-9223372036854775808",
                                            "-9223372036854775809",
                                            "1e400",
                                            "-1e400",
                                            "1e-400",
                                            "0.1",
                                            "1.7976931348623157e308",
                                            "5e-324",
                                            "2.5e-324",
                                            "1e21",
                                            "1e20",
                                            "123456789012345678901234567890",
                                            "0.000001",
                                            "0.0000001",
                                            "1e99999999999999999999",
                                            "1e-99999999999999999999",
                                            "0e99999999999999999999",
                                            "4.35",
                                            "100000000000000000000000000000e-29",
                                            "01",
                                            "1.",
                                            ".5",
                                            "+1",
                                            "-",
                                            "1e",
                                            "1e+",
                                            "--1",
                                            "0x10",
                                            "NaN",
                                            "Infinity",
                                            "tru",
                                            "nul",
                                            "True",
                                            "{\"b\":1,\"a\":2}",
                                            "{\"a\":{\"z\":1,\"y\":[{\"q\":1,\"p\":2},3]},\"A\":0}",
                                            "{\"a\" : [1 , 2 ,\t3]\n}\r\n",
                                            "\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"",
                                            "\"\\u0041\\u00e9\\u20ac\"",
                                            "\"\\ud83d\\ude00\"",
                                            "\"\\ud83d\"",
                                            "\"\\ude00\"",
                                            "\"\\ud83dx\"",
                                            "\"\\ud83d\\u0041\"",
                                            "\"\\u0000\"",
                                            "\"\\u00\"",
                                            "\"\\x\"",
                                            "\"\\",
                                            "\"abc",
                                            "\"a\nb\"",
                                            "\"\x7f\"",
                                            "{\"\\u0061\":1,\"b\":2}",
                                            "{\"b\\n\":1,\"b\":2,\"b!\":3}",
                                            "{\"\xef\xbf\xbd\":1,\"\xf0\x9f\x98\x80\":2,\"z\":3}",
                                            "{\"\\ufffd\":1,\"\\ud83d\\ude00\":2}",
                                            "{\"a\":1,}",
                                            "[1,]",
                                            "[,1]",
                                            "{,}",
                                            "{\"a\"}",
                                            "{\"a\":}",
                                            "{a:1}",
                                            "{1:1}",
                                            "[1 2]",
                                            "{\"a\":1 \"b\":2}",
                                            "[",
                                            "{",
                                            "]",
                                            "}",
                                            "{\"a\":[}",
                                            "1 2",
                                            "{} {}",
                                            "",
                                            " ",
                                            "\xc3\x28",
                                            "\"\xff\"",
                                            "\"\xed\xa0\x80\"",
                                            "{\"\":1}",
                                            "{\"a\":\"\"}",
                                            "[[[[[[]]]]]]",
                                            "[{\"b\":{\"d\":1,\"c\":2},\"a\":{\"f\":[],\"e\":{}}}]"};
        HttpJson j = {0};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                check_same(&j, texts[i], strlen(texts[i]));
        check_same(&j, "\"a\0b\"", 5);
        check_same(&j, "{}\0", 3);
        http_json_deinit(&j);
}

Test(http_json, the_last_of_repeated_keys_wins) {
        HttpJson j = {0};
        Slice text = SLICE("{\"b\":1,\"a\":2,\"b\":3,\"a\":{\"x\":1,\"x\":2},\"\\u0062\":4}");
        cr_assert_eq(http_json_canonical(&j, text), 0);
        cr_assert(slice_eq_str(buf_slice(&j.text), "{\"a\":{\"x\":2},\"b\":4}"), "%.*s",
                  SLICE_ARG(buf_slice(&j.text)));
        cr_assert_eq(j.n_members, 2);
        http_json_deinit(&j);
}

Test(http_json, members_are_where_they_say) {
        HttpJson j = {0};
        Slice text = SLICE("{\"zz\":[1, 2],\"a\":{\"c\":1,\"b\":null},\"m\":\"x\"}");
        static const char *const keys[] = {"\"a\"", "\"m\"", "\"zz\""},
                                 *const values[] = {"{\"b\":null,\"c\":1}", "\"x\"", "[1,2]"};
        cr_assert_eq(http_json_canonical(&j, text), 0);
        cr_assert_eq(j.n_members, 3);
        for (size_t i = 0; i < 3; i++) {
                const HttpJsonMember *m = &j.members[i];
                cr_assert(slice_eq_str((Slice){j.text.data + m->key, m->n_key}, keys[i]));
                cr_assert(slice_eq_str((Slice){j.text.data + m->value, m->n_value}, values[i]));
        }
        http_json_deinit(&j);
}

Test(http_json, depth_is_bounded) {
        HttpJson j = {0};
        char text[2 * (JSON_DEPTH_MAX + 1)];
        for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                cr_assert_eq(http_json_canonical(&j, (Slice){text, 2 * depth}),
                             depth > JSON_DEPTH_MAX ? -EBADMSG : 0);
        }
        http_json_deinit(&j);
}

/* ---- made-up documents --------------------------------------------------------------------------------- */

typedef struct Maker {
        uint64_t state;
        Buf b;
} Maker;

static unsigned draw(Maker *m, unsigned n) {
        m->state = m->state * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(m->state >> 33) % n;
}

static void put_any_string(Maker *m) {
        static const char *const pieces[] = {"a",
                                             "b",
                                             "zz",
                                             "\\n",
                                             "\\u00e9",
                                             "\xc3\xa9",
                                             "\\ud83d\\ude00",
                                             "\xf0\x9f\x98\x80",
                                             "\\/",
                                             "\xef\xbf\xbd",
                                             "\\u0001",
                                             "0"};
        buf_put_char(&m->b, '"');
        for (unsigned i = draw(m, 5); i > 0; i--)
                buf_put_str(&m->b, pieces[draw(m, sizeof(pieces) / sizeof(pieces[0]))]);
        buf_put_char(&m->b, '"');
}

static void put_any(Maker *m, unsigned depth) {
        switch (draw(m, depth > 5 ? 5 : 8)) {
        case 0: put_any_string(m); break;
        case 1: buf_printf(&m->b, "%d", (int)draw(m, 2000000) - 1000000); break;
        case 2:
                buf_printf(&m->b, "%.*g", (int)draw(m, 17) + 1,
                           (draw(m, 1000000) - 500000.0) / (draw(m, 1000) + 1));
                break;
        case 3: buf_put_str(&m->b, "null"); break;
        case 4:
                buf_printf(&m->b, "%u%09u%09ue%d", draw(m, 999) + 1, draw(m, 999999999), draw(m, 999999999),
                           (int)draw(m, 40) - 20);
                break;
        case 5:
                buf_put_char(&m->b, '[');
                for (unsigned i = 0, n = draw(m, 5); i < n; i++) {
                        buf_put_str(&m->b, i ? ", " : "");
                        put_any(m, depth + 1);
                }
                buf_put_char(&m->b, ']');
                break;
        default:
                buf_put_char(&m->b, '{');
                for (unsigned i = 0, n = draw(m, 20); i < n; i++) {
                        buf_put_str(&m->b, i ? " ,\n" : " ");
                        put_any_string(m);
                        buf_put_char(&m->b, ':');
                        put_any(m, depth + 1);
                }
                buf_put_char(&m->b, '}');
        }
}

Test(http_json, agrees_on_made_up_documents) {
        HttpJson j = {0};
        unsigned n_good = 0;
        for (uint64_t seed = 0; seed < 3000; seed++) {
                Maker m = {.state = seed};
                put_any(&m, 0);
                cr_assert_eq(m.b.error, 0);
                json_t *tree = json_parse_own(buf_slice(
                                &m.b)); /* NULL where keys repeat: the two differ there on purpose */
                if (tree)
                        check_same(&j, m.b.data, m.b.n);
                n_good += tree != NULL;
                json_decref(tree);
                /* And with one byte wrong. */
                m.b.data[draw(&m, (unsigned)m.b.n)] = (char)draw(&m, 128);
                if (http_json_canonical(&j, buf_slice(&m.b)) == 0) {
                        Buf copy = {0}, again = {0};
                        buf_put_slice(&copy, buf_slice(&j.text));
                        cr_assert_eq(http_json_canonical(&j, buf_slice(&copy)), 0);
                        cr_assert(slice_eq(buf_slice(&j.text), buf_slice(&copy)),
                                  "canonical form is not a fixed point");
                        tree = json_parse_own(buf_slice(&copy));
                        cr_assert_not_null(tree, "%.*s", SLICE_ARG(buf_slice(&copy)));
                        cr_assert_eq(json_canonical(tree, &again), 0);
                        cr_assert(slice_eq(buf_slice(&again), buf_slice(&copy)));
                        json_decref(tree);
                        buf_deinit(&copy);
                        buf_deinit(&again);
                }
                buf_deinit(&m.b);
        }
        cr_assert_gt(n_good, 1000);
        http_json_deinit(&j);
}
