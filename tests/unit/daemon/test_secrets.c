#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../leaks.h"
#include "daemon/secrets.h"

static char dir[64];

static void put(const char *name, const char *text) {
        char path[160];
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        FILE *f = fopen(path, "we");
        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
}

static void make_dir(void) {
        char path[160];
        snprintf(dir, sizeof(dir), "/tmp/runbook-secrets-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        static const char *const tenants[] = {"acme", "a%40b", "umbrella"};
        for (size_t i = 0; i < 3; i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, tenants[i]);
                cr_assert_eq(mkdir(path, 0700), 0);
        }
        put("shared", "everyone's\n");
        put("token", "nobody's in particular");
        put("acme/token", "acme's\n\n");
        put("a%40b/token", "encoded");
        put("acme/.hidden", "no");
        put("acme/empty", "");
}

static void remove_dir(void) {
        char command[160];
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
        check_leaks();
}

TestSuite(secrets, .init = make_dir, .fini = remove_dir);

static void check(const char *tenant, const char *name, const char *wanted) {
        char *got = secrets_get(dir, slice_from_str(tenant), slice_from_str(name));
        if (wanted)
                cr_assert(got && !strcmp(got, wanted), "%s/%s: %s", tenant, name, got ? got : "(none)");
        else
                cr_assert_null(got, "%s/%s: %s", tenant, name, got);
        free(got);
}

Test(secrets, the_tenants_own_goes_first) {
        check("acme", "token", "acme's\n"); /* one line break is the editor's, a second one the secret's */
        check("umbrella", "token", "nobody's in particular");
        check("acme", "shared", "everyone's");
        check("a@b", "token", "encoded");
        check("acme", "empty", "");
        check("acme", "none", NULL);
}

Test(secrets, names_lead_nowhere_else) {
        static const char *const names[] = {"",        ".",   "..",          "../token", "acme/token",
                                            ".hidden", "a b", "/etc/passwd", "tok\nen",  "acme"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                check("umbrella", names[i], NULL);
        check("../acme", "token", "nobody's in particular"); /* not acme's */
        check("..", "token", "nobody's in particular");
        check("", "token", "nobody's in particular");
}

Test(secrets, no_directory_no_secrets) {
        char *got = secrets_get(NULL, SLICE("acme"), SLICE("token"));
        cr_assert_null(got);
}

Test(secrets, absurd_sizes_are_refused) {
        char path[160];
        snprintf(path, sizeof(path), "%s/large", dir);
        FILE *f = fopen(path, "we");
        for (int i = 0; i <= SECRET_BYTES_MAX; i++)
                fputc('x', f);
        fclose(f);
        check("acme", "large", NULL);
}
