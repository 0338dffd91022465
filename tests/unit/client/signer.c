/* Checkpoints made by hand. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "json/json_write.h"
#include "signer.h"

static char *base64_of(const void *bytes, size_t n) {
        Buf b = {0};

        base64_put(&b, slice_from_bytes(bytes, n));
        return buf_steal_str(&b);
}

void signer_init(Signer *s, const char *engine) {
        _cleanup_free_ char *text = NULL;
        unsigned char bytes[32];
        size_t n = sizeof bytes;

        *s = (Signer){.engine = engine, .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
        cr_assert_not_null(s->key);
        cr_assert_eq(EVP_PKEY_get_raw_public_key(s->key, bytes, &n), 1);
        text = base64_of(bytes, n);
        snprintf(s->public_key, sizeof s->public_key, "%s", text);
        memset(s->hash, '0', DIGEST_TEXT_SIZE);
}

void signer_deinit(Signer *s) { EVP_PKEY_free(s->key); }

const char *signer_hash(char digit) {
        static char text[DIGEST_TEXT_SIZE + 1];

        memset(text, digit, DIGEST_TEXT_SIZE);
        return text;
}

json_t *signer_head(const char *id, long long sequence, char digit) {
        return json_pack("{ss sI ss ss}", "id", id, "sequence", (json_int_t)sequence, "hash",
                         signer_hash(digit), "tenant", "acme");
}

json_t *signer_statement(const json_t *event) {
        return json_object_get(json_object_get(event, "data"), "statement");
}

void signer_seal(json_t *event) {
        char hash[DIGEST_TEXT_SIZE + 1];
        _cleanup_(buf_deinit) Buf b = {0};
        Digest d;

        json_object_del(event, "hash");
        json_canonical(event, &b);
        digest_slice(buf_slice(&b), &d);
        digest_format(&d, hash);
        json_object_set_new(event, "hash", json_string(hash));
}

void signer_sign(const Signer *s, json_t *event) {
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_free_ char *text = NULL;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        unsigned char signature[64];
        size_t n = sizeof signature;

        json_canonical(signer_statement(event), &b);
        cr_assert_eq(EVP_DigestSignInit(context, NULL, NULL, NULL, s->key), 1);
        cr_assert_eq(EVP_DigestSign(context, signature, &n, (unsigned char *)b.data, b.n), 1);
        EVP_MD_CTX_free(context);
        text = base64_of(signature, n);
        json_object_set_new(json_object_get(event, "data"), "signature", json_string(text));
        json_object_set_new(json_object_get(event, "data"), "publicKey", json_string(s->public_key));
        signer_seal(event);
}

json_t *signer_make(Signer *s, json_t *a, json_t *b, json_t *c) {
        json_t *heads = json_array(), *event, *each[] = {a, b, c};
        char time[32], id[128], source[128];
        json_int_t sequence = ++s->sequence;

        for (size_t i = 0; i < 3 && each[i]; i++)
                json_array_append_new(heads, each[i]);
        snprintf(time, sizeof time, "2026-01-02T03:%02lld:00.000Z", (long long)sequence % 60);
        snprintf(id, sizeof id, "%s/%lld", s->engine, (long long)sequence);
        snprintf(source, sizeof source, "runbookd/%s", s->engine);
        event = json_pack("{ss ss ss ss ss ss ss sI ss s{ss s{ss so ss sI ss}}}", "specversion", "1.0",
                          "type", "runbook.checkpoint", "datacontenttype", "application/json", "id", id,
                          "source", source, "subject", s->engine, "time", time, "sequence", sequence,
                          "prevhash", s->hash, "data", "algorithm", "Ed25519", "statement", "engine",
                          s->engine, "heads", heads, "prevhash", s->hash, "sequence", sequence, "time", time);
        cr_assert_not_null(event);
        signer_sign(s, event);
        snprintf(s->hash, sizeof s->hash, "%s", json_string_value(json_object_get(event, "hash")));
        return event;
}
