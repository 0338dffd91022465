/*
 * Checkpoints: what they attest is what the histories say; nothing is attested twice, and in the end everything is.
 */
#include "books.h"

#include "base/base64.h"
#include "base/cleanup.h"
#include "json/json_write.h"

static Case *case_of(Books *b, const char *id) {
        Uuid wanted;
        if (!id || !uuid_parse(slice_from_str(id), &wanted))
                return NULL;
        for (size_t i = b->n; i-- > 0;)
                if (uuid_eq(b->cases[i].id, wanted))
                        return &b->cases[i];
        return NULL;
}

static const char *head_fault(Sim *s, const json_t *head) {
        const char *hash = json_string_value(json_object_get(head, "hash"));
        uint64_t sequence = (uint64_t)json_integer_value(json_object_get(head, "sequence"));
        Case *c = case_of(s->books, json_string_value(json_object_get(head, "id")));

        if (!c || !hash)
                return "a history is attested that is not there";
        if (sequence == 0 || sequence > c->seq)
                return "an event is attested that is not there";
        if (memcmp(c->hashes[sequence - 1], hash, DIGEST_TEXT_SIZE) != 0)
                return "another hash is attested than the event has";
        if (sequence <= c->attested)
                return "what was attested is attested again";
        c->attested = sequence;
        return NULL;
}

static const char *signature_fault(const Sim *s, const json_t *data, json_t *statement) {
        const SigningKey *key = &s->plan.runtime.checkpoint_key;
        const char *text = json_string_value(json_object_get(data, "signature"));
        _cleanup_(buf_deinit) Buf bytes = {0}, canonical = {0};

        if (!text || !base64_decode(slice_from_str(text), &bytes) || bytes.n != SIGNATURE_SIZE)
                return "a checkpoint has no signature";
        json_canonical(statement, &canonical);
        return signature_check(key->verifier, buf_slice(&canonical), (const uint8_t *)bytes.data) == 0
                               ? NULL
                               : "a checkpoint is not signed";
}

const char *attest_apply(Sim *s, const Case *c, const json_t *data) {
        json_t *statement = json_object_get(data, "statement"), *head;
        const char *prev = json_string_value(json_object_get(statement, "prevhash"));
        const char *fault = signature_fault(s, data, statement);
        size_t i;

        if (!fault && json_integer_value(json_object_get(statement, "sequence")) != (json_int_t)c->seq)
                fault = "a checkpoint says another sequence than its event";
        if (!fault && c->seq > 1 && (!prev || memcmp(prev, c->hashes[c->seq - 2], DIGEST_TEXT_SIZE) != 0))
                fault = "a checkpoint does not name the one before";
        json_array_foreach(json_object_get(statement, "heads"), i, head)
                if (!fault)
                        fault = head_fault(s, head);
        return fault;
}

void attest_check_end(Sim *s) {
        const Uuid engine = store_engine_id(s->store);

        for (size_t i = 0; s->plan.runtime.checkpoint_ms && i < s->books->n && !s->failed; i++) {
                const Case *c = &s->books->cases[i];
                char id[UUID_TEXT_SIZE + 1];
                uuid_format(c->id, id);
                if (!uuid_eq(c->id, engine) && c->attested != c->seq)
                        sim_fail(s, "not attested", "%s has %llu events, %llu are attested", id,
                                 (unsigned long long)c->seq, (unsigned long long)c->attested);
        }
}
