/* Tokens name attempts, and nobody else can make them. */

#include <criterion/criterion.h>
#include <errno.h>

#include "executors/task_token.h"
#include "../leaks.h"

TestSuite(task_token, .fini = check_leaks, .timeout = 60);

static const uint8_t key[TASK_KEY_SIZE] = {1, 2, 3};
static const TaskName name = {
                .execution_id = {.bytes = {1, 162, 255, 0, 9}}, .instance = 70000, .attempt = 3};

static Slice token_of(const uint8_t k[TASK_KEY_SIZE], Slice tenant, char ret[TASK_TOKEN_SIZE + 1]) {
        cr_assert_eq(task_token_write(k, tenant, &name, ret), 0);
        cr_assert_eq(strlen(ret), TASK_TOKEN_SIZE);
        return (Slice){ret, TASK_TOKEN_SIZE};
}

Test(task_token, gives_back_what_it_names) {
        char text[TASK_TOKEN_SIZE + 1];
        TaskName again;
        cr_assert_eq(task_token_read(key, SLICE("acme"), token_of(key, SLICE("acme"), text), &again), 0);
        cr_assert(uuid_eq(again.execution_id, name.execution_id));
        cr_assert_eq(again.instance, name.instance);
        cr_assert_eq(again.attempt, name.attempt);
        cr_assert_eq(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     TASK_TOKEN_SIZE);
}

Test(task_token, is_worth_nothing_elsewhere) {
        const uint8_t other[TASK_KEY_SIZE] = {1, 2, 4};
        char text[TASK_TOKEN_SIZE + 1], again[TASK_TOKEN_SIZE + 1];
        Slice token = token_of(key, SLICE("acme"), text);
        TaskName ret;
        cr_assert_eq(task_token_read(key, SLICE("globex"), token, &ret), -EINVAL);
        cr_assert_eq(task_token_read(other, SLICE("acme"), token, &ret), -EINVAL);
        cr_assert_str_eq(token_of(key, SLICE("acme"), again).data, text,
                         "the same attempt has the same token");
}

Test(task_token, every_change_of_a_character_is_noticed) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        char text[TASK_TOKEN_SIZE + 1];
        Slice token = token_of(key, SLICE("acme"), text);
        TaskName ret;
        for (size_t i = 0; i < TASK_TOKEN_SIZE; i++) {
                char was = text[i];
                for (size_t k = 0; k < 64; k++) {
                        text[i] = digits[k];
                        cr_assert_eq(task_token_read(key, SLICE("acme"), token, &ret),
                                     digits[k] == was ? 0 : -EINVAL);
                }
                text[i] = '.';
                cr_assert_eq(task_token_read(key, SLICE("acme"), token, &ret), -EINVAL);
                text[i] = was;
        }
        cr_assert_eq(task_token_read(key, SLICE("acme"), (Slice){text, TASK_TOKEN_SIZE - 1}, &ret), -EINVAL);
        cr_assert_eq(task_token_read(key, SLICE("acme"), SLICE_NULL, &ret), -EINVAL);
}
