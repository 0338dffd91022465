/*
 * The same calls over REST and over NATS, side by side
 *
 *     bench_rest NATS_URL PORT RUNBOOK_ID SECONDS
 *
 * One caller at a time for the latency, many for the throughput; each is a thread with a connection of its own that
 * waits for its answer. Prints one JSON line a case. An engine must be there, with RUNBOOK_ID registered in tenant
 * "bench" and AUTH_MODE=none.
 */

#include <arpa/inet.h>
#include <nats/nats.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLERS_MAX  64
#define SAMPLES_MAX  (1 << 20)
#define WARM_CALLERS 4
#define WARM_S       0.3

typedef struct Caller {
        pthread_t thread;
        bool is_rest, is_start;
        unsigned number;
        uint64_t n;
        double *samples_ms;
} Caller;

static const char *nats_url, *runbook_id;
static int port;
static atomic_bool stops;
static atomic_ullong next_input;

static double now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what) {
        fprintf(stderr, "bench_rest: %s\n", what);
        exit(1);
}

static size_t start_body(char *ret, size_t size) {
        unsigned long long n = atomic_fetch_add(&next_input, 1);

        return (size_t)snprintf(ret, size,
                                "{\"runbookId\":\"%s\",\"context\":{\"legalBasis\":{\"authority\":\"BENCH\","
                                "\"classification\":\"NONE\"}},\"input\":{\"n\":%llu},"
                                "\"commandId\":\"bench-%d-%llu\"}",
                                runbook_id, n, (int)getpid(), n);
}

/* ---- REST ------------------------------------------------------------------------------- */

static int connect_rest(void) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                die("cannot connect to the gateway");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return fd;
}

/** One request and its whole answer. */
static void call_rest(int fd, bool is_start) {
        static __thread char answer[65536];
        char body[512], request[1024];
        size_t n_body = is_start ? start_body(body, sizeof body) : 0, n = 0;
        int n_request = snprintf(request, sizeof request,
                                 "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: bench\r\nX-Tenant: bench\r\n"
                                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                                 is_start ? "POST /api/v1/executions" : "GET /api/v1/runbooks", n_body,
                                 (int)n_body, body);
        char *end = NULL, *length;

        if (send(fd, request, (size_t)n_request, MSG_NOSIGNAL) != n_request)
                die("the gateway has closed the connection");
        while (!end || n < (size_t)(end + 4 - answer) + (length ? strtoul(length + 16, NULL, 10) : 0)) {
                ssize_t k = recv(fd, answer + n, sizeof answer - 1 - n, 0);

                if (k <= 0)
                        die("the gateway has closed the connection");
                n += (size_t)k;
                answer[n] = 0;
                end = strstr(answer, "\r\n\r\n");
                length = strstr(answer, "Content-Length: ");
        }
        if (strncmp(answer, is_start ? "HTTP/1.1 201" : "HTTP/1.1 200", 12) != 0)
                die(answer);
}

/* ---- NATS ------------------------------------------------------------------------------- */

static natsConnection *connect_nats(void) {
        natsConnection *nc = NULL;
        natsOptions *o = NULL;

        if (natsOptions_Create(&o) != NATS_OK || natsOptions_SetURL(o, nats_url) != NATS_OK ||
            natsOptions_SetSendAsap(o, true) != NATS_OK || natsConnection_Connect(&nc, o) != NATS_OK)
                die("cannot connect to NATS");
        natsOptions_Destroy(o);
        return nc;
}

static void call_nats(natsConnection *nc, bool is_start) {
        char body[512] = "";
        natsMsg *answer = NULL;
        size_t n = is_start ? start_body(body, sizeof body) : 0;

        if (natsConnection_Request(&answer, nc,
                                   is_start ? "runbook.v1.bench.cmd.bench.start"
                                            : "runbook.v1.bench.query.bench.runbooks",
                                   body, (int)n, 5000) != NATS_OK ||
            strstr(natsMsg_GetData(answer), "\"error\""))
                die(answer ? natsMsg_GetData(answer) : "no answer over NATS");
        natsMsg_Destroy(answer);
}

/* ---- measuring --------------------------------------------------------------------------- */

static void *caller_main(void *userdata) {
        Caller *c = userdata;
        int fd = c->is_rest ? connect_rest() : -1;
        natsConnection *nc = c->is_rest ? NULL : connect_nats();

        while (!atomic_load(&stops)) {
                double begun = now_ms();

                if (c->is_rest)
                        call_rest(fd, c->is_start);
                else
                        call_nats(nc, c->is_start);
                if (c->samples_ms && c->n < SAMPLES_MAX)
                        c->samples_ms[c->n] = now_ms() - begun;
                c->n++;
        }
        if (fd >= 0)
                close(fd);
        natsConnection_Destroy(nc);
        return NULL;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double samples_ms[SAMPLES_MAX]; /* of the one caller's calls */

/** Call for @seconds. Gives the number of calls, and how long they took in all. */
static uint64_t call_all(bool is_rest, bool is_start, unsigned n_callers, double seconds,
                         double *ret_took_ms) {
        Caller callers[CALLERS_MAX] = {0};
        uint64_t n = 0;
        double begun = now_ms();

        atomic_store(&stops, false);
        for (unsigned i = 0; i < n_callers; i++) {
                callers[i] = (Caller){.is_rest = is_rest, .is_start = is_start, .number = i};
                callers[i].samples_ms = n_callers == 1 ? samples_ms : NULL;
                if (pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]) != 0)
                        die("no thread");
        }
        usleep((useconds_t)(seconds * 1e6));
        atomic_store(&stops, true);
        for (unsigned i = 0; i < n_callers; i++) {
                pthread_join(callers[i].thread, NULL);
                n += callers[i].n;
        }
        *ret_took_ms = now_ms() - begun;
        return n;
}

static void measure(bool is_rest, bool is_start, unsigned n_callers, double seconds) {
        double took;
        uint64_t n = call_all(is_rest, is_start, n_callers, seconds, &took);

        printf("{\"over\":\"%s\",\"call\":\"%s\",\"callers\":%u,\"calls\":%llu,\"per_second\":%.0f",
               is_rest ? "rest" : "nats", is_start ? "start" : "runbooks", n_callers, (unsigned long long)n,
               (double)n / took * 1e3);
        if (n_callers == 1 && n > 0) {
                size_t n_samples = n < SAMPLES_MAX ? n : SAMPLES_MAX;

                qsort(samples_ms, n_samples, sizeof samples_ms[0], compare);
                printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f", samples_ms[n_samples / 2],
                       samples_ms[n_samples * 99 / 100]);
        }
        puts("}");
        fflush(stdout);
}

int main(int argc, char **argv) {
        static const unsigned callers[] = {1, CALLERS_MAX};
        double took;

        if (argc != 5)
                die("usage: bench_rest NATS_URL PORT RUNBOOK_ID SECONDS");
        nats_url = argv[1];
        port = atoi(argv[2]);
        runbook_id = argv[3];
        call_all(true, false, WARM_CALLERS, WARM_S, &took); /* not a case: connections and caches warm up */
        for (int is_start = 0; is_start < 2; is_start++)
                for (size_t i = 0; i < 2; i++) {
                        measure(false, is_start, callers[i], atof(argv[4]));
                        measure(true, is_start, callers[i], atof(argv[4]));
                }
        nats_Close();
        return 0;
}
