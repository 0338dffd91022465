/* Where settings come from, and in which order. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "client/settings.h"

static char home[64];

static void write_file(const char *name, const char *text) {
        char path[256];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", home, name);
        f = fopen(path, "w");
        cr_assert_not_null(f, "%s", path);
        fputs(text, f);
        fclose(f);
}

static void setup(void) {
        static const char *const dirs[] = {".config", ".config/nats", ".config/nats/context"};
        static const char *const variables[] = {
                        "NATS_URL",         "NATS_CREDS",     "NATS_USER",      "NATS_PASSWORD",
                        "NATS_TOKEN",       "NATS_NKEY",      "NATS_CA",        "NATS_CERT",
                        "NATS_KEY",         "NATS_CONTEXT",   "USER",           "LOGNAME",
                        "RUNBOOK_USER",     "RUNBOOK_TENANT", "RUNBOOK_PREFIX", "XDG_CONFIG_HOME",
                        "NATS_INBOX_PREFIX"};
        char path[256];

        strcpy(home, "/tmp/runbook-settings-XXXXXX");
        cr_assert_not_null(mkdtemp(home));
        for (size_t i = 0; i < N_ELEMENTS(dirs); i++) {
                snprintf(path, sizeof path, "%s/%s", home, dirs[i]);
                cr_assert_eq(mkdir(path, 0700), 0);
        }
        for (size_t i = 0; i < N_ELEMENTS(variables); i++)
                unsetenv(variables[i]);
        setenv("HOME", home, 1);
        setenv("USER", "system-user", 1);
        write_file(".config/nats/context/prod.json",
                   "{\"description\":\"p\",\"url\":\"nats://"
                   "prod:4222\",\"user\":\"ctx-user\",\"password\":\"ctx-pw\",\"ca\":\"~/ca.pem\","
                   "\"inbox_prefix\":\"_INBOX_prod\"}");
}

static void teardown(void) {
        char command[128];

        snprintf(command, sizeof command, "rm -r %s", home);
        cr_expect_eq(system(command), 0);
        check_leaks();
}

TestSuite(settings, .init = setup, .fini = teardown);

static int load(RunbookClientOptions o, ClientSettings *s, RunbookClientError *e) {
        o.size = sizeof o;
        return client_settings_load(&o, s, e);
}

Test(settings, defaults) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};
        RunbookClientError e = {0};

        cr_assert_eq(load((RunbookClientOptions){.use_environment = true}, &s, &e), 0, "%s", e.message);
        cr_expect_str_eq(s.servers, "nats://127.0.0.1:4222");
        cr_expect_str_eq(s.tenant, "default");
        cr_expect_str_eq(s.user, "system-user");
        cr_expect_str_eq(s.prefix, "runbook.v1");
        cr_expect_str_eq(s.inbox_prefix, "_INBOX");
        cr_expect_eq(s.timeout_ms, 5000);
        cr_expect_eq(s.attempts, 3);
}

Test(settings, user_must_be_said_without_environment) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};
        RunbookClientError e = {0};

        cr_expect_eq(load((RunbookClientOptions){0}, &s, &e), RUNBOOK_CLIENT_E_INVALID);
        cr_expect_not_null(strstr(e.message, "no user"));
}

Test(settings, environment_then_nothing_else_mixes_in) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};

        write_file(".config/nats/context.txt", "prod\n");
        setenv("NATS_URL", "nats://here:1", 1);
        setenv("RUNBOOK_TENANT", "acme", 1);
        cr_assert_eq(load((RunbookClientOptions){.use_environment = true}, &s, NULL), 0);
        cr_expect_str_eq(s.servers, "nats://here:1");
        cr_expect_str_eq(s.tenant, "acme");
        cr_expect_null(s.nats_user, "a selected context has no say once a server is given");
        cr_expect_str_eq(s.user, "system-user");
}

Test(settings, selected_context) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};
        char ca[128];

        write_file(".config/nats/context.txt", "prod\n");
        cr_assert_eq(load((RunbookClientOptions){.use_environment = true}, &s, NULL), 0);
        cr_expect_str_eq(s.servers, "nats://prod:4222");
        cr_expect_str_eq(s.nats_user, "ctx-user");
        cr_expect_str_eq(s.nats_password, "ctx-pw");
        cr_expect_str_eq(s.user, "ctx-user", "the NATS user is who we are");
        cr_expect_str_eq(s.inbox_prefix, "_INBOX_prod");
        snprintf(ca, sizeof ca, "%s/ca.pem", home);
        cr_expect_str_eq(s.tls_ca, ca);
}

Test(settings, named_context_and_one_identity_only) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};

        setenv("NATS_CONTEXT", "prod", 1);
        setenv("NATS_TOKEN", "tok", 1);
        cr_assert_eq(load((RunbookClientOptions){.use_environment = true, .user = "alice"}, &s, NULL), 0);
        cr_expect_str_eq(s.servers, "nats://prod:4222");
        cr_expect_str_eq(s.nats_token, "tok");
        cr_expect_null(s.nats_user, "whoever names an identity names all of it");
        cr_expect_null(s.nats_password);
        cr_expect_str_eq(s.user, "alice");
}

Test(settings, user_and_password_of_one_source_stay_together) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};

        setenv("NATS_USER", "bob", 1);
        setenv("NATS_PASSWORD", "bobs", 1);
        cr_assert_eq(load((RunbookClientOptions){.use_environment = true, .nats_context = "prod"}, &s, NULL),
                     0);
        cr_expect_str_eq(s.nats_user, "bob");
        cr_expect_str_eq(s.nats_password, "bobs");
        cr_expect_str_eq(s.user, "bob");
}

Test(settings, user_in_the_url) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0}, t = {0};

        cr_assert_eq(load((RunbookClientOptions){.servers = "nats://carol:pw@h:1,nats://h:2"}, &s, NULL), 0);
        cr_expect_str_eq(s.user, "carol");
        cr_expect_eq(load((RunbookClientOptions){.servers = "nats://token@h:1"}, &t, NULL),
                     RUNBOOK_CLIENT_E_INVALID);
}

Test(settings, context_trouble_is_told) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0}, t = {0}, u = {0};
        RunbookClientError e = {0};

        cr_expect_eq(load((RunbookClientOptions){.nats_context = "absent", .user = "a"}, &s, &e),
                     RUNBOOK_CLIENT_E_CONFIG);
        cr_expect_not_null(strstr(e.message, "context/absent.json: No such file"), "%s", e.message);
        write_file("bad.json", "{oops");
        char path[128];
        snprintf(path, sizeof path, "%s/bad.json", home);
        cr_expect_eq(load((RunbookClientOptions){.nats_context = path, .user = "a"}, &t, &e),
                     RUNBOOK_CLIENT_E_CONFIG);
        cr_expect_not_null(strstr(e.message, "is not JSON"), "%s", e.message);
        write_file("bad.json", "[]");
        cr_expect_eq(load((RunbookClientOptions){.nats_context = path, .user = "a"}, &u, &e),
                     RUNBOOK_CLIENT_E_CONFIG);
        cr_expect_not_null(strstr(e.message, "not a JSON object"), "%s", e.message);
}

Test(settings, options_of_an_older_program_are_shorter) {
        _cleanup_(client_settings_deinit) ClientSettings s = {0};
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;

        o.servers = "nats://h:1";
        o.user = "not looked at";
        o.size = offsetof(RunbookClientOptions, nats_context);
        cr_expect_eq(client_settings_load(&o, &s, NULL), RUNBOOK_CLIENT_E_INVALID,
                     "no user within the size that it knows");
        cr_expect_str_eq(s.servers, "nats://h:1");
        o.size = 0;
        cr_expect_eq(client_settings_load(&o, &s, NULL), RUNBOOK_CLIENT_E_INVALID);
}

Test(settings, name_in_credentials) {
        /* {"typ":"JWT","alg":"ed25519-nkey"} . {"sub":"UABC","name":"dana@acme","nats":{}} . signature */
        write_file("u.creds", "-----BEGIN NATS USER JWT-----\n"
                              "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ."
                              "eyJzdWIiOiJVQUJDIiwibmFtZSI6ImRhbmFAYWNtZSIsIm5hdHMiOnt9fQ.c2ln\n"
                              "------END NATS USER JWT------\n");
        char path[128];
        snprintf(path, sizeof path, "%s/u.creds", home);
        _cleanup_free_ char *name = credentials_user_name(path);
        cr_expect_str_eq(name, "dana@acme");
        write_file("u.creds", "-----BEGIN NATS USER JWT-----\nnot a jwt\n");
        cr_expect_null(credentials_user_name(path));
}

Test(settings, public_key_of_a_seed) {
        RunbookClientError e = {0};
        _cleanup_free_ char *key = NULL, *none = NULL;
        char path[128];

        snprintf(path, sizeof path, "%s/seed.nk", home);
        write_file("seed.nk", "# a user\nSUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n");
        cr_assert_eq(credentials_public_key(path, &key, &e), 0, "%s", e.message);
        cr_expect_str_eq(key, "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
        write_file("seed.nk", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VA\n"); /* checksum */
        cr_expect_eq(credentials_public_key(path, &none, &e), RUNBOOK_CLIENT_E_CONFIG);
        cr_expect_eq(credentials_public_key("/nonexistent", &none, &e), RUNBOOK_CLIENT_E_CONFIG);
}
