#include "runbook_fixture.h"

TestSuite(runbook, .fini = check_leaks);

/* The example and the fragments that introduced the format: they must be accepted as they stand. */
static const char example[] = "{'id': 'my-runbook', 'name': 'My Runbook', 'version': '1.0.0', 'description': "
                              "'Example runbook with approval', 'steps': ["
                              "{'id': 'call-api', 'name': 'Call External API', 'type': 'call-service', "
                              "'inputSchema': {}, 'outputSchema': {},"
                              " 'dependsOn': [], 'config': {'url': 'https://api.example.com/process', "
                              "'method': 'POST', 'idempotencyKey': 'unique-key'},"
                              " 'retryPolicy': {'maxAttempts': 3, 'initialDelayMs': 1000, 'maxDelayMs': "
                              "5000, 'backoffMultiplier': 2}},"
                              "{'id': 'require-approval', 'name': 'Require Manager Approval', 'type': "
                              "'human-approval', 'inputSchema': {},"
                              " 'outputSchema': {}, 'dependsOn': ['call-api'], 'config': {},"
                              " 'retryPolicy': {'maxAttempts': 1, 'initialDelayMs': 0, 'maxDelayMs': 0, "
                              "'backoffMultiplier': 1},"
                              " 'approvalConfig': {'approvers': ['manager1', 'manager2'], 'minApprovals': 1, "
                              "'timeoutMs': 3600000,"
                              " 'timeoutAction': 'fail', 'prompt': 'Approve this action?'}}],"
                              "'defaultRetryPolicy': {'maxAttempts': 3, 'initialDelayMs': 1000, "
                              "'maxDelayMs': 10000, 'backoffMultiplier': 2}}";

Test(runbook, the_example) {
        _cleanup_runbook_ Runbook *r = good(example);
        expect_text(r->id, "my-runbook");
        expect_text(r->name, "My Runbook");
        expect_text(r->version, "1.0.0");
        expect_text(r->description, "Example runbook with approval");
        cr_assert_eq(r->n_steps, 2);
        cr_assert_eq(r->n_regions, 1);
        cr_assert_null(r->input_schema);

        const RunbookStep *call = step_of(r, "call-api"), *approval = step_of(r, "require-approval");
        cr_assert_eq(call->type, STEP_TYPE_CALL_SERVICE);
        expect_text(call->type_name, "call-service");
        expect_text(call->name, "Call External API");
        cr_assert_eq(call->retry.max_attempts, 3);
        cr_assert_eq(call->retry.max_delay_ms, 5000);
        cr_assert_eq(call->n_deps, 0);
        cr_assert_eq(call->n_out, 1);
        cr_assert_eq(call->out[0].to, approval->index);
        cr_assert_eq(call->out[0].kind, EDGE_DEPENDENCY);
        cr_assert_null(call->input_schema);
        cr_assert_null(call->input);
        cr_assert(expr_template_is_constant(call->config));
        cr_assert_str_eq(json_string_value(json_object_get(expr_template_constant(call->config), "url")),
                         "https://api.example.com/process");

        cr_assert_eq(approval->type, STEP_TYPE_HUMAN_APPROVAL);
        cr_assert_eq(approval->n_deps, 1);
        cr_assert_eq(approval->n_dep_edges, 1);
        cr_assert_eq(approval->deps[0], call->index);
        cr_assert_eq(approval->retry.max_attempts, 1);
        const ApprovalConfig *a = approval->approval;
        cr_assert_eq(a->n_approvers, 2);
        expect_text(a->approvers[1], "manager2");
        cr_assert_eq(a->min_approvals, 1);
        cr_assert_eq(a->timeout_ms, 3600000);
        cr_assert_eq(a->timeout_action, TIMEOUT_FAIL);
        cr_assert_not(a->allow_self_approval);
        cr_assert_str_eq(json_string_value(expr_template_constant(a->prompt)), "Approve this action?");
}

Test(runbook, the_fragments) {
        _cleanup_runbook_ Runbook *r = good(RUNBOOK(
                        "{'id': 'call-api', 'type': 'call-service', 'config': {'url': "
                        "'https://api.example.com/process', 'method': 'POST',"
                        " 'headers': {'X-API-Key': 'secret'}, 'idempotencyKey': 'unique-key-123'}},"
                        "{'id': 'require-approval', 'type': 'human-approval', 'approvalConfig': "
                        "{'approvers': ['manager1', 'manager2'],"
                        " 'minApprovals': 2, 'timeoutMs': 3600000, 'timeoutAction': 'fail', 'prompt': "
                        "'Approve deployment to production?'}},"
                        "{'id': 'check-status', 'type': 'conditional', 'config': {'condition': {'field': "
                        "'result.status', 'operator': 'eq',"
                        " 'value': 'success'}, 'trueBranch': 'deploy-step', 'falseBranch': 'rollback-step'}},"
                        "{'id': 'process-items', 'type': 'loop', 'config': {'bodyStepId': "
                        "'process-single-item'},"
                        " 'loopConfig': {'maxIterations': 100, 'iterateOver': 'items'}},"
                        "{'id': 'wait-webhook', 'type': 'wait-for-event', 'config': {'eventType': "
                        "'webhook.received',"
                        " 'correlationId': 'order-123', 'timeoutMs': 300000}},"
                        "{'id': 'my-step', 'type': 'custom:my-step', 'config': {'requiredParam': 1, "
                        "'anything': ['goes']}}," STEP("deploy-step") "," STEP("rollback-step") "," STEP(
                                        "process-single-item")));
        const RunbookStep *check = step_of(r, "check-status"), *loop = step_of(r, "process-items");
        cr_assert_not_null(check->branch_condition);
        cr_assert_eq(check->n_out, 2);
        cr_assert_eq(check->out[0].kind, EDGE_TRUE);
        cr_assert_eq(check->out[0].to, step_of(r, "deploy-step")->index);
        cr_assert_eq(check->out[1].kind, EDGE_FALSE);
        cr_assert_eq(check->out[1].to, step_of(r, "rollback-step")->index);
        cr_assert_eq(step_of(r, "deploy-step")->n_branch_edges, 1);
        cr_assert_eq(step_of(r, "deploy-step")->n_dep_edges, 0);
        cr_assert_eq(loop->loop->max_iterations, 100);
        cr_assert_eq(loop->loop->concurrency, 1);
        cr_assert_eq(loop->loop->body, step_of(r, "process-single-item")->index);
        expect_text(loop->loop->iterate_over->text, "items");
        cr_assert_null(loop->loop->continue_while);
        const RunbookStep *wait = step_of(r, "wait-webhook"), *custom = step_of(r, "my-step");
        expect_text(wait->event_type, "webhook.received");
        cr_assert_eq(wait->timeout_ms, 300000);
        cr_assert_str_eq(json_string_value(expr_template_constant(wait->event_correlation)), "order-123");
        cr_assert_eq(custom->type, STEP_TYPE_CUSTOM);
        expect_text(custom->type_name, "custom:my-step");
        cr_assert_not_null(custom->config);
}

Test(runbook, defaults) {
        _cleanup_runbook_ Runbook *r =
                        good("{'id': 'r', 'version': '2', 'steps': [{'id': 's', 'type': 'custom:x'}]}");
        const RunbookStep *s = step_of(r, "s");
        expect_text(r->name, "r");
        expect_text(s->name, "s");
        cr_assert_eq(r->max_depth, LIMIT_DEPTH_DEFAULT);
        cr_assert_eq(r->max_concurrent_steps, 0);
        cr_assert_eq(r->global_timeout_ms, 0);
        cr_assert_eq(r->idempotency, IDEMPOTENCY_INPUT);
        cr_assert_null(r->output);
        cr_assert_not(s->join_any);
        cr_assert_not(s->on_failure_continue);
        cr_assert_eq(s->timeout_ms, 0);
        cr_assert_eq(s->compensate_with, STEP_NONE);
        cr_assert_eq(s->loop_step, STEP_NONE);
        cr_assert_eq(s->retry.max_attempts, 3);
        cr_assert_eq(s->retry.initial_delay_ms, 1000);
        cr_assert_eq(s->retry.max_delay_ms, 10000);
        cr_assert_float_eq(s->retry.backoff_multiplier, 2, 0);
        cr_assert_float_eq(s->retry.jitter, 0, 0);
        cr_assert_eq(json_object_size(expr_template_constant(s->config)), 0); /* no config is an empty one */
}

Test(runbook, every_field) {
        _cleanup_runbook_ Runbook *r =
                        good("{'id': 'all.of_it:v', 'version': '1.2.3-rc.1+build~5', 'name': 'All', "
                             "'description': 'd', 'createdBy': 'alice',"
                             " 'metadata': {'any': ['thing']}, 'globalTimeoutMs': 60000, 'maxDepth': 3, "
                             "'maxConcurrentSteps': 7,"
                             " 'inputSchema': {'type': 'object'}, 'outputSchema': true, 'idempotency': "
                             "'key', 'output': {'x': '${a.b} ${steps.a}'},"
                             " 'steps': [{'id': 'a', 'name': 'A', 'description': 'da', 'type': "
                             "'custom:geo.v2', 'dependsOn': [], 'timeoutMs': 5,"
                             "  'input': {'i': '${input.x}'}, 'inputSchema': {'type': 'object'}, "
                             "'outputSchema': false, 'joinPolicy': 'any',"
                             "  'onFailure': 'continue', 'requiredPermissions': ['p1', 'p2'], "
                             "'compensateWith': 'undo',"
                             "  'condition': {'field': 'input.x', 'operator': 'exists'},"
                             "  'evidence': [{'type': 't', 'sourceRef': '${steps.a.ref}', 'confidence': 0.5, "
                             "'value': {'v': '${steps.a}'}},"
                             "               {'type': '${input.t}', 'sourceRef': 's', 'confidence': "
                             "'${input.c}'}, {'type': 't', 'sourceRef': 's'}],"
                             "  'retryPolicy': {'maxAttempts': 9, 'initialDelayMs': 1, 'maxDelayMs': 2, "
                             "'backoffMultiplier': 1.5, 'jitter': 0.25,"
                             "   'retryableErrors': ['HTTP_5*', 'X'], 'nonRetryableErrors': ['*']}},"
                             "  {'id': 'undo', 'type': 'wait', 'config': {'durationMs': 0}}]}");
        const RunbookStep *a = step_of(r, "a"), *undo = step_of(r, "undo");
        expect_text(r->created_by, "alice");
        cr_assert_eq(r->global_timeout_ms, 60000);
        cr_assert_eq(r->max_depth, 3);
        cr_assert_eq(r->max_concurrent_steps, 7);
        cr_assert_eq(r->idempotency, IDEMPOTENCY_KEY);
        cr_assert_not_null(r->output);
        cr_assert_not_null(r->input_schema);
        cr_assert_not_null(r->output_schema);
        cr_assert_not_null(a->output_schema);
        cr_assert_not_null(a->input_schema);
        cr_assert(a->join_any && a->on_failure_continue);
        cr_assert_eq(a->timeout_ms, 5);
        cr_assert_eq(a->n_required_permissions, 2);
        expect_text(a->required_permissions[1], "p2");
        cr_assert_not_null(a->condition);
        cr_assert_not_null(a->input);
        cr_assert_eq(a->n_evidence, 3);
        cr_assert(a->evidence[0].confidence && a->evidence[0].value && a->evidence[1].confidence);
        cr_assert(!a->evidence[2].confidence && !a->evidence[2].value && a->evidence[2].source_ref);
        cr_assert_eq(a->retry.max_attempts, 9);
        cr_assert_float_eq(a->retry.jitter, 0.25, 0);
        cr_assert_eq(a->retry.n_retryable, 2);
        expect_text(a->retry.retryable[0], "HTTP_5*");
        expect_text(a->retry.non_retryable[0], "*");
        cr_assert_eq(a->compensate_with, undo->index);
        cr_assert(undo->is_compensation);
        cr_assert_eq(undo->region, REGION_COMPENSATION);
        cr_assert_eq(r->n_compensation_steps, 1);
        cr_assert_eq(r->regions[0].n_steps, 1);
}

Test(runbook, retry_policies_fall_back_field_by_field) {
        _cleanup_runbook_ Runbook *r = good("{'id': 'r', 'version': '1',"
                                            " 'defaultRetryPolicy': {'maxAttempts': 5, 'jitter': 0.5, "
                                            "'retryableErrors': ['E']}, 'steps': ["
                                            " {'id': 'own', 'type': 'custom:x', 'retryPolicy': "
                                            "{'initialDelayMs': 7, 'retryableErrors': []}},"
                                            " {'id': 'none', 'type': 'custom:x'},"
                                            " {'id': 'wait', 'type': 'wait', 'config': {'durationMs': 1}, "
                                            "'retryPolicy': {'maxAttempts': 4}},"
                                            " {'id': 'loop', 'type': 'loop', 'config': {'bodyStepId': "
                                            "'none'}, 'loopConfig': {'iterateOver': 'x'}},"
                                            " {'id': 'loop2', 'type': 'loop', 'config': {'bodyStepId': "
                                            "'own'}, 'loopConfig': {'iterateOver': 'x'},"
                                            "  'retryPolicy': {'maxAttempts': 2}}]}");
        const RetryPolicy *own = &step_of(r, "own")->retry, *none = &step_of(r, "none")->retry;
        cr_assert_eq(own->max_attempts, 5);
        cr_assert_eq(own->initial_delay_ms, 7);
        cr_assert_eq(own->max_delay_ms, 10000);
        cr_assert_eq(own->n_retryable, 0);
        cr_assert_eq(none->max_attempts, 5);
        cr_assert_eq(none->initial_delay_ms, 1000);
        cr_assert_eq(none->n_retryable, 1);
        cr_assert_eq(step_of(r, "wait")->retry.max_attempts, 1);
        cr_assert_eq(step_of(r, "loop")->retry.max_attempts, 1);
        cr_assert_eq(step_of(r, "loop2")->retry.max_attempts, 1);
}

Test(runbook, settings_defaults_are_copied) {
        char code[] = "TIMEOUT";
        Slice codes[] = {{code, sizeof(code) - 1}};
        RunbookDefaults defaults = {.retry = {.max_attempts = 2,
                                              .backoff_multiplier = 1,
                                              .retryable = codes,
                                              .n_retryable = 1},
                                    .allow_timeout_approve = true};
        _cleanup_report_ Report report = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        cr_assert_eq(compile_text(RUNBOOK("{'id': 'h', 'type': 'human-approval', 'approvalConfig': "
                                          "{'approvers': ['a'],"
                                          " 'timeoutMs': 1, 'timeoutAction': 'approve'}}," STEP("s")),
                                  &defaults, &report, &r),
                     0);
        memset(code, 'x', sizeof(code));
        memset(codes, 0, sizeof(codes));
        const RetryPolicy *p = &step_of(r, "s")->retry;
        cr_assert_eq(p->max_attempts, 2);
        expect_text(p->retryable[0], "TIMEOUT");
        cr_assert_eq(step_of(r, "h")->approval->timeout_action, TIMEOUT_APPROVE);
}

Test(runbook, the_definition_is_kept) {
        json_t *json = json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:s}}]}", "version", "1", "id", "r", "steps",
                                 "type", "custom:x", "id", "s", "config", "k", "${input.v}");
        _cleanup_report_ Report report = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        cr_assert_eq(runbook_compile(json, &runbook_defaults_builtin, &report, &r), 0);
        json_decref(json); /* the runbook has its own reference */
        expect_text(value_bytes(r->definition), "{\"id\":\"r\",\"steps\":[{\"config\":{\"k\":\"${input.v}\"},"
                                                "\"id\":\"s\",\"type\":\"custom:x\"}],\"version\":\"1\"}");
        Digest digest;
        cr_assert_eq(digest_slice(value_bytes(r->definition), &digest), 0);
        cr_assert(digest_eq(&digest, &r->digest));
        expect_text(step_of(r, "s")->id, "s");
        Runbook *again = runbook_ref(r);
        cr_assert_eq(again, r);
        runbook_unref(again);
        runbook_unref(NULL);
}

Test(runbook, the_digest_tells_contents_apart_not_spellings) {
        _cleanup_runbook_ Runbook *a = good(RUNBOOK(STEP("s")));
        _cleanup_runbook_ Runbook *b =
                        good("  {'version':'1','steps':[{'type':'custom:x','id':'s'}],\n'id':'r'}");
        _cleanup_runbook_ Runbook *c = good(RUNBOOK("{'id': 's', 'type': 'custom:x', 'timeoutMs': 1}"));
        cr_assert(digest_eq(&a->digest, &b->digest));
        cr_assert_not(digest_eq(&a->digest, &c->digest));
}

Test(runbook, yaml_is_the_same) {
        _cleanup_runbook_ Runbook *json = good(RUNBOOK(STEP("a") ",{'id': 'b', 'type': 'wait', 'config': "
                                                                 "{'durationMs': 5}, 'dependsOn': ['a']}"));
        _cleanup_runbook_ Runbook *yaml =
                        good("# a comment\nid: r\nversion: '1'\nsteps:\n  - id: a\n    type: custom:x\n"
                             "  - id: b\n    type: wait\n    config: {durationMs: 5}\n"
                             "    dependsOn:\n    - a\n");
        cr_assert(digest_eq(&json->digest, &yaml->digest));
        _cleanup_runbook_ Runbook *marked = good("\xef\xbb\xbf" RUNBOOK(STEP("a")));
        cr_assert_eq(marked->n_steps, 1);
}

Test(runbook, texts_that_are_no_definition) {
        static const struct {
                const char *text;
                RunbookCode code;
        } cases[] = {
                        {"{'id': ", RUNBOOK_INVALID_JSON}, {"{} x", RUNBOOK_INVALID_JSON},
                        {"[]", RUNBOOK_INVALID_RUNBOOK},   {"hello", RUNBOOK_INVALID_RUNBOOK},
                        {"a: [", RUNBOOK_INVALID_REQUEST}, {"a: 1\na: 2\n", RUNBOOK_INVALID_REQUEST},
                        {"{}", RUNBOOK_INVALID_RUNBOOK},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_report_ Report report = {0};
                Runbook *r = NULL;
                cr_assert_eq(compile_text(cases[i].text, &runbook_defaults_builtin, &report, &r), -EINVAL);
                cr_assert_eq(report.code, cases[i].code, "%s: %s", cases[i].text, report.message);
                cr_assert_not_null(report.message);
        }
}

Test(runbook, finding_steps) {
        _cleanup_runbook_ Runbook *r =
                        good(RUNBOOK(STEP("fetch") "," STEP("transform-it") "," STEP("a.b:c_d-9")));
        cr_assert_eq(runbook_find_step(r, SLICE("transform-it")), 1);
        cr_assert_eq(runbook_find_step(r, SLICE("a.b:c_d-9")), 2);
        cr_assert_eq(runbook_find_step(r, SLICE("nope")), STEP_NONE);
        cr_assert_eq(runbook_find_step(r, SLICE("")), STEP_NONE);
        cr_assert_str_eq(runbook_nearest_step(r, SLICE("fecth")), "fetch");
        cr_assert_null(runbook_nearest_step(r, SLICE("something-else")));
}

Test(runbook, type_names) {
        static const char *const names[] = {"call-service", "conditional",   "custom",      "human-approval",
                                            "loop",         "publish-event", "run-runbook", "transform",
                                            "wait",         "wait-for-event"};
        for (unsigned i = 0; i < N_STEP_TYPES; i++)
                cr_assert_str_eq(step_type_name((StepType)i), names[i]);
        cr_assert_null(step_type_name(N_STEP_TYPES));
}

Test(runbook, deadlines_of_waits_may_stand_in_two_places) {
        _cleanup_runbook_ Runbook *r =
                        good(RUNBOOK("{'id': 'e1', 'type': 'wait-for-event', 'timeoutMs': 5, 'config': "
                                     "{'eventType': 'x'}},"
                                     "{'id': 'e2', 'type': 'wait-for-event', 'timeoutMs': 5, 'config': "
                                     "{'eventType': 'x', 'timeoutMs': 9}},"
                                     "{'id': 'e3', 'type': 'wait-for-event', 'config': {'eventType': "
                                     "'x.y-z', 'correlationId': '${input.c}'}},"
                                     "{'id': 'h1', 'type': 'human-approval', 'timeoutMs': 5, "
                                     "'approvalConfig': {'approvers': ['a']}},"
                                     "{'id': 'h2', 'type': 'human-approval', 'timeoutMs': 5, "
                                     "'approvalConfig': {'approvers': ['a'], 'timeoutMs': 9}}"));
        cr_assert_eq(step_of(r, "e1")->timeout_ms, 5);
        cr_assert_eq(step_of(r, "e2")->timeout_ms, 9);
        cr_assert_eq(step_of(r, "e3")->timeout_ms, 0);
        cr_assert_null(step_of(r, "e1")->event_correlation);
        cr_assert_not(expr_template_is_constant(step_of(r, "e3")->event_correlation));
        cr_assert_eq(step_of(r, "h1")->approval->timeout_ms, 5);
        cr_assert_eq(step_of(r, "h2")->approval->timeout_ms, 9);
}

Test(runbook, approvals_in_full) {
        _cleanup_runbook_ Runbook *r = good(RUNBOOK("{'id': 'h', 'type': 'human-approval', 'approvalConfig': "
                                                    "{'approvers': ['a', 'b', 'c@d.e'], 'minApprovals': 3,"
                                                    " 'timeoutMs': 10, 'timeoutAction': 'reject', 'prompt': "
                                                    "'Really ${input.what}?', 'allowSelfApproval': true,"
                                                    " 'escalateTo': ['boss'], 'escalateAfterMs': 5}}"));
        const ApprovalConfig *a = step_of(r, "h")->approval;
        cr_assert_eq(a->min_approvals, 3);
        cr_assert_eq(a->timeout_action, TIMEOUT_REJECT);
        cr_assert(a->allow_self_approval);
        cr_assert_eq(a->n_escalate_to, 1);
        expect_text(a->escalate_to[0], "boss");
        cr_assert_eq(a->escalate_after_ms, 5);
        cr_assert_not(expr_template_is_constant(a->prompt));
}

Test(runbook, waits) {
        _cleanup_runbook_ Runbook *r = good(RUNBOOK(
                        "{'id': 'd', 'type': 'wait', 'config': {'durationMs': 86400000}},"
                        "{'id': 't', 'type': 'wait', 'config': {'durationMs': '${input.ms}'}},"
                        "{'id': 'u', 'type': 'wait', 'config': {'until': '2030-01-31T12:00:00+02:00'}},"
                        "{'id': 'v', 'type': 'wait', 'config': {'until': '${input.when}'}}"));
        cr_assert_eq(json_integer_value(expr_template_constant(step_of(r, "d")->wait)), 86400000);
        cr_assert_not(step_of(r, "d")->wait_until);
        cr_assert_null(expr_template_constant(step_of(r, "t")->wait));
        cr_assert(step_of(r, "u")->wait_until && step_of(r, "v")->wait_until);
}

Test(runbook, configs_that_are_resolved_later) {
        _cleanup_runbook_ Runbook *r = good(RUNBOOK(
                        "{'id': 'p', 'type': 'publish-event', 'config': {'subject': "
                        "'alerts.${input.level}.x', 'payload': {'a': '${input.a}'}}},"
                        "{'id': 'c', 'type': 'run-runbook', 'config': {'runbookId': '${input.id}', "
                        "'version': '1.0+x', 'input': {'a': 1}}},"
                        "{'id': 'j', 'type': 'transform', 'config': {'jq': '.a | \\u0022$${x}\\u0022'}}"));
        cr_assert_not(expr_template_is_constant(step_of(r, "p")->config));
        cr_assert_not(expr_template_is_constant(step_of(r, "c")->config));
        const json_t *config = expr_template_constant(step_of(r, "j")->config);
        cr_assert_str_eq(json_string_value(json_object_get(config, "jq")), ".a | \"${x}\"");
}

Test(runbook, null_is_absent) {
        _cleanup_runbook_ Runbook *r = good("{'id': 'r', 'version': '1', 'name': null, 'defaultRetryPolicy': "
                                            "null, 'inputSchema': null, 'output': null, 'steps': ["
                                            "{'id': 's', 'type': 'transform', 'name': null, 'config': {'jq': "
                                            "'.'}, 'dependsOn': null, 'condition': null,"
                                            " 'input': null, 'retryPolicy': null, 'approvalConfig': null, "
                                            "'loopConfig': null, 'compensateWith': null}]}");
        expect_text(r->name, "r");
        cr_assert_null(step_of(r, "s")->input);
}
