/*
 * curl handles
 *
 * A handle is set up once with all that never changes and used again for call after call; only method, URL,
 * headers and body are set each time. What a server may do to us is bounded in the callbacks: header bytes,
 * body bytes (after decompression), and the address that is connected to. Redirects are off: a 3xx is just
 * a status. A handle that served HTTP and now serves gRPC, or the other way round, has a few options changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "executors/http_internal.h"

#define STOP 0 /* fewer bytes than were given: curl ends the transfer */

/* ---- callbacks ----------------------------------------------------------------------------------------- */

static size_t on_header(char *data, size_t size, size_t n_items, void *transfer) {
        HttpTransfer *t = transfer;
        Slice line = {data, size * n_items};
        bool grpc = t->call->request.grpc;
        t->n_head_all += line.n;
        t->n_received += grpc ? 0 : line.n; /* gRPC servers may send theirs long before there is an answer */
        if (t->n_head_all > HTTP_HEADER_BYTES_MAX) {
                t->head_too_large = true;
                return STOP;
        }
        if (t->in_body && !grpc) /* a trailer */
                return line.n;
        if (slice_starts_with(line, SLICE("HTTP/"))) { /* of the last response: 1xx ones come before it */
                const char *blank = memchr(line.data, ' ', line.n);
                size_t at = blank ? (size_t)(blank - line.data) : line.n;
                uint64_t status;
                buf_reset(&t->head);
                t->head_ended = false;
                t->is_http2 = slice_starts_with(line, SLICE("HTTP/2"));
                t->status = line.n - at > 3 && slice_to_u64((Slice){blank + 1, 3}, &status) ? (uint16_t)status
                                                                                            : 0;
                return line.n;
        }
        Buf *lines = grpc && t->head_ended ? &t->tail : &t->head;
        t->head_ended |= line.n > 0 && (line.data[0] == '\r' || line.data[0] == '\n');
        buf_put_slice(lines, line);
        return lines->error ? STOP : line.n;
}

static size_t on_body(char *data, size_t size, size_t n_items, void *transfer) {
        HttpTransfer *t = transfer;
        size_t n = size * n_items;
        t->in_body = true;
        t->n_received += n;
        if (n > t->engine->settings.response_bytes_max - t->body.n) {
                t->too_large = true;
                return STOP;
        }
        uint64_t all = __atomic_add_fetch(&t->engine->answers_bytes, n, __ATOMIC_RELAXED);
        buf_put(&t->body, data, n);
        t->n_counted += n;
        if (all > 2 * t->engine->settings.answers_bytes_max && t->body.n > HTTP_SETTLED_FROM) {
                t->no_room = true;
                return STOP;
        }
        return t->body.error ? STOP : n;
}

static curl_socket_t on_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address) {
        HttpTransfer *t = transfer;
        HttpEngine *e = t->engine;
        http_queue_resolved(e, t, true);
        const HttpHost *h = t->call->request.url->host;
        const char *kind = e->settings.any_address ? NULL
                                                   : address_policy_refuses(&e->policy, slice_from_str(h->name),
                                                                            &address->addr);
        if (kind) {
                t->refused_kind = kind;
                address_format(&address->addr, t->refused_ip);
                return CURL_SOCKET_BAD;
        }
        t->n_addresses_tried++;
        int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
        return http_loop_socket_opened(&e->loop, fd);
}

static int on_close(void *engine, curl_socket_t fd) {
        http_loop_socket_closed(&((HttpEngine *)engine)->loop, fd);
        return 0;
}

/** Every request passes here, on new connections and on reused ones. */
static int on_request(void *transfer, char *ip, char *local_ip, int port, int local_port) {
        HttpTransfer *t = transfer;
        HttpHost *h = t->call->request.url->host;
        http_queue_connected(t->engine, t);
        if (!t->engine->settings.any_address && strcmp(h->checked_ip, ip) != 0) {
                const char *kind = address_policy_refuses_text(&t->engine->policy, slice_from_str(h->name),
                                                               ip, (uint16_t)port);
                if (kind) {
                        t->refused_kind = kind;
                        t->n_addresses_tried = 0;
                        snprintf(t->refused_ip, sizeof(t->refused_ip), "%s", ip);
                        return CURL_PREREQFUNC_ABORT;
                }
                snprintf(h->checked_ip, sizeof(h->checked_ip), "%s", ip);
        }
        return CURL_PREREQFUNC_OK;
}

/* ---- handles ------------------------------------------------------------------------------------------- */

static void transfer_free(HttpTransfer *t) {
        if (!t)
                return;
        if (t->easy)
                curl_easy_cleanup(t->easy);
        free(t->lines);
        buf_deinit(&t->secret);
        buf_deinit(&t->head);
        buf_deinit(&t->tail);
        buf_deinit(&t->body);
        free(t);
}

/** All that is the same for every call. */
static CURLcode set_up(HttpEngine *e, HttpTransfer *t) {
        CURL *h = t->easy;
        CURLcode r = CURLE_OK;
        const char *ca_file = e->settings.ca_file ? e->settings.ca_file
                                                  : curl_version_info(CURLVERSION_NOW)->cainfo;
#define SET(option, value) r = r ? r : curl_easy_setopt(h, option, value)
        SET(CURLOPT_PRIVATE, t);
        SET(CURLOPT_NOSIGNAL, 1L); /* signals are blocked in this thread */
#if LIBCURL_VERSION_NUM >= 0x075700
        SET(CURLOPT_QUICK_EXIT,
            1L); /* a name that can't be resolved must not hold up the thread when its call ends */
#endif
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_PROXY, ""); /* nor one from the environment */
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* see README.md */
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (ca_file) { /* one file and no directory: then curl parses it once, not for every connection */
                SET(CURLOPT_CAINFO, ca_file);
                SET(CURLOPT_CAPATH, NULL);
        }
        SET(CURLOPT_USERAGENT, e->settings.user_agent);
        SET(CURLOPT_ACCEPT_ENCODING, "gzip");
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
        SET(CURLOPT_ERRORBUFFER, t->error);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, t);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, t);
        SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
        SET(CURLOPT_OPENSOCKETDATA, t);
        SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
        SET(CURLOPT_CLOSESOCKETDATA, e);
        SET(CURLOPT_PREREQFUNCTION, on_request);
        SET(CURLOPT_PREREQDATA, t);
#undef SET
        return r;
}

static HttpTransfer *transfer_get(HttpEngine *e) {
        if (!list_is_empty(&e->idle)) {
                HttpTransfer *t = LIST_ENTRY(e->idle.prev, HttpTransfer, idle); /* the warmest */
                list_remove(&t->idle);
                e->n_idle--;
                return t;
        }
        HttpTransfer *t = calloc(1, sizeof(*t));
        if (!t)
                return NULL;
        list_init(&t->idle);
        t->engine = e;
        t->easy = curl_easy_init();
        if (!t->easy || set_up(e, t) != CURLE_OK) {
                transfer_free(t);
                return NULL;
        }
        return t;
}

static void buffer_rest(Buf *b) {
        if (b->cap > HTTP_BUFFER_KEPT)
                buf_deinit(b);
        buf_reset(b);
}

static void transfer_put(HttpEngine *e, HttpTransfer *t) {
        if (t->secret.data)
                explicit_bzero(t->secret.data, t->secret.cap);
        buf_reset(&t->secret);
        t->call = NULL;
        __atomic_sub_fetch(&e->answers_bytes, t->n_counted, __ATOMIC_RELAXED);
        t->n_counted = 0;
        if (e->n_idle >= HTTP_TRANSFERS_IDLE_MAX) {
                transfer_free(t);
                return;
        }
        buffer_rest(&t->head);
        buffer_rest(&t->tail);
        buffer_rest(&t->body);
        list_push_back(&e->idle, &t->idle);
        e->n_idle++;
}

void http_transfers_free(HttpEngine *e) {
        while (!list_is_empty(&e->idle)) {
                HttpTransfer *t = LIST_ENTRY(e->idle.next, HttpTransfer, idle);
                list_remove(&t->idle);
                transfer_free(t);
        }
        e->n_idle = 0;
}

/* ---- one call ------------------------------------------------------------------------------------------ */

static void lines_add(HttpTransfer *t, size_t *at, char *text, uint32_t n) {
        for (uint32_t i = 0; i < n; i++, text += strlen(text) + 1) {
                t->lines[*at] = (struct curl_slist){.data = text};
                if (*at > 0)
                        t->lines[*at - 1].next = &t->lines[*at];
                ++*at;
        }
}

/** The header lines as curl's list, over our own memory. */
static int lines_make(HttpTransfer *t, uint32_t n_secret) {
        HttpRequest *r = &t->call->request;
        size_t n = r->n_headers + n_secret + (r->grpc != NULL), at = 0;
        if (n > t->lines_cap) {
                struct curl_slist *lines = reallocarray(t->lines, n, sizeof(*lines));
                if (!lines)
                        return -ENOMEM;
                t->lines = lines;
                t->lines_cap = n;
        }
        lines_add(t, &at, r->headers.data, r->n_headers);
        lines_add(t, &at, t->secret.data, n_secret);
        if (r->grpc)
                lines_add(t, &at, t->grpc_timeout, 1);
        return 0;
}

/**
 * What differs between HTTP and gRPC. Versions of TLS are named in another way, though they are the same ones, because
 * curl doesn't share connections then: one that speaks HTTP/1.1 is of no use to gRPC. curl before 8 fails on every h2
 * connection without TLS that it uses again.
 */
static CURLcode set_protocol(HttpTransfer *t) {
        const HttpRequest *r = &t->call->request;
        bool tls = slice_starts_with(slice_from_str(r->url->text), SLICE("https:"));
        HttpProtocol wanted = !r->grpc ? HTTP_PROTOCOL_HTTP
                              : tls    ? HTTP_PROTOCOL_GRPC_TLS
                                       : HTTP_PROTOCOL_GRPC_PLAIN;
        if (t->protocol == wanted)
                return CURLE_OK;
        static const struct {
                long version, tls;
                const char *encoding;
        } options[] = {
                        [HTTP_PROTOCOL_HTTP] = {CURL_HTTP_VERSION_1_1, CURL_SSLVERSION_TLSv1_2, "gzip"},
                        [HTTP_PROTOCOL_GRPC_PLAIN] = {CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
                                                      CURL_SSLVERSION_TLSv1_2, NULL},
                        [HTTP_PROTOCOL_GRPC_TLS] = {CURL_HTTP_VERSION_2TLS,
                                                    CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_3,
                                                    NULL},
        };
        bool once = wanted == HTTP_PROTOCOL_GRPC_PLAIN &&
                    curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
        CURL *h = t->easy;
        CURLcode c = curl_easy_setopt(h, CURLOPT_HTTP_VERSION, options[wanted].version);
        c = c ? c : curl_easy_setopt(h, CURLOPT_SSLVERSION, options[wanted].tls);
        c = c ? c : curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, options[wanted].encoding);
        c = c ? c : curl_easy_setopt(h, CURLOPT_FORBID_REUSE, (long)once);
        t->protocol = c == CURLE_OK ? wanted : HTTP_PROTOCOL_UNKNOWN;
        return c;
}

static CURLcode set_request(HttpTransfer *t) {
        const HttpRequest *r = &t->call->request;
        CURL *h = t->easy;
        const char *usual = r->is_head ? "HEAD" : r->has_body ? "POST" : "GET";
        CURLcode c = curl_easy_setopt(h, CURLOPT_NOBODY, 0L);
        c = c ? c
              : curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(r->has_body ? r->body.n : 0));
        c = c ? c
              : curl_easy_setopt(h, CURLOPT_POSTFIELDS, r->has_body ? (r->body.n ? r->body.data : "") : NULL);
        if (!r->has_body) /* after POSTFIELDS, which makes it a POST */
                c = c            ? c
                    : r->is_head ? curl_easy_setopt(h, CURLOPT_NOBODY, 1L)
                                 : curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
        bool is_usual = r->grpc || !strcmp(r->method, usual);
        c = c ? c : curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, is_usual ? NULL : r->method);
        c = c ? c : set_protocol(t);
        c = c ? c : curl_easy_setopt(h, CURLOPT_HTTPHEADER, t->lines);
        return c ? c : curl_easy_setopt(h, CURLOPT_URL, r->full_url ? r->full_url : r->url->text);
}

/** Nothing has come yet. */
static void answer_reset(HttpTransfer *t) {
        t->n_head_all = 0;
        t->n_received = t->n_received_then = 0;
        t->status = 0;
        t->in_body = t->no_room = t->too_large = t->head_too_large = t->head_ended = t->is_http2 = false;
        t->n_addresses_tried = 0;
        t->refused_kind = NULL;
        t->error[0] = 0;
}

/** What is left of the attempt's time is the server's deadline. */
static void set_grpc_timeout(HttpTransfer *t, int64_t left_ns) {
        char text[GRPC_TIMEOUT_TEXT];
        grpc_timeout_format(left_ns / 1000000, text);
        snprintf(t->grpc_timeout, sizeof(t->grpc_timeout), "grpc-timeout: %s", text);
}

int http_transfer_start(HttpEngine *e, HttpCall *c, HttpFault *fault) {
        HttpTransfer *t = transfer_get(e);
        if (!t) {
                http_fault_set(fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
                return -EINVAL;
        }
        t->call = c;
        t->is_again = t->is_over = false;
        answer_reset(t);
        if (c->request.grpc)
                set_grpc_timeout(t, c->deadline_ns - e->now_ns);
        uint32_t n_secret;
        if (http_auth_make(e, t, &n_secret, fault) < 0) {
                transfer_put(e, t);
                return -EINVAL;
        }
        http_queue_started(e, t);
        if (lines_make(t, n_secret) < 0 || set_request(t) != CURLE_OK ||
            curl_multi_add_handle(e->loop.multi, t->easy) != CURLM_OK) {
                http_queue_resolved(e, t, false);
                http_queue_ended(e, t);
                transfer_put(e, t);
                http_fault_set(fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
                return -EINVAL;
        }
        c->state = HTTP_CALL_RUNNING;
        c->transfer = t;
        c->start_ns = e->now_ns;
        return 0;
}

bool http_transfer_again(HttpEngine *e, HttpTransfer *t, CURLcode code) {
        long n_connects = 1;
        if (code != CURLE_HTTP2 || t->is_again || t->status != 0 ||
            curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &n_connects) != CURLE_OK || n_connects > 0)
                return false;
        curl_multi_remove_handle(e->loop.multi, t->easy);
        answer_reset(t);
        t->is_again = true;
        if (t->connected) /* it sets one up once more */
                t->call->request.url->host->n_connecting++;
        t->connected = false;
        return curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
               curl_multi_add_handle(e->loop.multi, t->easy) == CURLM_OK;
}

void http_transfer_end(HttpEngine *e, HttpTransfer *t) {
        if (t->call->request.grpc && !t->is_over) {
                /* curl keeps an HTTP/2 connection, and may tell the server much later that the call is over. */
                curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
                t->protocol = HTTP_PROTOCOL_UNKNOWN;
        }
        curl_multi_remove_handle(e->loop.multi, t->easy);
        if (t->is_again)
                curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 0L);
        t->call->transfer = NULL;
        http_queue_ended(e, t);
        transfer_put(e, t);
}

/* ---- why it failed ------------------------------------------------------------------------------------- */

static const struct {
        CURLcode curl;
        const char *code;
        const char *sentence;
} faults[] = {
                {CURLE_BAD_CONTENT_ENCODING, "PROTOCOL", "the answer's Content-Encoding is wrong"},
                {CURLE_COULDNT_CONNECT, "CONNECT", "no connection"},
                {CURLE_COULDNT_RESOLVE_HOST, "DNS", "the host's name could not be resolved"},
                {CURLE_HTTP2, "RESET", "the HTTP/2 connection broke"},
                {CURLE_HTTP2_STREAM, "RESET", "the server broke the call off"},
                {CURLE_GOT_NOTHING, "RESET", "the connection was closed before an answer came"},
                {CURLE_OUT_OF_MEMORY, "OUT_OF_MEMORY", "there was not enough memory"},
                {CURLE_PARTIAL_FILE, "RESET", "the connection was closed in the middle of the answer"},
                {CURLE_PEER_FAILED_VERIFICATION, "TLS", "the server's certificate was not accepted"},
                {CURLE_RECV_ERROR, "RESET", "the connection broke while waiting for the answer"},
                {CURLE_SEND_ERROR, "RESET", "the connection broke while sending"},
                {CURLE_SSL_CACERT_BADFILE, "TLS", "the file of certificate authorities can't be read"},
                {CURLE_SSL_CIPHER, "TLS", "no common cipher"},
                {CURLE_SSL_CONNECT_ERROR, "TLS", "the TLS handshake failed"},
                {CURLE_UNSUPPORTED_PROTOCOL, "PROTOCOL", "the answer is not HTTP"},
                {CURLE_WEIRD_SERVER_REPLY, "PROTOCOL", "the answer is not HTTP"},
};

static void refused(const HttpTransfer *t, HttpFault *fault) {
        const HttpHost *h = t->call->request.url->host;
        bool v6 = strchr(t->refused_ip, ':') != NULL;
        http_fault_set(fault, "ADDRESS_REFUSED", false,
                       "%s is %s, which steps may not call; if it is meant, list %s%s%s/%d in HTTP_ALLOW",
                       t->refused_ip, t->refused_kind, h->numeric ? "" : h->name, h->numeric ? "" : " or ",
                       t->refused_ip, v6 ? 128 : 32);
}

void http_transfer_fault(HttpEngine *e, const HttpTransfer *t, CURLcode code, HttpFault *fault) {
        const char *name = "TRANSPORT", *sentence = "the call failed";
        if (code == CURLE_OK)
                return;
        if (t->refused_kind && t->n_addresses_tried == 0) {
                refused(t, fault);
                return;
        }
        if (t->head_too_large) {
                http_fault_set(fault, "RESPONSE_TOO_LARGE", false,
                               "the answer has more than %d bytes of headers (HTTP_HEADER_BYTES_MAX)",
                               HTTP_HEADER_BYTES_MAX);
                return;
        }
        if (t->too_large) {
                http_fault_set(fault, "RESPONSE_TOO_LARGE", false,
                               "the answer's body has more than %zu bytes (HTTP_RESPONSE_BYTES_MAX)",
                               e->settings.response_bytes_max);
                return;
        }
        if (t->no_room) {
                http_fault_set(fault, "OVERLOADED", true,
                               "the answers of all calls together take more memory than they may (%zu MiB); this "
                               "one was given up",
                               2 * e->settings.answers_bytes_max >> 20);
                return;
        }
        if (t->head.error || t->tail.error || t->body.error)
                code = CURLE_OUT_OF_MEMORY;
        if (code ==
            CURLE_OPERATION_TIMEDOUT) { /* the call's own timeout is not curl's: this is the connection's */
                http_fault_set(fault, "CONNECT", true, "no connection within %d ms", HTTP_CONNECT_TIMEOUT_MS);
                return;
        }
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
                if (faults[i].curl != code)
                        continue;
                name = faults[i].code;
                sentence = faults[i].sentence;
        }
        http_fault_set(fault, name, true, "%s: %s", sentence,
                       t->error[0] ? t->error : curl_easy_strerror(code));
}
