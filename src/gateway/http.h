#pragma once
/* The HTTP server: libmicrohttpd, its connections, and the way of a request through the house. */

#include "gateway/request.h"

/** Listen on the settings' address and port. 0, or negative with a sentence in @report. */
int http_start(Gateway *g, Report *report, Http **ret);
uint16_t http_port(const Http *h);
/** No new connections; those that are there go on. */
void http_quiesce(Http *h);
/** End all connections. No request may be paused. NULL-safe. */
void http_stop(Http *h);
/** Close connections that take too long over a request. Every TICK_MS or so. */
void http_tick(Http *h);
/** What the server counts, as Prometheus text. */
void http_put_metrics(Http *h, Buf *out);

/* Streams of events: the connection sleeps while there is nothing to send. */
void connection_suspend(void *connection);
void connection_resume(void *connection);
/** Has the other side closed its half, or all? Any thread, while the connection is there. */
bool connection_is_closing(void *connection);

/* handle.c: what becomes of a request; http_server.c calls these on libmicrohttpd's thread. */

/** The headers are there. May set the response already: then the body is not wanted. */
void handle_headers(Request *r, const char *method);
/** The whole body is there. */
void handle_request(Request *r);
