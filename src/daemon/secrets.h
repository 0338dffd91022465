#pragma once
/* Secrets of steps: files in a directory. */

#include "base/slice.h"

#define SECRET_BYTES_MAX (64 * 1024)
#define SECRET_NAME_MAX  128

/**
 * The secret @name of @tenant: the file `<dir>/<tenant>/<name>`, else `<dir>/<name>`, which all tenants may
 * use; without one line break at its end. Names are made of letters, digits, '_', '-' and '.', and don't
 * begin with a dot; a tenant whose name has other characters is looked for under its subject token (`%XX`).
 * Owned by the caller, who wipes it; NULL: there is none. ExecutorHost.secret: @userdata is the directory
 * (NULL: no secrets).
 */
char *secrets_get(void *userdata, Slice tenant, Slice name);
/**
 * The text of the file @path, without one line break at its end; owned, to be wiped. NULL with errno: it can't be
 * read, is no regular file, or larger than SECRET_BYTES_MAX.
 */
char *secret_read(const char *path);
