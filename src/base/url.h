#pragma once
/* URLs as people may see them. */

#include <stddef.h>

/** @urls (comma separated) without the users and passwords that they may hold, cut to @n bytes with the NUL. */
void url_without_secrets(const char *urls, char *ret, size_t n);
