/*
 * Seals of events. The hash is of the event's canonical form (RFC 8785) without its member `hash`; it is
 * computed from what was parsed, so that bytes that differ and mean the same give the same.
 */
#include "model/event_seal.h"

#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_write.h"

static int read_seal(json_t *event, EventSeal *ret) {
        _cleanup_(buf_deinit) Buf canonical = {0};
        const char *hash = json_string_value(json_object_get(event, "hash"));
        const char *prev = json_string_value(json_object_get(event, "prevhash"));
        const json_t *sequence = json_object_get(event, "sequence");
        Digest d;

        if (!hash || !prev || strlen(hash) != DIGEST_TEXT_SIZE || strlen(prev) != DIGEST_TEXT_SIZE ||
            !json_is_integer(sequence) || json_integer_value(sequence) < 0)
                return 0;
        ret->sequence = (uint64_t)json_integer_value(sequence);
        memcpy(ret->hash, hash, DIGEST_TEXT_SIZE + 1);
        memcpy(ret->prev, prev, DIGEST_TEXT_SIZE + 1);
        json_object_del(event, "hash"); /* `hash` is gone with it */
        int r = json_canonical(event, &canonical);
        if (r == 0)
                r = digest_slice(buf_slice(&canonical), &d);
        if (r < 0)
                return r;
        digest_format(&d, ret->computed);
        ret->well_formed = true;
        return 0;
}

int event_seal(Slice event, EventSeal *ret) {
        *ret = (EventSeal){0};
        json_t *tree = json_parse_own(event);
        int r = tree ? read_seal(tree, ret) : 0;
        json_decref(tree);
        return r;
}
