/* Kept checkpoints: what the program says of files, and of a history that is held against them. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "run.h"
#include "signer.h"

#define N_EVENTS 6

static char dir[64];
static Signer one, two;
static json_t *events[N_EVENTS];

/** A history of SIGNER_A, sealed and chained. */
static void make_events(void) {
        for (int i = 0; i < N_EVENTS; i++) {
                const char *before = i ? json_string_value(json_object_get(events[i - 1], "hash"))
                                       : signer_hash('0');

                json_decref(events[i]);
                events[i] = json_pack("{ss ss si ss s{si}}", "type", "runbook.step.completed", "subject",
                                      SIGNER_A, "sequence", i + 1, "prevhash", before, "data", "n", i);
                signer_seal(events[i]);
        }
}

static void write_events(const char *name, int n) {
        FILE *f = fopen(name, "w");

        for (int i = 0; i < n; i++) {
                json_dumpf(events[i], f, JSON_COMPACT);
                fputc('\n', f);
        }
        fclose(f);
}

/** Append @checkpoint (taken) as a line. */
static void keep(const char *name, json_t *checkpoint) {
        FILE *f = fopen(name, "a");

        json_dumpf(checkpoint, f, JSON_COMPACT);
        fputc('\n', f);
        fclose(f);
        json_decref(checkpoint);
}

static json_t *head_at(int sequence) {
        return json_pack("{ss si sO ss}", "id", SIGNER_A, "sequence", sequence, "hash",
                         json_object_get(events[sequence - 1], "hash"), "tenant", "acme");
}

static void setup(void) {
        strcpy(dir, "/tmp/runbook-cli-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
        setenv("HOME", dir, 1);
        setenv("LANG", "C.UTF-8", 1);
        signer_init(&one, SIGNER_E1);
        signer_init(&two, SIGNER_E2);
        make_events();
        write_events("audit.jsonl", N_EVENTS);
        keep("kept.jsonl", signer_make(&one, head_at(2), NULL, NULL));
        keep("kept.jsonl", signer_make(&one, head_at(4), signer_head(SIGNER_B, 7, 'b'), NULL));
}

static void teardown(void) {
        char command[128];

        signer_deinit(&one);
        signer_deinit(&two);
        snprintf(command, sizeof command, "rm -r %s", dir);
        cr_expect_eq(system(command), 0);
}

TestSuite(checkpoints, .init = setup, .fini = teardown, .timeout = 60);

#define EXPECT_OUT(r, text) cr_expect_not_null(strstr((r)->out, text), "%s", (r)->out)
#define EXPECT_ERR(r, text) cr_expect_not_null(strstr((r)->err, text), "%s", (r)->err)

Test(checkpoints, of_a_file) {
        const Run *r = run("checkpoints kept.jsonl");

        cr_expect_eq(r->exit, 0, "%s", r->err);
        EXPECT_OUT(r, "engine " SIGNER_E1 "\n");
        EXPECT_OUT(r, "2, 1 to 2, attesting 3 events");
        EXPECT_OUT(r, "2026-01-02T03:01:00.000Z to 2026-01-02T03:02:00.000Z");
        EXPECT_OUT(r, one.public_key);
        EXPECT_OUT(r, "compare it with the engine's log");
        EXPECT_OUT(r, "verified: 2 checkpoints, none missing, none altered\n");
        r = run("checkpoints kept.jsonl --key %s --key %s", two.public_key, one.public_key);
        cr_expect_eq(r->exit, 0, "%s", r->err);
        EXPECT_OUT(r, "(given)");
        cr_expect_str_eq(run("checkpoints -q - < kept.jsonl")->out, SIGNER_E1 "\n");
        keep("kept.jsonl", signer_make(&two, NULL, NULL, NULL));
        r = run("checkpoints kept.jsonl kept.jsonl --json");
        cr_expect_eq(r->exit, 0, "what is in both is known again: %s", r->out);
        EXPECT_OUT(r, "\"verified\":true");
        EXPECT_OUT(r, "\"engine\":\"" SIGNER_E2 "\"");
        cr_expect_str_eq(r->err, "");
}

Test(checkpoints, every_fault_of_a_file_is_told_with_its_line) {
        const Run *r;

        json_decref(signer_make(&one, NULL, NULL, NULL));
        keep("kept.jsonl", signer_make(&one, NULL, NULL, NULL));
        cr_expect_eq(system("printf '\\n\\377\\376\\nnonsense\\n' >> kept.jsonl; tail -1 kept.jsonl | tr -d "
                            "'\\n' >> kept.jsonl"),
                     0);
        r = run("checkpoints kept.jsonl");
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "kept.jsonl:3: checkpoint 3 of engine " SIGNER_E1 " is missing\n");
        EXPECT_ERR(r, "kept.jsonl:5: not a checkpoint: ");
        EXPECT_ERR(r, "kept.jsonl:7: not a checkpoint: ");
        EXPECT_ERR(r, "NOT verified: 4 faults in 6 checkpoints");
        r = run("checkpoints kept.jsonl --json");
        cr_expect_eq(r->exit, 1);
        EXPECT_OUT(r, "\"verified\":false,\"events\":6,\"faultCount\":4,\"faults\":[\"kept.jsonl:3: ");
        cr_expect_str_eq(r->err, "");
        r = run("checkpoints kept.jsonl --key %s", two.public_key);
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "which is not trusted");
        EXPECT_OUT(r, "none that counts");
        r = run("checkpoints /nowhere");
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "cannot read /nowhere");
        r = run("checkpoints - < /dev/null");
        cr_expect_eq(r->exit, 1, "nothing is not proof of anything");
        EXPECT_ERR(r, "there are no checkpoints");
}

Test(checkpoints, a_line_without_end) {
        const Run *r = run(
                        "checkpoints - < <(head -c 9000000 /dev/zero | tr '\\0' '['; echo; cat kept.jsonl)");

        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "-:1: not a checkpoint: ");
        EXPECT_ERR(r, "NOT verified: 1 fault in 3 checkpoints");
}

Test(checkpoints, a_history_that_they_attest) {
        const Run *r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl --key %s",
                           one.public_key);

        cr_expect_eq(r->exit, 0, "%s", r->err);
        EXPECT_OUT(r, "verified: 6 events");
        EXPECT_OUT(r, "events 1 to 4 are attested by checkpoint 2 of engine " SIGNER_E1 ", signed with ");
        EXPECT_OUT(r, "events 5 to 6 are not covered");
        r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl --json");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        EXPECT_OUT(r, "\"attested\":{\"sequence\":4,\"hash\":\"");
        EXPECT_OUT(r, "\"notCovered\":2");
        cr_expect_str_eq(r->err, "");
        write_events("audit.jsonl", 4);
        r = run("history --verify -f audit.jsonl --checkpoints - < kept.jsonl");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_null(strstr(r->out, "not covered"), "%s", r->out);
}

Test(checkpoints, a_history_that_was_cut_off) {
        const Run *r;

        write_events("audit.jsonl", 3);
        r = run("history --verify -f audit.jsonl");
        cr_expect_eq(r->exit, 0, "alone it does not show");
        r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl");
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "the history is cut off: it ends at event 3, but checkpoint 2 of engine " SIGNER_E1
                      " attests event 4\n");
        r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl --json");
        cr_expect_eq(r->exit, 1);
        EXPECT_OUT(r, "\"verified\":false");
        EXPECT_OUT(r, "\"faultCount\":1,\"faults\":[\"the history is cut off");
}

Test(checkpoints, a_history_that_was_made_anew) {
        const Run *r;

        json_object_set_new(json_object_get(events[2], "data"), "n", json_integer(77));
        signer_seal(events[2]);
        for (int i = 3; i < N_EVENTS; i++) {
                json_object_set(events[i], "prevhash", json_object_get(events[i - 1], "hash"));
                signer_seal(events[i]);
        }
        write_events("audit.jsonl", N_EVENTS);
        cr_expect_eq(run("history --verify -f audit.jsonl")->exit, 0, "alone it does not show");
        r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl");
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "event 4 was altered: checkpoint 2 of engine " SIGNER_E1 " attests hash ");
        EXPECT_ERR(r, "NOT verified: 1 fault in 6 events");
}

Test(checkpoints, what_they_do_not_attest_is_not_verified) {
        const Run *r;

        keep("other.jsonl", signer_make(&two, signer_head(SIGNER_B, 7, 'b'), NULL, NULL));
        r = run("history --verify -f audit.jsonl --checkpoints other.jsonl");
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "no checkpoint that was given attests any event of execution " SIGNER_A);
        r = run("history --verify -f audit.jsonl --checkpoints other.jsonl --checkpoints kept.jsonl");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        r = run("history --verify -f audit.jsonl --checkpoints kept.jsonl --key %s", two.public_key);
        cr_expect_eq(r->exit, 1);
        EXPECT_ERR(r, "kept.jsonl:1: checkpoint 1 of engine " SIGNER_E1 " is signed by key ");
        r = run("history --verify -f audit.jsonl --checkpoints /dev/null --json");
        cr_expect_eq(r->exit, 1);
        EXPECT_OUT(r, "\"attested\":null");
}
