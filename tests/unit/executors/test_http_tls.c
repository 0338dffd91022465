/* TLS: certificates are verified, by authority and by name. The server is `openssl s_server`; without
 * openssl there is nothing to test. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../leaks.h"
#include "harness.h"

static Harness h;
static char dir[] = "/tmp/runbook-tls-XXXXXX", key[64], cert[64];
static pid_t pid;
static int port;

/** Its output comes through *ret_out; what it says on stderr is nobody's business. */
static pid_t start_openssl(const char *const *args, int *ret_out) {
        int out[2];
        cr_assert_eq(pipe(out), 0);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(out[1], 1);
                if (!freopen("/dev/null", "we", stderr))
                        _exit(127);
                close(out[0]);
                close(out[1]);
                execvp("openssl", (char *const *)args);
                _exit(127);
        }
        close(out[1]);
        *ret_out = out[0];
        return child;
}

static bool make_certificate(void) {
        const char *const args[] = {"openssl",
                                    "req",
                                    "-x509",
                                    "-newkey",
                                    "ec",
                                    "-pkeyopt",
                                    "ec_paramgen_curve:prime256v1",
                                    "-nodes",
                                    "-days",
                                    "1",
                                    "-subj",
                                    "/CN=localhost",
                                    "-addext",
                                    "subjectAltName=DNS:localhost",
                                    "-keyout",
                                    key,
                                    "-out",
                                    cert,
                                    NULL};
        int out, status = -1;
        pid_t child = start_openssl(args, &out);
        close(out);
        waitpid(child, &status, 0);
        return status == 0;
}

/** Its first lines say "ACCEPT 127.0.0.1:port". */
static void start_server(void) {
        const char *const args[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                                    cert,      "-key",     key,       "-www",        NULL};
        char text[512] = {0}, *found = NULL;
        int out;
        pid = start_openssl(args, &out);
        for (size_t n = 0; n < sizeof(text) - 1 && !(found && strchr(found, '\n'));) {
                ssize_t got = read(out, text + n, sizeof(text) - 1 - n);
                cr_assert_gt(got, 0, "openssl s_server does not start: %s", text);
                n += (size_t)got;
                found = strstr(text, "ACCEPT 127.0.0.1:");
        }
        cr_assert(found);
        port = atoi(found + strlen("ACCEPT 127.0.0.1:"));
}

static void set_up(void) {
        h = (Harness){0};
        cr_assert(mkdtemp(dir));
        snprintf(key, sizeof(key), "%s/key.pem", dir);
        snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
}

static void tear_down(void) {
        if (pid > 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
        }
        unlink(key);
        unlink(cert);
        rmdir(dir);
        harness_stop(&h);
        check_leaks();
}

TestSuite(http_tls, .init = set_up, .fini = tear_down, .timeout = 60);

static TaskResult call(const char *host) {
        char config[80];
        snprintf(config, sizeof(config), "{'url':'https://%s:%d/'}", host, port);
        return harness_call(&h, config, NULL);
}

Test(http_tls, certificates_are_verified) {
        if (!make_certificate())
                cr_skip_test("openssl can't be run");
        start_server();
        harness_start_executor(&h, NULL);
        TaskResult r = call("localhost");
        cr_assert_not(r.ok);
        cr_assert_str_eq(harness_string(r.error, "code"), "TLS", "%.*s", SLICE_ARG(value_bytes(r.error)));
        cr_assert(strstr(harness_string(r.error, "message"), "certificate"));
        harness_result_free(&r);
        harness_stop_executor(&h);

        harness_start_executor(&h, &(HttpSettings){.allow = "127.0.0.0/8,::1", .ca_file = cert});
        r = call("127.0.0.1"); /* the right authority, another name */
        cr_assert_not(r.ok);
        cr_assert_str_eq(harness_string(r.error, "code"), "TLS");
        harness_result_free(&r);
        for (int i = 0; i < 3; i++) {
                r = call("localhost");
                cr_assert(r.ok, "%.*s", SLICE_ARG(value_bytes(r.error)));
                cr_assert_eq(harness_integer(r.output, "status"), 200);
                harness_result_free(&r);
        }
}
