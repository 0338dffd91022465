#pragma once
/* Request targets taken apart: path segments and parameters, decoded and checked. */

#include "base/arena.h"
#include "base/report.h"

#define URI_BYTES_MAX    8192
#define URI_SEGMENTS_MAX 16
#define URI_PARAMS_MAX   32

typedef struct UriParam {
        Slice name, value;
} UriParam;

/** Slices live in the arena that uri_parse was given; they are UTF-8 without control characters. */
typedef struct Uri {
        Slice segments[URI_SEGMENTS_MAX];
        size_t n_segments; /* "/" has none */
        UriParam params[URI_PARAMS_MAX];
        size_t n_params;
} Uri;

/** 0, -ENOMEM, or -EINVAL with a sentence in @report. */
int uri_parse(Slice target, Arena *arena, Uri *ret, Report *report);
/** Value of the first parameter @name; SLICE_NULL: none. */
Slice uri_param(const Uri *uri, const char *name);
