/* Any bytes as a request target: what is taken is clean text, and leads to a row of the table or to none. */

#include "base/arena.h"
#include "fuzz.h"
#include "gateway/guard.h"
#include "gateway/routes.h"

static bool is_clean(Slice s) {
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
                        return false;
        return slice_is_utf8(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice target = {(const char *)data, size}, captures[4];
        Report report = {0};
        Arena arena = {0};
        unsigned methods;
        size_t n;
        Uri uri;
        char *host = slice_dup(target);

        if (uri_parse(target, &arena, &uri, &report) == 0) {
                for (size_t i = 0; i < uri.n_segments; i++)
                        PROMISE(uri.segments[i].n > 0 && is_clean(uri.segments[i]), "segments are text");
                for (size_t i = 0; i < uri.n_params; i++)
                        PROMISE(is_clean(uri.params[i].name) && is_clean(uri.params[i].value),
                                "parameters are text");
                if (route_find(&uri, METHOD_GET, captures, &n, &methods))
                        PROMISE(n <= 4, "captures have room");
        } else {
                PROMISE(report_is_error(&report), "a refusal says why");
        }
        if (host)
                guard_is_loopback(host);
        free(host);
        report_deinit(&report);
        arena_deinit(&arena);
        return 0;
}
