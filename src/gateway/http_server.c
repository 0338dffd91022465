/*
 * The server, over libmicrohttpd: one thread with epoll; this file alone knows the library.
 *
 * The library calls on_request once with the headers, again with each piece of the body and once more at its end. A
 * request that waits for the engine is suspended; whoever has the answer resumes it, and on_request is called again
 * to queue the response. Suspended connections don't notice that the other side has gone: all of them end by
 * answer or deadline.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gateway/http.h"
#include "gateway/http_conn.h"
#include "gateway/guard.h"
#include "gateway/routes.h"
#include "gateway/stream.h"

#define HEADERS_BYTES_MAX                                                                                    \
        (32u << 10)             /* of a connection: request line, headers, and the library's own needs */
#define SILENCE_S    60         /* the library closes connections on which nothing moves */
#define DISCARD_MAX  (1u << 20) /* of a refused body: read so that the answer gets through */
#define BACKLOG      1024
#define STREAM_BLOCK 16384
#define SEND_BUFFER_BYTES                                                                                    \
        (256 << 10)     /* the kernel's, of a connection: what a slow reader can make us keep there */
#define FDS_BESIDES 256 /* descriptors that the process needs for other things */

struct Http {
        Gateway *gateway;
        struct MHD_Daemon *daemon;
        uint16_t port;
        Conns conns;
        atomic_ullong n_responses[6]; /* by status / 100 */
};

/* ---- requests ------------------------------------------------------------------------ */

const char *request_header(const Request *r, const char *name) {
        return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

void request_pause(Request *r) {
        r->is_paused = true;
        conn_enter(&r->gateway->http->conns, r->conn, CONN_WORKING, 0);
        MHD_suspend_connection(r->connection);
}

void request_resume(Request *r) { MHD_resume_connection(r->connection); }

static void *on_target(void *userdata, const char *target, struct MHD_Connection *connection) {
        Http *h = userdata;
        Request *r = calloc(1, sizeof *r);

        if (!r || !(r->target = strdup(target))) {
                free(r);
                return NULL;
        }
        r->gateway = h->gateway;
        r->connection = connection;
        r->body_max = BODY_BYTES_MAX;
        r->begun_ms = link_now_ms();
        return r;
}

static void drop_body(Request *r) {
        atomic_fetch_sub(&r->gateway->n_body_bytes, r->body.n);
        buf_deinit(&r->body);
}

static void log_request(const Request *r, int status) {
        char code[16], took[24];

        if (log_level() < LOG_DEBUG)
                return;
        snprintf(code, sizeof code, "%d", status);
        snprintf(took, sizeof took, "%" PRId64, link_now_ms() - r->begun_ms);
        log_event(LOG_DEBUG, "http", "route", r->route ? r->route->path : "", "status", code, "ms", took,
                  "tenant", r->identity.tenant, "user", r->identity.user, "request", r->id, NULL);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode code) {
        Http *h = userdata;
        Request *r = *place;

        *place = NULL;
        if (!r)
                return;
        conn_enter(&h->conns, r->conn, CONN_READING, 0);
        drop_body(r);
        if (r->response.stream)
                stream_close(r->response.stream); /* never came to be a response */
        buf_deinit(&r->response.body);
        buf_deinit(&r->response.headers);
        arena_deinit(&r->arena);
        free(r->target);
        free(r);
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **place,
                          enum MHD_ConnectionNotificationCode code) {
        Http *h = userdata;
        const union MHD_ConnectionInfo *info;

        if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
                conn_free(&h->conns, *place);
                *place = NULL;
                return;
        }
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *place = info ? conn_new(&h->conns, info->connect_fd) : NULL;
}

/* ---- responses ----------------------------------------------------------------------- */

void connection_suspend(void *connection) { MHD_suspend_connection(connection); }

void connection_resume(void *connection) { MHD_resume_connection(connection); }

bool connection_is_closing(void *connection) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};

        return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

static ssize_t on_stream_read(void *userdata, uint64_t pos, char *buf, size_t max) {
        ssize_t n = stream_read(userdata, buf, max);

        return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void on_stream_end(void *userdata) { stream_close(userdata); }

static struct MHD_Response *make_body(Response *s) {
        if (s->stream) {
                struct MHD_Response *m = MHD_create_response_from_callback(
                                MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_stream_read, s->stream, on_stream_end);
                if (m)
                        s->stream = NULL; /* the response has it */
                return m;
        }
        if (s->body.n > 0) {
                struct MHD_Response *m = MHD_create_response_from_buffer(s->body.n, s->body.data,
                                                                         MHD_RESPMEM_MUST_FREE);
                if (m)
                        s->body = (Buf){0}; /* the library has it */
                return m;
        }
        return MHD_create_response_from_buffer(s->fixed.n, (void *)s->fixed.data, MHD_RESPMEM_PERSISTENT);
}

static void add_headers(struct MHD_Response *m, const Response *s) {
        const char *p = s->headers.data, *end = p + s->headers.n;

        while (p < end) {
                const char *value = p + strlen(p) + 1;

                MHD_add_response_header(m, p, value);
                p = value + strlen(value) + 1;
        }
        if (s->content_type)
                MHD_add_response_header(m, "Content-Type", s->content_type);
        if (s->closes)
                MHD_add_response_header(m, "Connection", "close");
}

/** Hand the response to the library. */
static enum MHD_Result answer(Request *r) {
        Http *h = r->gateway->http;
        Response *s = &r->response;
        size_t n_bytes = s->body.n + s->fixed.n;
        ConnPhase phase = s->stream ? CONN_STREAMING : CONN_WRITING;
        struct MHD_Response *m;
        enum MHD_Result result;

        guard_headers(r);
        if (s->headers.error)
                return MHD_NO;
        m = make_body(s);
        if (!m)
                return MHD_NO;
        add_headers(m, s);
        atomic_fetch_add(&h->n_responses[s->status / 100 % N_ELEMENTS(h->n_responses)], 1);
        log_request(r, s->status);
        conn_enter(&h->conns, r->conn, phase, n_bytes);
        result = MHD_queue_response(r->connection, (unsigned)s->status, m);
        MHD_destroy_response(m);
        return result;
}

/* ---- the way in ---------------------------------------------------------------------- */

static bool has_large_body(const Request *r) {
        const char *text = request_header(r, "Content-Length");
        uint64_t n = 0;

        return text && (!slice_to_u64(slice_from_str(text), &n) || n > DISCARD_MAX);
}

static enum MHD_Result begin(Request *r, const char *method) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        r->conn = info ? info->socket_context : NULL;
        r->is_begun = true;
        handle_headers(r, method);
        /* Answered at once it costs the connection, since the body is still under way. */
        return r->response.status && has_large_body(r) ? answer(r) : MHD_YES;
}

static enum MHD_Result take_body(Request *r, const char *data, size_t n) {
        Gateway *g = r->gateway;

        conn_progress(&g->http->conns, r->conn, n);
        if (!r->response.status && r->body.n + n > r->body_max) {
                reply_error(r, RUNBOOK_TOO_LARGE, 0, "the body has more than %zu bytes, the most here",
                            r->body_max);
                drop_body(r);
        }
        if (!r->response.status && atomic_load(&g->n_body_bytes) + n > BODIES_BYTES_MAX) {
                reply_error(r, RUNBOOK_OVERLOADED, 0, "too many large requests at a time; try again later");
                drop_body(r);
        }
        if (r->response.status) {
                r->n_discarded += n;
                return r->n_discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
        }
        atomic_fetch_add(&g->n_body_bytes, n);
        buf_put(&r->body, data, n);
        if (r->body.error) {
                reply_memory(r);
                drop_body(r);
        }
        return MHD_YES;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *n_data,
                                  void **place) {
        Request *r = *place;
        enum MHD_Result result;

        if (!r)
                return MHD_NO;
        if (!r->is_begun)
                return begin(r, method);
        if (*n_data > 0) {
                result = take_body(r, data, *n_data);
                *n_data = 0;
                return result;
        }
        if (!r->response.status && !r->is_handed) {
                r->is_handed = true;
                handle_request(r);
                /* A paused request may have its response from another thread already: that one resumes it. */
                if (r->is_paused)
                        return MHD_YES;
        }
        return answer(r);
}

/* ---- up and down --------------------------------------------------------------------- */

static void on_message(void *userdata, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_message(void *userdata, const char *format, va_list ap) {
        char text[512];

        vsnprintf(text, sizeof text, format, ap);
        text[strcspn(text, "\n")] = 0;
        log_event(LOG_DEBUG, "libmicrohttpd", "text", text, NULL);
}

static int parse_address(const GatewaySettings *s, struct sockaddr_storage *ret, socklen_t *ret_n) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

        *ret = (struct sockaddr_storage){0};
        if (inet_pton(AF_INET, s->bind_address, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                v4->sin_port = htons(s->port);
                *ret_n = sizeof *v4;
        } else if (inet_pton(AF_INET6, s->bind_address, &v6->sin6_addr) == 1) {
                v6->sin6_family = AF_INET6;
                v6->sin6_port = htons(s->port);
                *ret_n = sizeof *v6;
        } else {
                return -EINVAL;
        }
        return 0;
}

/** A listening socket, or negative with a sentence. */
static int listen_on(const GatewaySettings *s, Report *report, uint16_t *ret_port) {
        struct sockaddr_storage address;
        socklen_t n;
        int fd, on = 1, send_bytes = SEND_BUFFER_BYTES, error;

        if (parse_address(s, &address, &n) < 0)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "BIND_ADDRESS must be an IPv4 or IPv6 address, is \"%s\"", s->bind_address);
        fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0)
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd >= 0) /* the connections inherit it */
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) < 0 || listen(fd, BACKLOG) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &n) < 0) {
                error = errno;
                if (fd >= 0)
                        close(fd);
                report_set(report, RUNBOOK_UNAVAILABLE, "cannot listen on port %u of %s: %s%s", s->port,
                           s->bind_address, strerror(error),
                           error == EADDRINUSE ? " (PORT names another one, 0 means none)" : "");
                return -error;
        }
        *ret_port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                                       : ((struct sockaddr_in6 *)&address)->sin6_port);
        return fd;
}

/** As many connections as wanted, and as descriptors allow. */
static unsigned connections_max(const GatewaySettings *s) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return (unsigned)s->connections_max;
        if (limit.rlim_cur < (rlim_t)s->connections_max + FDS_BESIDES && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max < (rlim_t)s->connections_max + FDS_BESIDES
                                                 ? limit.rlim_max
                                                 : (rlim_t)s->connections_max + FDS_BESIDES;
                setrlimit(RLIMIT_NOFILE, &limit);
                getrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur >= (rlim_t)s->connections_max + FDS_BESIDES)
                return (unsigned)s->connections_max;
        return limit.rlim_cur > 2 * FDS_BESIDES ? (unsigned)(limit.rlim_cur - FDS_BESIDES) : FDS_BESIDES;
}

int http_start(Gateway *g, Report *report, Http **ret) {
        Http *h = calloc(1, sizeof *h);
        unsigned n_max = connections_max(&g->settings);
        bool is_v6 = strchr(g->settings.bind_address, ':') != NULL;
        int fd;

        if (!h)
                return -ENOMEM;
        h->gateway = g;
        fd = listen_on(&g->settings, report, &h->port);
        if (fd < 0) {
                free(h);
                return fd;
        }
        conns_init(&h->conns, n_max);
        *ret = h; /* requests may come before MHD_start_daemon returns */
        h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                                                     MHD_USE_ERROR_LOG | (is_v6 ? MHD_USE_IPv6 : 0),
                                     0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_message,
                                     NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, n_max,
                                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_BYTES_MAX,
                                     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                                     MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_target,
                                     h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                                     MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
        if (h->daemon)
                return 0;
        close(fd);
        conns_deinit(&h->conns);
        free(h);
        *ret = NULL;
        return report_set(report, RUNBOOK_UNAVAILABLE, "the HTTP server could not be started");
}

uint16_t http_port(const Http *h) { return h->port; }

void http_quiesce(Http *h) {
        MHD_socket fd = MHD_quiesce_daemon(h->daemon);

        if (fd != MHD_INVALID_SOCKET)
                close(fd);
}

void http_stop(Http *h) {
        if (!h)
                return;
        MHD_stop_daemon(h->daemon);
        conns_deinit(&h->conns);
        free(h);
}

void http_tick(Http *h) { conns_reap(&h->conns, link_now_ms()); }

void http_put_metrics(Http *h, Buf *out) {
        static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
        MetricsWriter w = metrics_writer(out);

        metrics_family(&w, METRIC_COUNTER, "runbook_gateway_responses_total",
                       "HTTP responses by class of status.");
        for (size_t i = 1; i < N_ELEMENTS(classes); i++)
                metrics_sample(&w, &(MetricLabel){"class", slice_from_str(classes[i])}, 1,
                               (double)atomic_load(&h->n_responses[i + 1]));
        metrics_single(&w, METRIC_GAUGE, "runbook_gateway_connections", "Open HTTP connections.",
                       (double)conns_count(&h->conns));
        metrics_single(&w, METRIC_COUNTER, "runbook_gateway_connections_late_total",
                       "Connections closed for taking too long over a request.",
                       (double)atomic_load(&h->conns.n_late));
        metrics_single(&w, METRIC_GAUGE, "runbook_gateway_pending_requests",
                       "Requests that wait for the engine's answer.",
                       (double)atomic_load(&h->gateway->n_pending));
        metrics_single(&w, METRIC_GAUGE, "runbook_gateway_streams", "Open streams of events.",
                       (double)streams_count(h->gateway));
}
