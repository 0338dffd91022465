/* A nats-server of our own for a test. */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "test_server.h"

#define START_TRIES 500 /* of 10 ms */

static void fail(const char *what) {
        fprintf(stderr, "test server: %s: %s\n", what, strerror(errno));
        abort();
}

void test_sleep_ms(int ms) { nanosleep(&(struct timespec){ms / 1000, (ms % 1000) * 1000000L}, NULL); }

static void spawn(TestServer *s) {
        char config[128], log[128];
        pid_t parent = getpid();

        snprintf(config, sizeof config, "%s/nats.conf", s->dir);
        snprintf(log, sizeof log, "%s/nats.log", s->dir);
        s->pid = fork();
        if (s->pid < 0)
                fail("fork");
        if (s->pid > 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever happens to the test, the server doesn't stay */
        if (getppid() != parent)
                _exit(1);
        execlp("nats-server", "nats-server", "-c", config, "-l", log, "--ports_file_dir", s->dir,
               (char *)NULL);
        _exit(127);
}

/** The port that the server wrote into its ports file; 0 as long as there is none. */
static int read_port(const TestServer *s) {
        char path[128], text[512] = "", *p;
        FILE *f;

        snprintf(path, sizeof path, "%s/nats-server_%d.ports", s->dir, (int)s->pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        (void)!fread(text, 1, sizeof text - 1, f);
        fclose(f);
        p = strstr(text, "nats://");
        p = p ? strrchr(p, ':') : NULL;
        return p ? atoi(p + 1) : 0;
}

static bool answers(int port) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool ok;

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        if (fd >= 0)
                close(fd);
        return ok;
}

static void wait_until_up(TestServer *s) {
        for (int i = 0; i < START_TRIES; i++) {
                if (s->port == 0)
                        s->port = read_port(s);
                if (s->port > 0 && answers(s->port))
                        return;
                test_sleep_ms(10);
        }
        fail("nats-server does not come up");
}

static void write_config(const TestServer *s, const char *config) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/nats.conf", s->dir);
        f = fopen(path, "we");
        if (!f)
                fail(path);
        fprintf(f, "listen: 127.0.0.1:%d\njetstream { store_dir: \"%s/js\" }\n%s\n", s->port ? s->port : -1,
                s->dir, config ? config : "");
        fclose(f);
}

void test_server_start(TestServer *s, const char *config) {
        *s = (TestServer){0};
        snprintf(s->dir, sizeof s->dir, "/tmp/runbook-test-XXXXXX");
        if (!mkdtemp(s->dir))
                fail(s->dir);
        write_config(s, config);
        spawn(s);
        wait_until_up(s);
        snprintf(s->url, sizeof s->url, "nats://127.0.0.1:%d", s->port);
        write_config(s, config); /* from now on with its port, for a restart */
}

static void kill_server(TestServer *s) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
}

void test_server_restart(TestServer *s, int down_ms) {
        kill_server(s);
        test_sleep_ms(down_ms);
        spawn(s);
        wait_until_up(s);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st, (void)type, (void)ftw;
        return remove(path);
}

void test_server_stop(TestServer *s) {
        if (s->pid <= 0)
                return;
        kill_server(s);
        nftw(s->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
