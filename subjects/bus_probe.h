#pragma once
/* What the NATS library does not tell about a server. */

/**
 * Does the server at @url ask clients who they are? 1 yes, 0 no, negative: could not be found out. Blocks
 * for seconds at most.
 */
int probe_auth_required(const char *url);
