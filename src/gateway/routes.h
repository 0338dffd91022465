#pragma once
/* The table of everything that the gateway answers, and the way to a row. */

#include "gateway/request.h"

/** Names of parameters, with blanks between; each is handed on as a member of the query's body. */
typedef const char *RouteParams;

typedef enum RouteBody {
        ROUTE_BODY_NONE,     /* there is no use for one */
        ROUTE_BODY_OPTIONAL, /* JSON, or nothing */
        ROUTE_BODY_JSON,
        ROUTE_BODY_DEFINITION /* JSON or YAML */
} RouteBody;

struct Route {
        Method method;
        const char *path; /* "{…}" stands for one segment, which is captured; "{*}" at the end for all further ones */
        void (*handle)(Request *r);
        /* relay_handle: */
        const char *family, *verb; /* of the subject; the captured segments follow as tokens */
        RouteParams params;
        RouteBody body;
        size_t body_max;
        int status;                                     /* of a success */
        void (*finish)(Request *r, LinkAnswer *answer); /* instead of passing the answer on; NULL: pass it */
        bool is_public;                                 /* nobody is asked who he is */
        bool is_page;                                   /* not JSON: what Accept says is not looked at */
        bool is_stream;                                 /* of events */
        bool is_health;                                 /* answered while draining too */
        bool is_large;                                  /* may take longer */
};

/**
 * The row for @method and path, with its captures; NULL: none, then *ret_methods has the methods of the rows that
 * the path fits (0: it fits none).
 */
const Route *route_find(const Uri *uri, Method method, Slice captures[4], size_t *ret_n_captures,
                        unsigned *ret_methods);
/** The whole table. */
const Route *route_table(size_t *ret_n);
bool route_takes_param(const Route *route, Slice name);

/* Handlers: called with the whole body, on libmicrohttpd's thread; they set the response or pause the request. */
void relay_handle(Request *r);     /* relay.c */
void relay_event(Request *r);      /* relay.c */
void auth_show(Request *r);        /* auth.c */
void asset_index(Request *r);      /* asset.c */
void asset_file(Request *r);       /* asset.c */
void asset_openapi(Request *r);    /* asset.c */
void health_live(Request *r);      /* health.c */
void health_ready(Request *r);     /* health.c */
void health_metrics(Request *r);   /* health.c */
void stream_execution(Request *r); /* stream_execution.c */
void stream_tenant(Request *r);    /* stream_tenant.c */

/* Finishers: what becomes of an answer that is not simply passed on. */
void finish_start(Request *r, LinkAnswer *answer);    /* relay_finish.c */
void finish_replay(Request *r, LinkAnswer *answer);   /* relay_finish.c */
void finish_stats(Request *r, LinkAnswer *answer);    /* relay_finish.c */
void finish_register(Request *r, LinkAnswer *answer); /* relay_finish.c */
