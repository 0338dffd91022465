/* The seal of an event: SHA-256 over its canonical form (RFC 8785) without the member that says it. */

#include <errno.h>
#include "base/cleanup.h"
#include "client/event_seal.h"
#include "json/json_write.h"

bool event_is_hash(Slice s) {
        Digest ignored;

        return digest_parse(s, &ignored);
}

int event_digest(json_t *event, Digest *ret) {
        _cleanup_(buf_deinit) Buf canonical = {0};

        json_object_del(event, "hash");
        if (json_canonical(event, &canonical) < 0)
                return -ENOMEM;
        return digest_slice(buf_slice(&canonical), ret);
}
