/* conditional: evaluates at once; schedule.c then follows the edge of the branch that was taken. */

#include "engine/internal.h"

void conditional_start(Move *m, uint32_t instance) {
        EnvCtx ctx = {.m = m, .instance = instance};
        ExprEnv env = env_for(&ctx);
        ExprError error;
        bool holds = false;
        int r = expr_condition_eval(move_step(m, instance)->branch_condition, &env, &holds, &error);
        if (r == -ENOMEM) {
                move_oom(m);
                return;
        }
        if (r < 0) {
                step_fail(m, instance, expr_error_value(m, &error));
                return;
        }
        /* Canonical; schedule.c tells the branch by the last member. */
        step_complete(m, instance,
                      value_new_bytes(holds ? SLICE("{\"branch\":\"trueBranch\",\"result\":true}")
                                            : SLICE("{\"branch\":\"falseBranch\",\"result\":false}")));
        if (m->settings->detailed_logging)
                record_log(m, "debug", instance, "the condition is %s", holds ? "true" : "false");
}
