/* JSON pointers to lines of the file. */

#include <criterion/criterion.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "cli/locate.h"

TestSuite(locate, .fini = check_leaks);

static const char json[] = "{\n"                                                 /* 1 */
                           "  \"id\": \"a\", \"t\\\"x\": {\"y\": 1},\n"          /* 2 */
                           "  \"steps\": [\n"                                    /* 3 */
                           "    {\"id\": \"s{1]\", \"config\": {\"url\": 3}},\n" /* 4 */
                           "    {\n"                                             /* 5 */
                           "      \"id\": \"s2\",\n"                             /* 6 */
                           "      \"a/b\": true, \"c~d\": [1, [2, 3], 4]\n"      /* 7 */
                           "    }\n"                                             /* 8 */
                           "  ]\n"                                               /* 9 */
                           "}\n";

static const char yaml[] = "# comment\n"                /* 1 */
                           "---\n"                      /* 2 */
                           "id: a\n"                    /* 3 */
                           "description: |\n"           /* 4 */
                           "  steps:\n"                 /* 5: text, not a key */
                           "  - nothing\n"              /* 6 */
                           "\n"                         /* 7 */
                           "steps:\n"                   /* 8 */
                           "- id: s1\n"                 /* 9 */
                           "  config: {url: x, b: 1}\n" /* 10 */
                           "- id: s2\n"                 /* 11 */
                           "  \"quoted key\": 1\n"      /* 12 */
                           "  dependsOn:\n"             /* 13 */
                           "    - s1\n"                 /* 14 */
                           "    - - deep\n"             /* 15 */
                           "      - deeper\n"           /* 16 */
                           "metadata:\n"                /* 17 */
                           "    team: x\n";             /* 18 */

static void expect(const char *text, const char *pointer, int line, int column) {
        Location l = locate(slice_from_str(text), pointer);

        cr_expect_eq(l.line, line, "%s: line %d, not %d", pointer, l.line, line);
        if (column)
                cr_expect_eq(l.column, column, "%s: column %d, not %d", pointer, l.column, column);
}

Test(locate, json) {
        expect(json, "", 1, 1);
        expect(json, "/id", 2, 3);
        expect(json, "/steps", 3, 3);
        expect(json, "/steps/0", 4, 5);
        expect(json, "/steps/0/config/url", 4, 31);
        expect(json, "/steps/1", 5, 5);
        expect(json, "/steps/1/id", 6, 7);
        expect(json, "/steps/1/a~1b", 7, 7);
        expect(json, "/steps/1/c~0d/1/1", 7, 35);
}

Test(locate, json_missing_is_the_ancestor) {
        expect(json, "/steps/0/name", 4, 5);
        expect(json, "/steps/7", 3, 3);
        expect(json, "/steps/x", 3, 3);
        expect(json, "/nothing/at/all", 1, 1);
        expect(json, "/id/deeper", 2, 3);
}

Test(locate, yaml) {
        expect(yaml, "/id", 3, 1);
        expect(yaml, "/steps", 8, 1);
        expect(yaml, "/steps/0", 9, 3);
        expect(yaml, "/steps/0/id", 9, 3);
        expect(yaml, "/steps/0/config", 10, 3);
        expect(yaml, "/steps/1/quoted key", 12, 3);
        expect(yaml, "/steps/1/dependsOn/0", 14, 7);
        expect(yaml, "/steps/1/dependsOn/1/1", 16, 9);
        expect(yaml, "/metadata/team", 18, 5);
}

Test(locate, yaml_flow_and_missing_are_the_ancestor) {
        expect(yaml, "/steps/0/config/url", 10, 3);
        expect(yaml, "/steps/1/name", 11, 3);
        expect(yaml, "/steps/9", 8, 1);
        expect(yaml, "/absent", 3, 1);
}

/** Broken text must not be walked out of: the address sanitizer watches. */
Test(locate, anything_goes) {
        static const char *const texts[] = {"",       " ",       "{",        "{\"",        "{\"a",
                                            "{\"a\"", "{\"a\":", "{\"a\":[", "{\"a\":[1,", "{\"a\\",
                                            "-",      "- ",      "-\n-",     "a:",         "a:\n b",
                                            ":",      "\n\n",    "{]",       "{\"a\":}"};
        static const char *const pointers[] = {"", "/", "/a", "/a/0", "/0", "/a/b/c", "x", "/~", "/a~2"};

        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                for (size_t k = 0; k < N_ELEMENTS(pointers); k++) {
                        _cleanup_free_ char *exact = strndup(texts[i], strlen(texts[i]));
                        Location l = locate(slice_from_str(exact), pointers[k]);

                        cr_expect_geq(l.line, 0);
                }
}
