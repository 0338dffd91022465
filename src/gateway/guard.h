#pragma once
/* What a request must be before it is looked at, whoever sends it; and the headers that every response has. */

#include "gateway/request.h"

/** Check the headers against what browsers can be made to send by others' pages. False: refused. */
bool guard_check_origin(Request *r);
/** Content type and Accept against the route. False: refused. */
bool guard_check_content(Request *r);
/** The answer to OPTIONS: @methods that the path has, and what CORS lets other origins send. */
void guard_options(Request *r, unsigned methods);
/** "GET, HEAD, OPTIONS" for the bits of @methods. */
const char *guard_allow(unsigned methods);
/** Add the headers of every response: who may show it, read it, keep it. */
void guard_headers(Request *r);

/** Is @host (a Host header) a name of this machine's loopback, with or without port? */
bool guard_is_loopback(const char *host);
