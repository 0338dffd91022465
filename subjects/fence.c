/* Claims on an engine's identity, as they are read: bus_fence.c makes them. */
#include "subjects/fence.h"

#include "json/json_read.h"

const char fence_sentence[] = "Another engine has claimed this engine's identity on NATS, and this store "
                              "knows nothing of it: the store "
                              "is an old copy (a restored backup, a clone, a disk set back), or the engine's "
                              "twin runs on one. If no "
                              "other engine runs on a copy of this store, start once with --adopt-restored.";

bool fence_nonce(Slice body, Uuid *ret) {
        json_t *tree = json_parse_own(body);
        bool known = uuid_parse(json_string_slice(json_object_get(tree, "nonce")), ret);
        json_decref(tree);
        return known;
}

bool fence_is_ours(const SubjectsFence *fence, Slice body) {
        Uuid nonce;

        if (!fence_nonce(body, &nonce))
                return true; /* no claim at all: nothing that could fence anybody */
        for (size_t i = 0; i < fence->n; i++)
                if (uuid_eq(fence->nonces[i], nonce))
                        return true;
        return false;
}
