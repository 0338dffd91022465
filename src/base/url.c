/*
 * URLs without their secrets. A password may hold anything, "@" and "/" too, so all up to the last "@" goes:
 * rather too little of a URL is shown than a piece of a password.
 */
#include <stdio.h>
#include <string.h>

#include "base/url.h"

void url_without_secrets(const char *urls, char *ret, size_t n) {
        size_t k = 0;
        if (n == 0)
                return;
        while (*urls && k + 1 < n) {
                size_t n_url = strcspn(urls, ",");
                const char *scheme = memmem(urls, n_url, "://", 3), *at = memrchr(urls, '@', n_url);
                size_t n_scheme = scheme ? (size_t)(scheme - urls) + 3 : 0;
                const char *host = at ? at + 1 : urls + n_scheme;
                k += (size_t)snprintf(ret + k, n - k, "%.*s%.*s%s", (int)n_scheme, urls,
                                      (int)(urls + n_url - host), host, urls[n_url] ? "," : "");
                urls += n_url + (urls[n_url] == ',');
        }
        ret[k < n ? k : n - 1] = 0;
}
