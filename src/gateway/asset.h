#pragma once
/* Files that are part of the program: the console and the API's description. */

#include "base/slice.h"

typedef struct Asset {
        const char *path; /* below console/, or "openapi.json" */
        const char *content_type;
        const char *etag; /* quoted */
        Slice bytes;
} Asset;

/* Made by embed.py; in the order of their paths (memcmp). */
extern const Asset assets[];
extern const size_t n_assets;
