/*
 * Memory runs out at every single allocation that compiling and evaluating makes, in our code and in the
 * libraries below it: each time the answer must be -ENOMEM (or what it would have been anyway), and nothing
 * may be left behind. A plain program, because it brings its own malloc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "expr/expr.h"
#include "model/runbook.h"

#define EXPORT __attribute__((visibility("default")))

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static long n_left = -1; /* allocations that succeed before all fail; negative: none fails */
static long n_live;

static bool fails(void) {
        if (n_left > 0)
                n_left--;
        else if (n_left == 0)
                return true;
        n_live++;
        return false;
}

EXPORT void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
EXPORT void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
EXPORT void *realloc(void *p, size_t n) {
        if (fails())
                return NULL;
        n_live -= p != NULL;
        return __libc_realloc(p, n);
}
EXPORT void free(void *p) {
        n_live -= p != NULL;
        __libc_free(p);
}

static const char good[] =
                "{\"id\":\"r\",\"version\":\"1\",\"output\":{\"x\":\"${a.b ?? {\\\"k\\\":1}} "
                "$${y}\"},\"inputSchema\":{\"type\":\"object\"},"
                "\"steps\":[{\"id\":\"a\",\"type\":\"call-service\",\"compensateWith\":\"u\","
                "\"requiredPermissions\":[\"p\",\"q\"],"
                "\"config\":{\"url\":\"https://x/${input.p}\",\"headers\":{\"A\":\"b "
                "${input.c}\",\"S\":\"Bearer ${secrets.T} $${x}\"},"
                "\"body\":{\"q\":[\"${input.z ?? "
                "nope}\",{\"w\":\"$${x}\"},1]}},\"retryPolicy\":{\"retryableErrors\":[\"A*\",\"B\"]},"
                "\"evidence\":[{\"type\":\"t\",\"sourceRef\":\"${steps.a.x}\",\"value\":{\"v\":\"${steps.a['"
                "k k']}\"}}]},"
                "{\"id\":\"c\",\"type\":\"conditional\",\"dependsOn\":[\"a\"],\"config\":{\"trueBranch\":["
                "\"h\"],\"falseBranch\":\"l\","
                "\"condition\":{\"any\":[{\"all\":[{\"field\":\"input.s\",\"operator\":\"matches\",\"value\":"
                "\"^(a|b)+$\"},"
                "{\"not\":{\"field\":\"a.y\",\"operator\":\"in\",\"value\":[\"${input.q}\",2]}}]},{\"field\":"
                "\"steps.a.z[\\\"q\\\"]\","
                "\"operator\":\"exists\"}]}}},{\"id\":\"h\",\"type\":\"human-approval\",\"approvalConfig\":{"
                "\"approvers\":[\"1\",\"2\",\"3\","
                "\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]"
                ",\"prompt\":\"${input.s}?\"}},"
                "{\"id\":\"l\",\"type\":\"loop\",\"config\":{\"bodyStepId\":\"b\"},\"loopConfig\":{"
                "\"iterateOver\":\"steps.a.items\"}},"
                "{\"id\":\"b\",\"type\":\"transform\",\"config\":{\"jq\":\". "
                "$${x}\"},\"input\":\"${loop.item}\"},"
                "{\"id\":\"g\",\"type\":\"call-service\",\"config\":{\"protocol\":\"grpc\",\"target\":\"h:1\","
                "\"service\":\"a.B\",\"method\":\"C\",\"descriptorSet\":\"Zm9v YmFy\"}},"
                "{\"id\":\"u\",\"type\":\"wait\",\"config\":{\"durationMs\":\"${a.ms ?? 5}\"}}]}";

static const char bad[] = "{\"id\":\"r "
                          "r\",\"version\":\"1\",\"steps\":[{\"id\":\"a\",\"type\":\"call-servce\","
                          "\"dependsOn\":[\"b\",\"zzz\"]},"
                          "{\"id\":\"b\",\"type\":\"transform\",\"dependsOn\":[\"a\"],\"config\":{\"jq\":"
                          "\"\"},\"joinPolicy\":\"al\"},"
                          "{\"id\":\"d\",\"type\":\"custom:x\",\"input\":[\"${x ?? "
                          "[1}\",\"${\",\"${steps.f.x}\",\"${a[}\"],\"condition\":{\"all\":["
                          "{\"field\":\"f\",\"operator\":\"matches\",\"value\":\"(\"},{\"field\":\"f\","
                          "\"operator\":\"matches\",\"value\":\"a+\"}]}},"
                          "{\"id\":\"f\",\"type\":\"call-service\",\"config\":{\"url\":\"ftp://"
                          "x\",\"headers\":{\"Host\":\"a\",\"B\":\"${secrets}\"}}}]}";

static const char yaml[] = "id: r\nversion: '1'\nsteps:\n- id: a\n  type: custom:x\n  config: {a: [1, 2.5, "
                           "null, '${input}']}\n";

static const json_t *head(void *userdata, const ExprPath *path, uint32_t *ret_used) {
        *ret_used = path->root == EXPR_ROOT_NAME || path->root == EXPR_ROOT_STEPS;
        return userdata;
}

static int evaluate_template(const ExprTemplate *t, const ExprEnv *env) {
        json_t *value;
        ExprError error;
        int r = t ? expr_template_eval(t, env, &value, &error) : 0;
        if (t && r == 0)
                json_decref(value);
        return r;
}

static int evaluate(const RunbookStep *step, const ExprEnv *env) {
        ExprError error;
        bool holds;
        int r = evaluate_template(step->config, env);
        if (r == 0)
                r = evaluate_template(step->input, env);
        if (r == 0 && step->branch_condition)
                r = expr_condition_eval(step->branch_condition, env, &holds, &error);
        return r;
}

/** Compile @text with @n allocations, and evaluate what there is; the result, and in *ret_left what was not
 * used. */
static int run(Slice text, const json_t *world, long n, long *ret_left) {
        Report report = {0};
        Runbook *r = NULL;
        ExprEnv env = {head, (void *)world};
        n_left = n;
        int result = runbook_def_parse(text, &runbook_defaults_builtin, &report, &r);
        for (uint32_t i = 0; r && i < r->n_steps && result == 0; i++)
                result = evaluate(&r->steps[i], &env);
        *ret_left = n_left;
        n_left = -1;
        runbook_unref(r);
        report_deinit(&report);
        return result;
}

static int check(const char *name, Slice text, const json_t *world, int wanted) {
        long left, n;
        run(text, world, -1, &left); /* what libraries keep for good */
        long n_before = n_live;
        for (n = 0;; n++) {
                int r = run(text, world, n, &left);
                if (r == wanted && left > 0)
                        break;
                if (r != -ENOMEM && !(r == wanted && left == 0)) {
                        printf("not ok - %s: with %ld allocations the result is %d\n", name, n, r);
                        return 1;
                }
                run(text, world, -1, &left);
                if (n_live != n_before) {
                        printf("not ok - %s: with %ld allocations, %ld are left behind\n", name, n,
                               n_live - n_before);
                        return 1;
                }
        }
        printf("ok - %s: %ld allocations, each failed once\n", name, n);
        return n < 50; /* else the malloc above is not the one in use */
}

int main(void) {
        json_t *world = json_loads("{\"p\":\"x\",\"c\":1,\"s\":\"abab\",\"q\":[1],\"y\":2,\"item\":{}}", 0,
                                   NULL);
        printf("1..3\n");
        int r = check("a runbook", SLICE(good), world, 0);
        r |= check("a runbook full of errors", SLICE(bad), world, -EINVAL);
        r |= check("a runbook in YAML", SLICE(yaml), world, 0);
        json_decref(world);
        return r;
}
