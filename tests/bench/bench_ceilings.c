/*
 * What this machine could do at best at this moment, to read the other figures by: the disk's fdatasync,
 * and nats-server with plain and with stored messages.
 *
 *     bench_ceilings --url URL --dir DIRECTORY [--seconds S]
 *
 * Prints one JSON object: fdatasync_append_p50_ms (4 KiB appended and synced), core_publish_per_second
 * (256-byte messages, one subscriber-less subject), jetstream_publish_per_second (the same into a file
 * stream, all but one of 100 without an acknowledgement), request_p50_ms (a request to a responder on a
 * second connection, one at a time).
 */

#include <fcntl.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 256
#define AUDIT_BYTES   600 /* a lifecycle event */
#define BLOCK_BYTES   4096
#define SYNCS_MAX     20000
#define REQUESTS      2000
#define TIMEOUT_MS    5000

static int64_t now_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(natsStatus s, const char *what) {
        if (s == NATS_OK)
                return;
        fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(s));
        exit(1);
}

static int compare(const void *a, const void *b) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

static double median_ms(int64_t *samples, size_t n) {
        if (n == 0)
                return 0;
        qsort(samples, n, sizeof *samples, compare);
        return (double)samples[n / 2] / 1e6;
}

static double measure_sync(const char *dir, double seconds) {
        static int64_t samples[SYNCS_MAX];
        static char block[BLOCK_BYTES];
        char path[4096];
        size_t n = 0;
        int64_t end = now_ns() + (int64_t)(seconds * 1e9);
        int fd;

        snprintf(path, sizeof path, "%s/ceiling", dir);
        fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) {
                perror(path);
                exit(1);
        }
        while (n < SYNCS_MAX && now_ns() < end) {
                int64_t begun = now_ns();

                if (write(fd, block, sizeof block) != (ssize_t)sizeof block || fdatasync(fd) < 0) {
                        perror(path);
                        exit(1);
                }
                samples[n++] = now_ns() - begun;
        }
        close(fd);
        unlink(path);
        return median_ms(samples, n);
}

static double measure_core(natsConnection *nc, double seconds) {
        static const char payload[MESSAGE_BYTES];
        int64_t begun = now_ns(), end = begun + (int64_t)(seconds * 1e9);
        uint64_t n = 0;

        while (now_ns() < end)
                for (int i = 0; i < 1000; i++, n++)
                        must(natsConnection_Publish(nc, "ceiling.core", payload, sizeof payload), "publish");
        must(natsConnection_FlushTimeout(nc, TIMEOUT_MS), "flush");
        return (double)n / ((double)(now_ns() - begun) / 1e9);
}

static double measure_stream(natsConnection *nc, double seconds) {
        static const char payload[MESSAGE_BYTES];
        const char *subjects[] = {"ceiling.stream"};
        jsCtx *js = NULL;
        jsStreamConfig config;
        int64_t begun, end;
        uint64_t n = 0;

        must(natsConnection_JetStream(&js, nc, NULL), "jetstream");
        must(jsStreamConfig_Init(&config), "stream");
        config.Name = "CEILING";
        config.Subjects = subjects;
        config.SubjectsLen = 1;
        must(js_AddStream(NULL, js, &config, NULL, NULL), "stream");
        begun = now_ns();
        end = begun + (int64_t)(seconds * 1e9);
        while (now_ns() < end) {
                for (int i = 0; i < 99; i++, n++)
                        must(natsConnection_Publish(nc, subjects[0], payload, sizeof payload), "publish");
                must(js_Publish(NULL, js, subjects[0], payload, sizeof payload, NULL, NULL),
                     "publish with acknowledgement");
                n++;
        }
        end = now_ns();
        must(js_DeleteStream(js, "CEILING", NULL, NULL), "stream");
        jsCtx_Destroy(js);
        return (double)n / ((double)(end - begun) / 1e9);
}

/**
 * As the audit stream is written to: 600 bytes under a message id, the subject's execution changes every 12
 * messages. The server keeps books on both, so this costs it several times the plain message.
 */
static double measure_audit(natsConnection *nc, double seconds) {
        static const char payload[AUDIT_BYTES];
        const char *subjects[] = {"ceiling.audit.>"};
        jsCtx *js = NULL;
        jsStreamConfig config;
        int64_t begun, end;
        uint64_t n = 0;

        must(natsConnection_JetStream(&js, nc, NULL), "jetstream");
        must(jsStreamConfig_Init(&config), "stream");
        config.Name = "CEILING_AUDIT";
        config.Subjects = subjects;
        config.SubjectsLen = 1;
        must(js_AddStream(NULL, js, &config, NULL, NULL), "stream");
        begun = now_ns();
        end = begun + (int64_t)(seconds * 1e9);
        while (now_ns() < end) {
                char subject[128], id[64];

                for (int i = 0; i < 100; i++, n++) {
                        natsMsg *msg = NULL;

                        snprintf(subject, sizeof subject,
                                 "ceiling.audit.0190b7a2-5b1c-7cc0-9a3e-%012" PRIx64 ".step.%s", n / 12,
                                 n % 2 ? "completed" : "started");
                        snprintf(id, sizeof id, "0190b7a2-5b1c-7cc0-9a3e-%012" PRIx64 "/%" PRIu64, n / 12,
                                 n % 12);
                        must(natsMsg_Create(&msg, subject, NULL, payload, sizeof payload), "message");
                        must(natsMsgHeader_Set(msg, "Nats-Msg-Id", id), "header");
                        if (i < 99)
                                must(natsConnection_PublishMsg(nc, msg), "publish");
                        else
                                must(js_PublishMsg(NULL, js, msg, NULL, NULL),
                                     "publish with acknowledgement");
                        natsMsg_Destroy(msg);
                }
        }
        end = now_ns();
        must(js_DeleteStream(js, "CEILING_AUDIT", NULL, NULL), "stream");
        jsCtx_Destroy(js);
        return (double)n / ((double)(end - begun) / 1e9);
}

static void respond(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *userdata) {
        natsConnection_Publish(nc, natsMsg_GetReply(msg), "ok", 2);
        natsMsg_Destroy(msg);
}

static natsConnection *connect_to(const char *url) {
        natsOptions *o = NULL;
        natsConnection *nc = NULL;

        must(natsOptions_Create(&o), "options");
        must(natsOptions_SetURL(o, url), "url");
        must(natsOptions_SetSendAsap(o, true), "options");
        must(natsConnection_Connect(&nc, o), url);
        natsOptions_Destroy(o);
        return nc;
}

static double measure_request(const char *url) {
        static int64_t samples[REQUESTS];
        natsConnection *asker = connect_to(url), *responder = connect_to(url);
        natsSubscription *sub = NULL;
        double median;

        must(natsConnection_Subscribe(&sub, responder, "ceiling.request", respond, NULL), "subscribe");
        must(natsConnection_FlushTimeout(responder, TIMEOUT_MS), "flush");
        for (size_t i = 0; i < REQUESTS; i++) {
                natsMsg *reply = NULL;
                int64_t begun = now_ns();

                must(natsConnection_RequestString(&reply, asker, "ceiling.request", "x", TIMEOUT_MS),
                     "request");
                samples[i] = now_ns() - begun;
                natsMsg_Destroy(reply);
        }
        median = median_ms(samples, REQUESTS);
        natsSubscription_Destroy(sub);
        natsConnection_Destroy(asker);
        natsConnection_Destroy(responder);
        return median;
}

int main(int argc, char **argv) {
        const char *url = NULL, *dir = NULL;
        double seconds = 1, sync_ms, core, stream, audit, request_ms;
        natsOptions *options = NULL;
        natsConnection *nc = NULL;

        for (int i = 1; i + 1 < argc; i += 2) {
                if (strcmp(argv[i], "--url") == 0)
                        url = argv[i + 1];
                else if (strcmp(argv[i], "--dir") == 0)
                        dir = argv[i + 1];
                else if (strcmp(argv[i], "--seconds") == 0)
                        seconds = strtod(argv[i + 1], NULL);
        }
        if (!url || !dir || seconds <= 0) {
                fprintf(stderr, "usage: bench_ceilings --url URL --dir DIRECTORY [--seconds S]\n");
                return 2;
        }
        must(natsOptions_Create(&options), "options");
        must(natsOptions_SetURL(options, url), "url");
        must(natsConnection_Connect(&nc, options), url);
        natsOptions_Destroy(options);
        sync_ms = measure_sync(dir, seconds);
        core = measure_core(nc, seconds);
        stream = measure_stream(nc, seconds);
        audit = measure_audit(nc, seconds);
        request_ms = measure_request(url);
        printf("{\"fdatasync_append_p50_ms\":%.3f,\"core_publish_per_second\":%.0f,\"jetstream_publish_per_"
               "second\":%.0f,"
               "\"audit_publish_per_second\":%.0f,\"request_p50_ms\":%.3f}\n",
               sync_ms, core, stream, audit, request_ms);
        natsConnection_Destroy(nc);
        nats_Close();
        return 0;
}
