/* Patterns mean what ECMAScript says they mean. */

#include "cases.h"
#include "schema/ecma.h"

TestSuite(ecma, .fini = check_leaks);

typedef struct Match {
        const char *pattern, *text;
        bool matches;
} Match;

static void run_match(const Match *m) {
        json_t *schema = json_pack("{s:s}", "pattern", m->pattern), *text = json_string(m->text);
        _cleanup_(report_deinit) Report report = {0};
        JsonAt at = json_at_root(schema, &report);
        _cleanup_(schema_unref_p) Schema *s = schema_compile(&at);
        cr_expect(s, "%s: %s", m->pattern, report.n_details ? report.details[0].message : "");
        if (s)
                cr_expect_eq(schema_validate(s, text, NULL), !m->matches, "/%s/u with \"%s\"", m->pattern,
                             m->text);
        json_decref(schema);
        json_decref(text);
}

Test(ecma, matches) {
        static const Match cases[] = {
                        /* anchors and the dot */
                        {"^a$", "a", true},
                        {"^a$", "a\n", false},
                        {"^a$", "b\na", false},
                        {"a.c",
                         "a\xc3\xa4"
                         "c",
                         true},
                        {"a.c", "a\nc", false},
                        {"a.c", "a\rc", false},
                        {"a.c",
                         "a\xe2\x80\xa8"
                         "c",
                         false},
                        {"a.c",
                         "a\x0b"
                         "c",
                         true},
                        {"a.c",
                         "a\xc2\x85"
                         "c",
                         true},
                        {"^.$", "\xf0\x9f\x98\x80", true},
                        {"\\bb\\b", "a b c", true},
                        {"\\bb\\b", "abc", false},
                        {"\\Bb", "ab", true},
                        {"\\b\xc3\xa4", "\xc3\xa4", false},
                        /* sets */
                        {"^\\d$", "7", true},
                        {"^\\d$", "\xd9\xa3", false},
                        {"^\\D$", "\xd9\xa3", true},
                        {"^\\w$", "_", true},
                        {"^\\w$", "\xc3\xa4", false},
                        {"^\\W$", "\xc3\xa4", true},
                        {"^\\s$", "\xc2\xa0", true},
                        {"^\\s$", "\xef\xbb\xbf", true},
                        {"^\\s$", "\xe2\x80\x89", true},
                        {"^\\s$", "\x0b", true},
                        {"^\\s$", "\xc2\x85", false},
                        {"^\\S$", "\xc2\x85", true},
                        {"^\\S$", "\xc2\xa0", false},
                        {"^[\\S]$", "\xc2\xa0", false},
                        {"^[\\S]$", "x", true},
                        {"^[^\\s]$", " ", false},
                        {"^[\\s\\d]+$", "1 2\xe3\x80\x80", true},
                        {"^[\\w.-]+$", "a.b-c", true},
                        {"^[^\\W]$", "a", true},
                        {"^\\p{L}+$", "a\xc3\xa4\xd0\xb6", true},
                        {"^\\p{Letter}$", "1", false},
                        {"^\\P{L}$", "1", true},
                        {"^\\p{Lu}$", "\xc3\x84", true},
                        {"^\\p{Uppercase_Letter}$", "a", false},
                        {"^\\p{Script=Greek}$", "\xce\xb1", true},
                        {"^\\p{sc=Greek}$", "a", false},
                        {"^\\p{gc=Nd}$", "\xd9\xa3", true},
                        {"^\\p{General_Category=Decimal_Number}$", "x", false},
                        {"^[\\p{Nd}x]$", "\xd9\xa3", true},
                        {"^\\p{punct}$", "!", true},
                        {"^\\p{Assigned}$", "a", true},
                        {"^\\p{ASCII}$", "\xc3\xa4", false},
                        {"^\\p{Alphabetic}$", "\xc3\xa4", true},
                        /* characters */
                        {"^\\t\\n\\v\\f\\r$", "\t\n\x0b\x0c\r", true},
                        {"^\\v$", "\n", false},
                        {"^\\cA\\cz$", "\x01\x1a", true},
                        {"^\\x41\\u0042\\u{43}$", "ABC", true},
                        {"^\\u{1F600}$", "\xf0\x9f\x98\x80", true},
                        {"^\\ud83d\\ude00$", "\xf0\x9f\x98\x80", true},
                        {"^[\\ud83d\\ude00-\\ud83d\\ude02]$", "\xf0\x9f\x98\x81", true},
                        {"^\\/\\.\\*\\-\\_$", "/.*-_", true},
                        {"^[\\b]$", "\x08", true},
                        {"#", "#", true},
                        {"a b", "a b", true},
                        /* classes */
                        {"^[]$", "", false},
                        {"[]", "x", false},
                        {"^[^]$", "\n", true},
                        {"^[[:alpha:]]$", ":]", true},
                        {"^[[:alpha:]]$", "b]", false},
                        {"^[[:alpha:]]$", "b", false},
                        {"^[a-c]$", "b", true},
                        {"^[a-c-e]+$", "a-e", true},
                        {"^[-a]$", "-", true},
                        {"^[a-]$", "-", true},
                        {"^[\\d-x]$", "-", true},
                        {"^[\\d-x]$", "a", false},
                        {"^[a\\-c]$", "b", false},
                        {"^[.$^*(]+$", "$^.*(", true},
                        {"^[\\]]$", "]", true},
                        {"^[^a-z]$", "A", true},
                        {"^[\\\\]$", "\\", true},
                        {"^[&&~~]+$", "&~", true},
                        /* groups and repeats */
                        {"^(?:ab)+$", "abab", true},
                        {"^(a)\\1$", "aa", true},
                        {"^(?<n>a)\\k<n>$", "aa", true},
                        {"^(?:(a)|b)\\1$", "b", true},
                        {"^(?=a)a$", "a", true},
                        {"^(?!a).$", "b", true},
                        {"(?<=a)b", "ab", true},
                        {"(?<!a)b", "ab", false},
                        {"^a{2}$", "aa", true},
                        {"^a{2,}$", "a", false},
                        {"^a{1,2}?$", "aa", true},
                        {"^a*?$", "aaa", true},
                        {"^(a|b)+?$", "ab", true},
                        {"^{$", "{", true},
                        {"^a{,2}$", "a{,2}", true},
                        {"^{}$", "{}", true},
                        {"^]$", "]", true},
                        {"^x{a}$", "x{a}", true},
                        {"^(?=a)*a$", "a", true},
                        {"^(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10$", "abcdefghijj", true},
                        {"", "anything", true},
                        {"a|", "", true},
                        {"^(?:|x)$", "", true},
                        {"\\$\\{x\\}", "${x}", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                run_match(&cases[i]);
}

Test(ecma, refuses) {
        static const struct {
                const char *pattern, *part;
                size_t at;
        } cases[] = {
                        {"*", "nothing to repeat", 0},
                        {"a**", "nothing to repeat", 2},
                        {"a++", "nothing to repeat", 2},
                        {"a{2}{3}", "nothing to repeat", 4},
                        {"(*ACCEPT)", "nothing to repeat", 1},
                        {"^*", "nothing to repeat", 1},
                        {"a|?", "nothing to repeat", 2},
                        {"(?:+)", "nothing to repeat", 3},
                        {"(", "not closed", 1},
                        {"a)", "closes nothing", 1},
                        {"[a", "no closing bracket", 0},
                        {"\\", "escapes nothing", 0},
                        {"a\\", "escapes nothing", 1},
                        {"(?i)a", "no group that begins so", 0},
                        {"(?>a)", "no group", 0},
                        {"(?P<n>a)", "no group", 0},
                        {"(?R)", "no group", 0},
                        {"(?1)", "no group", 0},
                        {"(?#c)", "no group", 0},
                        {"(?C1)", "no group", 0},
                        {"(?|a)", "no group", 0},
                        {"(?<1>a)", "group's name", 0},
                        {"(?<>a)", "group's name", 0},
                        {"\\k<", "group's name", 0},
                        {"\\Z", "no such escape", 0},
                        {"\\A", "no such escape", 0},
                        {"\\a", "no such escape", 0},
                        {"\\e", "no such escape", 0},
                        {"\\h", "no such escape", 0},
                        {"\\Qa\\E", "no such escape", 0},
                        {"\\K", "no such escape", 0},
                        {"\\G", "no such escape", 0},
                        {"\\R", "no such escape", 0},
                        {"\\X", "no such escape", 0},
                        {"\\C", "no such escape", 0},
                        {"\\N", "no such escape", 0},
                        {"\\g1", "no such escape", 0},
                        {"[\\B]", "no such escape", 1},
                        {"[\\1]", "no such escape", 1},
                        {"\\01", "octal", 0},
                        {"\\x4", "two hexadecimal", 0},
                        {"\\u12", "four hexadecimal", 0},
                        {"\\u{}", "hexadecimal number", 0},
                        {"\\u{110000}", "hexadecimal number", 0},
                        {"\\ud800", "surrogate", 0},
                        {"[\\udc00-\\udfff]", "surrogate", 1},
                        {"\\c1", "followed by a letter", 0},
                        {"\\pL", "property in braces", 0},
                        {"\\p{}", "property in braces", 0},
                        {"\\p{L", "property in braces", 0},
                        {"\\p{a=b=c}", "property in braces", 0},
                        {"\\p{Block=x}", "take a value", 0},
                        {"[z-a]", "out of order", 1},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(buf_deinit) Buf b = {0};
                size_t at = 99;
                const char *fault = ecma_translate(&b, slice_from_str(cases[i].pattern), &at);
                cr_expect(fault && strstr(fault, cases[i].part), "%s: %s", cases[i].pattern, fault);
                cr_expect_eq(at, cases[i].at, "%s: at %zu", cases[i].pattern, at);
        }
}

Test(ecma, what_pcre2_cannot) {
        static const char *const patterns[] = {"(?<=a*)b", "\\p{NoSuchProperty}", "(a)\\2", "\\k<none>",
                                               "a{70000}", "(?<n>a)(?<n>b)"};
        for (size_t i = 0; i < N_ELEMENTS(patterns); i++) {
                json_t *schema = json_pack("{s:s}", "pattern", patterns[i]);
                _cleanup_(report_deinit) Report report = {0};
                JsonAt at = json_at_root(schema, &report);
                cr_expect_null(schema_compile(&at), "%s", patterns[i]);
                expect_fault(&report, "/pattern", "is not a pattern that can be used here");
                json_decref(schema);
        }
}
