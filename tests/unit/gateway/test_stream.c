/* The buffer between a source of events and a connection; the test plays both. */

#include <criterion/criterion.h>
#include "../leaks.h"
#include "gateway/http.h"
#include "gateway/stream.h"

TestSuite(stream, .fini = check_leaks);

typedef struct Source {
        Stream stream;
        int n_pumped, n_closed;
        bool *freed;
} Source;

static int n_suspended, n_resumed;

void connection_suspend(void *connection) { n_suspended++; }

void connection_resume(void *connection) { n_resumed++; }

bool connection_is_closing(void *connection) { return false; }

const char *request_header(const Request *r, const char *name) { return NULL; }

static void pump(Stream *s, int64_t now_ms) { ((Source *)s)->n_pumped++; }

static void gap(Stream *s) {}

static void close_source(Stream *s) { ((Source *)s)->n_closed++; }

static void free_source(Stream *s) {
        *((Source *)s)->freed = true;
        free(s);
}

static const StreamKind kind = {pump, gap, close_source, free_source};

typedef struct House {
        Gateway gateway;
        Request request;
        Source *source;
        bool freed;
} House;

static void open_house(House *h) {
        *h = (House){.source = calloc(1, sizeof(Source))};
        pthread_mutex_init(&h->gateway.streams_lock, NULL);
        list_init(&h->gateway.streams);
        h->request.gateway = &h->gateway;
        h->source->freed = &h->freed;
        cr_assert(stream_init(&h->source->stream, &kind, &h->request));
        stream_respond(&h->source->stream, &h->request);
        stream_unref(&h->source->stream); /* the list and the response have it */
        n_suspended = n_resumed = 0;
}

static void close_house(House *h) {
        stream_close(&h->source->stream);
        cr_expect(h->freed);
        cr_expect_eq(h->gateway.n_streams, 0);
        buf_deinit(&h->request.response.headers);
        buf_deinit(&h->request.response.body);
}

static void put(House *h, const char *id, const char *data) {
        Stream *s = &h->source->stream;

        pthread_mutex_lock(&s->lock);
        stream_put_locked(s, slice_from_str(id), "log", slice_from_str(data));
        stream_wake_locked(s);
        pthread_mutex_unlock(&s->lock);
}

/** All that can be read, in bites of @bite; owned text. */
static char *read_all(House *h, size_t bite, ssize_t *ret_last) {
        Buf all = {0};
        char part[4096];
        ssize_t n;

        while ((n = stream_read(&h->source->stream, part, bite)) > 0)
                buf_put(&all, part, (size_t)n);
        *ret_last = n;
        return buf_steal_str(&all);
}

Test(stream, events_come_as_they_were_put) {
        House h;
        ssize_t last;

        open_house(&h);
        put(&h, "1.0", "{\"a\":1}");
        put(&h, "2.0", "{}");
        char *text = read_all(&h, 3, &last);
        cr_expect_str_eq(text, "retry: 1000\n\nid: 1.0\nevent: log\ndata: {\"a\":1}\n\nid: 2.0\nevent: "
                               "log\ndata: {}\n\n");
        cr_expect_eq(last, 0);
        cr_expect_eq(n_suspended, 1);
        put(&h, "3.0", "{}");
        cr_expect_eq(n_resumed, 1);
        put(&h, "4.0", "{}");
        cr_expect_eq(n_resumed, 1); /* it is awake */
        free(text);
        close_house(&h);
}

Test(stream, room_ends_and_comes_back_by_reading) {
        House h;
        char data[1024];
        ssize_t last;
        size_t n = 0;

        open_house(&h);
        memset(data, 'x', sizeof data);
        data[sizeof data - 1] = 0;
        while (stream_has_room_locked(&h.source->stream) && n++ < 10000)
                put(&h, "1", data);
        cr_expect(n > 100 && n < 200, "%zu", n);
        free(read_all(&h, 4096, &last));
        cr_expect(stream_has_room_locked(&h.source->stream));
        cr_expect(h.source->n_pumped > 0);
        cr_expect_eq(h.source->stream.out.n, 0);
        close_house(&h);
}

Test(stream, a_stalled_reader_gets_the_rest_of_its_event_and_the_reason) {
        House h;
        char part[40];
        ssize_t last;

        open_house(&h);
        put(&h, "1", "first");
        put(&h, "2", "second");
        put(&h, "3", "third");
        cr_assert_eq(stream_read(&h.source->stream, part, 30), 30); /* into the first event */
        h.source->stream.read_ms -= STREAM_STALL_MS + 1;
        streams_tick(&h.gateway, link_now_ms());
        char *rest = read_all(&h, 4096, &last);
        cr_expect_not_null(strstr(rest, "first\n\nevent: dropped\ndata: {"), "%s", rest);
        cr_expect_null(strstr(rest, "data: second"));
        cr_expect_null(strstr(rest, "data: third"));
        cr_expect_eq(last, -1);
        free(rest);
        put(&h, "4", "fourth"); /* nothing comes behind the end */
        rest = read_all(&h, 4096, &last);
        cr_expect_str_empty(rest);
        free(rest);
        close_house(&h);
}

Test(stream, a_silent_one_gets_heartbeats) {
        House h;
        ssize_t last;

        open_house(&h);
        free(read_all(&h, 4096, &last));
        streams_tick(&h.gateway, link_now_ms());
        char *text = read_all(&h, 4096, &last);
        cr_expect_str_empty(text);
        free(text);
        streams_tick(&h.gateway, link_now_ms() + STREAM_HEARTBEAT_MS);
        text = read_all(&h, 4096, &last);
        cr_expect_str_eq(text, ": heartbeat\n\n");
        free(text);
        close_house(&h);
}

Test(stream, all_are_told_why_they_end) {
        House h;
        ssize_t last;

        open_house(&h);
        streams_end(&h.gateway, "stopping", "bye");
        char *text = read_all(&h, 4096, &last);
        cr_expect_not_null(strstr(text, "event: end\ndata: {\"version\":\"v1\",\"reason\":\"stopping\""),
                           "%s", text);
        cr_expect_eq(last, -1);
        free(text);
        close_house(&h);
}
