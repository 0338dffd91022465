/* Failures of the client as the public header tells them. */

#include <stdarg.h>
#include <stdio.h>
#include "client/client_error.h"

int client_error_set(RunbookClientError *e, int status, const char *format, ...) {
        if (!e)
                return status;
        va_list ap;
        va_start(ap, format);
        vsnprintf(e->message, sizeof e->message, format, ap);
        va_end(ap);
        e->status = (RunbookClientStatus)status;
        return status;
}

int client_error_memory(RunbookClientError *e) {
        return client_error_set(e, RUNBOOK_CLIENT_E_MEMORY, "out of memory");
}
