#pragma once
/*
 * The inside of the HTTP executor. A HttpCall is one task from submit to result; a HttpHost is one server; a
 * HttpLane is one tenant's way to it, with its queue; a HttpTransfer is a reusable curl handle with its
 * buffers. All of it belongs to the executor's thread, except the intake and what stands under its lock.
 */

#include <curl/curl.h>
#include <pthread.h>

#include "executors/address_policy.h"
#include "executors/grpc_codec.h"
#include "executors/grpc_wire.h"
#include "executors/http.h"
#include "executors/http_json.h"
#include "executors/intake.h"
#include "executors/target_rules.h"
#include "base/map.h"
#include "json/json_write.h"

/* Limits */
#define HTTP_CONNECTING_PER_HOST_MAX 64 /* connections being set up to one host at once */
#define HTTP_RESOLVING_PER_HOST_MAX 4   /* of them before its name was resolved once: each takes a thread */
#define HTTP_RESOLVING_MAX 256          /* the same over all hosts */
#define HTTP_RESOLVER_HOLD_MS 10000     /* a resolver that nobody waits for is counted so much longer */
#define HTTP_CONNECT_TIMEOUT_MS 10000   /* name, TCP and TLS together */
#define HTTP_RETRY_AFTER_MAX_MS (3600LL * 1000) /* longest Retry-After; more is cut to this */
#define HTTP_EXCERPT_BYTES_MAX 2048     /* of a response body in an error */
#define HTTP_URL_BYTES_MAX (16 << 10)   /* with query */
#define HTTP_HEADERS_MAX 256            /* request headers given by the step */
#define HTTP_REQUEST_HEADER_BYTES_MAX (64 << 10)
#define HTTP_EXPECT_MAX 32              /* entries of expectStatus */
#define HTTP_URLS_MAX 2048              /* parsed URLs remembered */
#define HTTP_URL_REMEMBERED_MAX 2048    /* bytes; longer ones are parsed each time */
#define HTTP_TRANSFERS_IDLE_MAX 512     /* curl handles kept for reuse */
#define HTTP_BUFFER_KEPT (64 << 10)     /* larger buffers of idle handles are given back */
#define HTTP_METHOD_MAX 24
#define HTTP_MESSAGE_MAX 640            /* an error's sentence */
#define HTTP_GRPC_TYPES_MAX           256            /* compiled descriptor sets kept */
#define HTTP_GRPC_TYPES_BYTES_MAX (2 << 20) /* of them, as they were encoded */
#define HTTP_LANE_REST_NS (60LL * 1000000000) /* a lane without calls is kept so long at least */
#define HTTP_LANES_RESTING_MAX 4096     /* lanes without calls; the oldest is forgotten then */
#define HTTP_TENANT_SHARE 3             /* a tenant has no more calls running than so many times the free places */
#define HTTP_SETTLED_FROM (16 << 10)    /* results larger than this are counted until they are committed */
#define HTTP_ROOM_LOOK_MS 20            /* how often it is looked whether there is room for answers again */
#define HTTP_REFUSALS_PER_TURN 1000     /* calls that an open breaker refuses before others get their turn */

typedef struct HttpEngine HttpEngine;
typedef struct HttpTransfer HttpTransfer;
typedef struct HttpLane HttpLane;

/** One scheme, name and port. Referenced by URLs and calls. */
typedef struct HttpHost {
        unsigned refs;
        char *name;  /* lower-case, no brackets */
        uint16_t port;
        bool numeric;   /* an address: nothing to resolve */
        bool resolved;  /* its name was resolved once */
        uint32_t n_running, n_connecting, n_resolving;
        GateLimits limits; /* the operator's */
        Gate gate;
        HttpLane *last;    /* the one used last; NULL: none */
        char checked_ip[ADDRESS_TEXT_SIZE]; /* the last address that passed the policy */
        size_t n_key;
        char key[]; /* "https://name:port" */
} HttpHost;

/** A tenant that has lanes. */
typedef struct HttpTenant {
        unsigned refs;
        uint32_t n_running;
        List lanes; /* those with calls that wait, next one first */
        List node;  /* in HttpEngine.waiting while there are such */
        size_t n_name;
        char name[];
} HttpTenant;

/** One tenant's way to one host. */
struct HttpLane {
        HttpTenant *tenant; /* reference */
        HttpHost *host;     /* reference */
        GateNamed named;    /* limits that its definitions give */
        Gate gate;
        GateAnswer waits_for; /* what the first one in the queue waited for at the last look */
        List queue;           /* calls that wait for their turn */
        List node;            /* in tenant->lanes while the queue is not empty */
        uint64_t n_queued, n_refused;
        uint64_t n_calls;     /* that keep it */
        List rest_node;       /* in HttpEngine.resting while there are none */
        int64_t rest_until_ns;
        size_t n_key;
        char key[];
};

/** A parsed URL. */
typedef struct HttpUrl {
        unsigned refs;
        HttpHost *host;
        char *text;   /* normalised, without fragment */
        char *source; /* scheme://host[:port]/path, for people: no userinfo, no query */
        char *public; /* `text` without userinfo */
        bool has_query;
        size_t n_key;
        char key[]; /* as the step wrote it */
} HttpUrl;

/** A compiled descriptor set. Referenced by calls, and by the engine while it is among the recent ones. */
typedef struct HttpGrpcTypes {
        unsigned refs;
        Digest digest; /* of the set as the step wrote it */
        size_t n_bytes;
        GrpcCodec *codec;
        List node; /* HttpEngine.grpc_recent */
} HttpGrpcTypes;

typedef struct HttpStatusRange { uint16_t from, to; } HttpStatusRange;

/** What a call sends; made once from the task's config. */
typedef struct HttpRequest {
        HttpUrl *url;
        char *full_url;    /* with config.query; NULL: url->text */
        char method[HTTP_METHOD_MAX];
        bool has_body, is_head;
        Slice body;        /* in body_buf, or borrowed from the task's input */
        Buf body_buf;
        Buf headers;       /* NUL-terminated lines */
        uint32_t n_headers;
        const json_t *auth; /* borrowed from the config; NULL: none */
        HttpStatusRange expect[HTTP_EXPECT_MAX];
        uint32_t n_expect;
        HttpGrpcTypes *grpc; /* a gRPC call; NULL: plain HTTP */
        const GrpcMethod *grpc_method;
        Digest digest;
} HttpRequest;

/** Why an attempt failed. */
typedef struct HttpFault {
        char code[32]; /* "": it did not */
        bool retryable;
        int64_t retry_after_ms; /* 0: nothing to say */
        char message[HTTP_MESSAGE_MAX];
} HttpFault;

typedef enum HttpCallState { HTTP_CALL_SUBMITTED, HTTP_CALL_QUEUED, HTTP_CALL_RUNNING } HttpCallState;

typedef struct HttpCall {
        IntakeItem item;
        List node;         /* its lane's queue */
        HttpCallState state;
        Task *task;
        HttpRequest request;
        GateLimits limits; /* of its step */
        HttpLane *lane;    /* from QUEUED on */
        uint32_t lane_term, host_term; /* RUNNING: when it went through the gates */
        BreakerOutcome outcome;        /* what its end says of the target */
        HttpTransfer *transfer; /* RUNNING */
        int64_t submit_ns, start_ns, deadline_ns;
        int64_t timeout_ms;
        int64_t due_ns;    /* key of the deadline heap: deadline_ns or the next look at its speed */
        size_t due_at;     /* position in the heap, from 1; 0: not in it */
} HttpCall;

/** What a handle is set up for. */
typedef enum HttpProtocol {
        HTTP_PROTOCOL_HTTP,
        HTTP_PROTOCOL_GRPC_PLAIN,
        HTTP_PROTOCOL_GRPC_TLS,
        HTTP_PROTOCOL_UNKNOWN
} HttpProtocol;

typedef struct HttpTransfer {
        HttpEngine *engine;
        HttpCall *call;
        CURL *easy;
        struct curl_slist *lines; /* array: nodes of the request's header lines */
        size_t lines_cap;
        Buf secret;       /* header lines with secrets; wiped after use */
        HttpProtocol protocol;
        char grpc_timeout[GRPC_TIMEOUT_TEXT + 16]; /* a header line */
        Buf head;         /* the response's header lines */
        Buf tail;         /* its trailer lines; gRPC only */
        Buf body;         /* decoded */
        size_t n_head_all; /* header bytes of all responses, 1xx included */
        uint64_t n_received; /* bytes of head and decoded body, for the speed */
        uint64_t n_counted;  /* bytes of body that stand in HttpEngine.answers_bytes */
        uint64_t n_received_then; /* at the last look */
        uint16_t status;
        bool head_ended;
        bool in_body;      /* trailers after it are not headers */
        bool is_http2;
        bool is_again;     /* http_transfer_again was here */
        bool is_over;      /* curl has said how it ended */
        bool too_large, head_too_large, no_room;
        bool connected;    /* the request is on its way, or about to be */
        bool resolving;    /* counts in n_resolving */
        uint32_t n_addresses_tried;
        const char *refused_kind; /* address policy: what it was, NULL: nothing refused */
        char refused_ip[ADDRESS_TEXT_SIZE];
        char error[CURL_ERROR_SIZE];
        List idle;
} HttpTransfer;

/** fd as epoll knows it; see http_loop.c */
typedef struct HttpSocket {
        uint8_t registered, wanted; /* CURL_POLL_IN | CURL_POLL_OUT */
        bool ours;                  /* made by our callback, so that we hear when it is closed */
} HttpSocket;

typedef struct HttpLoop {
        int epoll;
        CURLM *multi;
        HttpSocket *sockets;
        size_t n_sockets;
        int64_t timer_ns; /* when curl wants to be called; -1: not at all */
} HttpLoop;

/** A header of a response while its result is made. */
typedef struct HttpHeader {
        Slice name, value; /* lower-case; trimmed */
        uint32_t order;
} HttpHeader;

typedef struct HttpHold { int64_t until_ns; HttpHost *host; } HttpHold;

struct HttpEngine {
        Executor executor;
        ExecutorHost host;
        HttpSettings settings; /* no zeros left; strings owned */
        AddressPolicy policy;
        Value *out_of_memory, *overloaded; /* errors there may be no memory or time to make */
        pthread_t thread;
        bool has_curl;

        Intake intake;
        List snapshots;   /* threads that wait for figures; under the intake's lock */
        List snapshots_next; /* those that get them at the end of this turn: what they submitted has been taken */

        HttpLoop loop;
        int64_t now_ns;   /* of this turn */
        TargetRules rules;
        Map hosts, urls, tenants, lanes;
        List waiting;     /* tenants with calls that wait, next one first */
        List resting;     /* lanes without calls, oldest first */
        size_t n_resting;
        HttpTotals totals;
        uint64_t answers_bytes; /* atomic: of bodies being received and of large results that are not settled */
        bool queue_dirty; /* something may start now */
        int64_t pump_ns;  /* something may start then; -1: not by time alone */
        uint32_t n_running, n_resolving;
        HttpHold *holds;  /* ring of abandoned resolver threads */
        size_t hold_first, n_holds;
        HttpCall **due;   /* heap by due_ns; due[0] unused */
        size_t n_due, due_cap;
        List idle;        /* transfers */
        size_t n_idle;
        HttpJson json;
        Buf output, aside; /* results in the making */
        Map grpc_types;    /* digest → types */
        List grpc_recent;  /* the same, latest used last */
        size_t grpc_bytes;
        Buf details; /* of a gRPC error in the making: JSON */
        HttpHeader *headers;
        size_t headers_cap;
};

/* http_loop.c: epoll around curl_multi */
int http_loop_init(HttpEngine *e);
void http_loop_deinit(HttpLoop *l);
/** Wait until @until_ns (-1: without end) and let curl work on what is ready. */
void http_loop_turn(HttpEngine *e, int64_t until_ns);
curl_socket_t http_loop_socket_opened(HttpLoop *l, int fd);
void http_loop_socket_closed(HttpLoop *l, int fd);
int64_t http_now_ns(void);

/* http_url.c */
/** A reference to the parsed @text, remembered or new; NULL with @fault set. */
HttpUrl *http_url_get(HttpEngine *e, Slice text, HttpFault *fault);
void http_url_unref(HttpEngine *e, HttpUrl *u);
void http_host_unref(HttpEngine *e, HttpHost *h);
void http_urls_forget(HttpEngine *e);
/** Append @s percent-encoded: all but unreserved characters; blanks as %20. */
void http_percent_encode(Buf *b, Slice s);

/* http_request.c: config → request */
/** Called in submit: makes the faces of the task's values that the thread will read. */
void http_request_touch(const Task *task);
/** 0, or -EINVAL with @fault set. */
int http_request_make(HttpEngine *e, HttpCall *c, HttpFault *fault);
void http_request_deinit(HttpEngine *e, HttpRequest *r);
/* Parts of it, for gRPC. */
int http_request_no_memory(HttpFault *fault); /* -EINVAL with OUT_OF_MEMORY */
/** A line to send; both are known to be single lines. */
void http_request_put_header(HttpRequest *r, Slice name, Slice value);
/** Our own headers, and those of the config's member @member ("headers", "metadata"). 0, or -EINVAL with @fault set. */
int http_request_headers(HttpEngine *e, HttpCall *c, const json_t *config, const char *member,
                         HttpFault *fault);
/** What may hold secrets. 0, or -EINVAL with @fault set. */
int http_request_auth(HttpCall *c, const json_t *config, HttpFault *fault);

/* http_auth.c: secrets */
/** Header lines with secrets into t->secret. 0, or -EINVAL with @fault set. */
int http_auth_make(HttpEngine *e, HttpTransfer *t, uint32_t *ret_n_lines, HttpFault *fault);

/* http_grpc.c: gRPC calls; in its place http_grpc_absent.c */
/** 0, or -EINVAL with @fault set. */
int http_grpc_make(HttpEngine *e, HttpCall *c, const json_t *config, HttpFault *fault);
void http_grpc_unref(HttpGrpcTypes *types); /* NULL-safe */
void http_grpc_forget(HttpEngine *e);

/** How a gRPC call ended. */
typedef struct HttpGrpcVerdict {
        const char *status;    /* "OK"; NULL: none came */
        Slice message;         /* as received, without its frame */
        bool is_targets_fault; /* not this call's: what circuit breakers count */
        int64_t retry_after_ms;
} HttpGrpcVerdict;
/**
 * http_grpc_result.c: judge the answer of @t. The output in e->output if @fault has no code after it, else details in
 * e->details (or nothing). A fault that is there already stays, unless the server had the last word.
 */
void http_grpc_judge(HttpEngine *e, HttpTransfer *t, HttpFault *fault, HttpGrpcVerdict *ret);

/* http_lane.c: tenants, their lanes to hosts, and the gates on them */
/** The lane, with one more call that keeps it; NULL when out of memory. */
HttpLane *http_lane_get(HttpEngine *e, HttpHost *h, Slice tenant);
void http_lane_unref(HttpEngine *e, HttpLane *l);     /* NULL-safe */
void http_tenant_unref(HttpEngine *e, HttpTenant *t); /* NULL-safe */
/** Forget lanes that have rested. */
void http_lanes_tidy(HttpEngine *e);
void http_lanes_free(HttpEngine *e);
/** May this call of a lane go through both gates? As gate_ask. */
GateAnswer http_lane_ask(HttpEngine *e, HttpCall *c, int64_t *ret_until_ns);
/** It goes through; it is over (c->outcome). */
void http_lane_begin(HttpEngine *e, HttpCall *c);
void http_lane_end(HttpEngine *e, HttpCall *c);
/** Serve those who waited for figures before this turn; under the lock. True: others have come meanwhile. */
bool http_snapshots_give(HttpEngine *e);

/* http_queue.c: who may start */
/** 0 or -ENOMEM. */
int http_queue_add(HttpEngine *e, HttpCall *c);
void http_queue_remove(HttpEngine *e, HttpCall *c);
/** Start what may start, refuse what must not. */
void http_queue_pump(HttpEngine *e);
/** What a call that waits is waiting for, for people. @ret has room for HTTP_MESSAGE_MAX / 2. */
void http_queue_why(HttpEngine *e, HttpCall *c, char *ret);
/** A transfer takes its place, knows (or not) its host's address, has its connection, is over. */
void http_queue_started(HttpEngine *e, HttpTransfer *t);
void http_queue_resolved(HttpEngine *e, HttpTransfer *t, bool found);
void http_queue_connected(HttpEngine *e, HttpTransfer *t);
void http_queue_ended(HttpEngine *e, HttpTransfer *t);
void http_queue_release_holds(HttpEngine *e);
/** When the call must be looked at next; 0 or -ENOMEM (never once it is in the heap). */
int http_due_set(HttpEngine *e, HttpCall *c, int64_t due_ns);
void http_due_remove(HttpEngine *e, HttpCall *c);

/* http_transfer.c: curl handles */
/** 0, or -EINVAL with @fault set. */
int http_transfer_start(HttpEngine *e, HttpCall *c, HttpFault *fault);
/**
 * Once, on a connection of its own, if it failed on a used one before anything came: curl 7.88 now and then makes an
 * error of HTTP/2's framing of that. True: it is under way.
 */
bool http_transfer_again(HttpEngine *e, HttpTransfer *t, CURLcode code);
/** Take it off curl and put it aside for reuse. Its buffers stay until then. */
void http_transfer_end(HttpEngine *e, HttpTransfer *t);
void http_transfers_free(HttpEngine *e);
/** Why curl gave up, in our words. */
void http_transfer_fault(HttpEngine *e, const HttpTransfer *t, CURLcode code, HttpFault *fault);

/* http_result.c: response → result */
/**
 * Make the result of a finished attempt and post it. Without a code in @fault there is a response to be
 * judged.
 */
void http_result_post(HttpEngine *e, HttpCall *c, HttpFault *fault);

/* http_response.c */
/** Parse @lines (t->head) into e->headers, sorted by name then order; 0 or -ENOMEM. */
int http_response_headers(HttpEngine *e, Buf *lines, size_t *ret_n);
/** The first header named @name (lower-case); SLICE_NULL if absent. */
Slice http_response_header(const HttpEngine *e, size_t n, const char *name);
/** Milliseconds a Retry-After asks for, capped; 0: nothing (or in the past). */
int64_t http_retry_after_ms(Slice value, int64_t now_ms);
/**
 * Write the step's output for the response of @t into e->output. 0, -ENOMEM, -EFBIG. @ret_warning: NULL or a
 * static sentence.
 */
int http_response_output(HttpEngine *e, HttpTransfer *t, size_t n_headers, const char **ret_warning);
/** Write e->headers as an object; repeated ones are one, their values joined (RFC 9110, 5.3). */
void http_response_put_headers(HttpEngine *e, JsonWriter *w, size_t n);

/** A member of an output besides those of the answer itself. */
typedef struct HttpField {
        Slice name;
        void (*put)(HttpEngine *e, JsonWriter *w, const void *userdata);
} HttpField;
/**
 * Write an output into e->output: @fields, in canonical order, and the members of e->json, of which those of the same
 * names give way. 0, -ENOMEM, -EFBIG.
 */
int http_response_merge(HttpEngine *e, const HttpField *fields, size_t n_fields, const void *userdata);

/* http.c */
/** The call is over: @fault as in http_result_post. Frees it. */
void http_call_finish(HttpEngine *e, HttpCall *c, HttpFault *fault);
void http_fault_set(HttpFault *f, const char *code, bool retryable, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
