/*
 * The console's files and the API's description, as embed.py has put them into the program
 *
 * There is no file system behind them: a path is a key of a fixed table, or nothing.
 */

#include <stdlib.h>
#include "base/cleanup.h"
#include "gateway/asset.h"
#include "gateway/routes.h"

static int compare(const void *key, const void *asset) {
        return slice_cmp(*(const Slice *)key, slice_from_str(((const Asset *)asset)->path));
}

static void reply_asset(Request *r, Slice path) {
        const Asset *a = bsearch(&path, assets, n_assets, sizeof assets[0], compare);
        const char *known = request_header(r, "If-None-Match");

        if (!a) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 404, "there is no such page");
                return;
        }
        reply_header(r, "ETag", a->etag);
        if (known && (!strcmp(known, "*") || strstr(known, a->etag)))
                reply_empty(r, 304);
        else
                reply_fixed(r, 200, a->content_type, a->bytes);
}

void asset_index(Request *r) { reply_asset(r, SLICE("console/index.html")); }

void asset_openapi(Request *r) { reply_asset(r, SLICE("openapi.json")); }

void asset_file(Request *r) {
        _cleanup_(buf_deinit) Buf path = {0};

        for (size_t i = 0; i < r->uri.n_segments; i++) {
                if (i > 0)
                        buf_put_char(&path, '/');
                buf_put_slice(&path, r->uri.segments[i]);
        }
        if (path.error)
                reply_memory(r);
        else
                reply_asset(r, buf_slice(&path));
}
