/* Signed checkpoints: what has grown is attested, once, in a chain that goes on over restarts. */
#include "../leaks.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_scan.h"
#include "model/event_seal.h"
#include "runtime/checkpoint.h"
#include "world.h"

TestSuite(checkpoint, .fini = check_leaks);

#define EVERY_MS 1000
#define PREFIX   "runbook.v1.checkpoint."

static const uint8_t seed[SIGNATURE_KEY_SIZE] = "a seed of thirty-two bytes, here";

static World *fresh(int64_t every_ms) {
        World *w = world_new("lmdb");
        w->with_audit = true;
        w->settings.checkpoint_ms = every_ms;
        cr_assert_eq(signing_key_from_seed(seed, &w->settings.checkpoint_key), 0);
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        world_register(w, RUNBOOK("c", "1", CONDITION("a", "")));
        return w;
}

/** The @n-th checkpoint in the stream, from 0; NULL: there are no more. What was sent again comes after all else. */
static const Published *nth(const World *w, size_t n) {
        for (size_t i = 0; i < w->audit.n; i++) {
                const Published *p = &w->audit.messages[i];
                bool again = false;
                for (size_t k = 0; k < i && !again; k++)
                        again = !strcmp(w->audit.messages[k].id, p->id);
                if (!strncmp(p->subject, PREFIX, strlen(PREFIX)) && !again && n-- == 0)
                        return p;
        }
        return NULL;
}

static size_t count(const World *w) {
        size_t n = 0;
        while (nth(w, n))
                n++;
        return n;
}

static Slice member(Slice object, const char *key) {
        Slice raw = SLICE_NULL, text;
        cr_assert(json_scan_member(object, key, &raw), "no %s in %.*s", key, SLICE_ARG(object));
        return json_scan_plain_string(raw, &text) ? text : raw;
}

static void bytes_of(Slice data, const char *key, uint8_t *ret, size_t n) {
        _cleanup_(buf_deinit) Buf b = {0};
        cr_assert(base64_decode(member(data, key), &b) && b.n == n);
        memcpy(ret, b.data, n);
}

/** Sealed, signed, at its place in the chain. Its heads as raw JSON. */
static Slice check(const World *w, size_t n) {
        const Published *p = nth(w, n);
        cr_assert_not_null(p);
        Slice event = slice_from_str(p->payload), data = member(event, "data"), statement = member(data, "statement");
        uint8_t verifier[SIGNATURE_KEY_SIZE], signature[SIGNATURE_SIZE];
        char id[UUID_TEXT_SIZE + 32], engine[UUID_TEXT_SIZE + 1], sequence[24];
        EventSeal seal;

        uuid_format(store_engine_id(w->store), engine);
        snprintf(id, sizeof(id), "%s/%zu", engine, n + 1);
        snprintf(sequence, sizeof(sequence), "%zu", n + 1);
        cr_assert_str_eq(p->id, id);
        cr_assert_str_eq(p->subject + strlen(PREFIX), engine);
        cr_assert_eq(event_seal(event, &seal), 0);
        cr_assert(seal.well_formed);
        cr_assert_str_eq(seal.hash, seal.computed);
        if (n > 0)
                cr_assert(slice_eq_str(member(slice_from_str(nth(w, n - 1)->payload), "hash"), seal.prev));
        cr_assert(slice_eq_str(member(statement, "prevhash"), seal.prev));
        cr_assert(slice_eq_str(member(statement, "engine"), engine));
        cr_assert(slice_eq_str(member(statement, "sequence"), sequence));
        cr_assert(slice_eq(member(statement, "time"), member(event, "time")));
        cr_assert(slice_eq_str(member(event, "type"), "runbook.checkpoint"));
        bytes_of(data, "publicKey", verifier, sizeof(verifier));
        bytes_of(data, "signature", signature, sizeof(signature));
        cr_assert_arr_eq(verifier, w->settings.checkpoint_key.verifier, sizeof(verifier));
        cr_assert_eq(signature_check(verifier, statement, signature), 0);
        return member(statement, "heads");
}

/** The head of @id in @heads; n 0: none. */
static Slice head_of(Slice heads, Slice id) {
        size_t at = 0;
        Slice head;
        while (json_scan_next(heads, &at, &head))
                if (slice_eq(member(head, "id"), id))
                        return head;
        return SLICE_NULL;
}

static size_t count_heads(Slice heads) {
        size_t at = 0, n = 0;
        Slice head;
        while (json_scan_next(heads, &at, &head))
                n++;
        return n;
}

/** The head is the last event of @id that the stream has. */
static void check_head(const World *w, Slice heads, const char *id) {
        Slice head = head_of(heads, slice_from_str(id)), last = SLICE_NULL;
        cr_assert(head.n > 0, "%s is not attested", id);
        for (size_t i = 0; i < w->audit.n; i++)
                if (!strncmp(w->audit.messages[i].id, id, strlen(id)) && !strstr(w->audit.messages[i].id, "/log/"))
                        last = slice_from_str(w->audit.messages[i].payload);
        cr_assert(slice_eq(member(head, "hash"), member(last, "hash")));
        cr_assert(slice_eq(member(head, "sequence"), member(last, "sequence")));
        cr_assert(slice_eq_str(member(head, "tenant"), "acme"));
}

Test(checkpoint, what_has_grown_is_attested_once) {
        World *w = fresh(EVERY_MS);
        const char *a = world_start(w, "r", NULL), *b = world_start(w, "r", NULL);
        world_pass(w, EVERY_MS - 1);
        cr_assert_eq(count(w), 0, "not before it is due");
        world_pass(w, 1);
        cr_assert_eq(count(w), 1);
        Slice heads = check(w, 0);
        cr_assert_eq(count_heads(heads), 3, "the catalog and two executions");
        check_head(w, heads, a);
        check_head(w, heads, b);
        world_pass(w, 100 * EVERY_MS);
        cr_assert_eq(count(w), 1, "nothing has changed but the checkpoint");
        world_answer(w, world_task(w, b, "a"), true, "1");
        world_run(w);
        world_pass(w, EVERY_MS);
        cr_assert_eq(count(w), 2);
        heads = check(w, 1);
        cr_assert_eq(count_heads(heads), 1);
        check_head(w, heads, b);
        world_check(w, true);
        world_free(w);
}

Test(checkpoint, the_chain_goes_on_over_a_restart) {
        World *w = fresh(EVERY_MS);
        const char *a = world_start(w, "r", NULL);
        world_pass(w, EVERY_MS);
        cr_assert_eq(count(w), 1);
        world_restart(w);
        world_pass(w, 10 * EVERY_MS);
        cr_assert_eq(count(w), 1);
        world_answer(w, world_task(w, a, "a"), true, "1");
        world_run(w);
        world_restart(w); /* before it is due */
        world_pass(w, EVERY_MS);
        cr_assert_eq(count(w), 2);
        check_head(w, check(w, 1), a);
        world_check(w, true);
        world_free(w);
}

Test(checkpoint, many_changes_do_not_wait) {
        enum { N = 2 * CHECKPOINT_HEADS_MAX + 50 };
        World *w = fresh(60 * EVERY_MS);
        const char *ids[N];
        for (size_t i = 0; i < N; i++)
                ids[i] = world_start(w, "c", "{\"go\":1}");
        world_run(w);
        cr_assert_eq(count(w), 2, "two full ones");
        world_pass(w, 60 * EVERY_MS);
        cr_assert_eq(count(w), 3);
        Slice heads[3];
        for (size_t i = 0; i < 3; i++) {
                heads[i] = check(w, i);
                cr_assert_leq(count_heads(heads[i]), CHECKPOINT_HEADS_MAX);
        }
        for (size_t i = 0; i < N; i++) {
                unsigned n = 0;
                for (size_t k = 0; k < 3; k++)
                        if (head_of(heads[k], slice_from_str(ids[i])).n > 0) {
                                check_head(w, heads[k], ids[i]);
                                n++;
                        }
                cr_assert_eq(n, 1, "%s", ids[i]);
        }
        world_check(w, true);
        world_free(w);
}

/* Rows of the outbox say what has grown: they stay until that is attested, published or not. */
Test(checkpoint, rows_stay_until_they_are_attested) {
        World *w = world_new("lmdb");
        w->with_audit = true;
        w->settings.outbox_ttl_ms = 10;
        w->settings.checkpoint_ms = 3600 * EVERY_MS;
        cr_assert_eq(signing_key_from_seed(seed, &w->settings.checkpoint_key), 0);
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *a = world_start(w, "r", NULL);
        for (int i = 0; i < 10; i++)
                world_pass(w, 200 * EVERY_MS);
        cr_assert_eq(count(w), 0);
        world_pass(w, 3600 * EVERY_MS);
        cr_assert_eq(count(w), 1);
        check_head(w, check(w, 0), a);
        world_free(w);
}

Test(checkpoint, none_are_made_unless_wanted) {
        World *w = fresh(0);
        world_start(w, "r", NULL);
        world_pass(w, 100 * EVERY_MS);
        cr_assert_eq(count(w), 0);
        world_close(w);
        w->settings.checkpoint_ms = EVERY_MS; /* from now on: what is still in the outbox is attested */
        world_open(w);
        world_pass(w, EVERY_MS);
        cr_assert_eq(count(w), 1);
        cr_assert_eq(count_heads(check(w, 0)), 2);
        world_check(w, true);
        world_free(w);
}
