#pragma once
/* Failures of the client as the public header tells them. */

#include <runbook/client.h>

/** Fill @e (may be NULL) and return @status, so that a caller can `return client_error_set(…)`. */
int client_error_set(RunbookClientError *e, int status, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
int client_error_memory(RunbookClientError *e);
