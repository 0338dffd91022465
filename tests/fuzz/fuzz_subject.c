/* Any bytes as a subject; names in its tokens decode, and what decodes encodes to a token that says the same.
 */

#include <string.h>
#include "base/arena.h"
#include "fuzz.h"
#include "subjects/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char prefix[] = "runbook.v1";
        Report report = {0};
        Arena arena = {0};
        SubjectParts parts = {0};
        Slice subject = {(const char *)data, size}, name, again;

        subject_is_inbox(subject, NULL);
        if (subject_split(subject, (Slice){prefix, sizeof prefix - 1}, &parts, &report) == 0) {
                PROMISE(parts.n_tokens <= SUBJECT_TOKENS_MAX, "tokens have a cap");
                if (name_get_token(parts.user, "user", 128, &arena, &name, &report) == 0) {
                        Buf token = {0};

                        name_put_token(&token, name);
                        PROMISE(name_get_identity(buf_slice(&token), "user", &arena, &again, &report) == 0,
                                "the canonical token is taken");
                        PROMISE(slice_eq(name, again), "and says the same");
                        buf_deinit(&token);
                }
                if (parts.user.n > 0 && name_get_identity(parts.user, "user", &arena, &name, &report) == 0) {
                        Buf token = {0};

                        name_put_token(&token, name);
                        PROMISE(slice_eq(buf_slice(&token), parts.user), "a name has one token");
                        buf_deinit(&token);
                }
        }
        report_deinit(&report);
        arena_deinit(&arena);
        return 0;
}
