#pragma once
/* What the NATS library does not tell about a server. */

#include <stddef.h>

/**
 * Does the server at @url ask clients who they are? 1 yes, 0 no, negative: could not be found out. Blocks
 * for seconds at most.
 */
int probe_auth_required(const char *url);
/** @urls (comma separated) without the users and passwords that they may hold. */
void url_without_secrets(const char *urls, char *ret, size_t n);
