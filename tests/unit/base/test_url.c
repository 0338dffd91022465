#include <criterion/criterion.h>

#include "../leaks.h"
#include "base/url.h"

TestSuite(url, .fini = check_leaks);

Test(url, urls_are_shown_without_secrets) {
        char text[128];
        static const struct {
                const char *url, *shown;
        } pairs[] = {
                        {"nats://127.0.0.1:4222", "nats://127.0.0.1:4222"},
                        {"nats://user:p@ss@host:1", "nats://host:1"},
                        {"user:pass@host:1", "host:1"},
                        {"nats://a:b@x:1,tls://c:d@y:2", "nats://x:1,tls://y:2"},
                        {"", ""},
        };
        for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
                url_without_secrets(pairs[i].url, text, sizeof(text));
                cr_assert_str_eq(text, pairs[i].shown);
        }
}

Test(url, what_does_not_fit_is_cut) {
        char text[8];
        memset(text, 'x', sizeof(text));
        url_without_secrets("nats://host:1", text, sizeof(text));
        cr_assert_str_eq(text, "nats://");
        url_without_secrets("nats://host:1", text, 1);
        cr_assert_str_eq(text, "");
        text[0] = 'x';
        url_without_secrets("nats://host:1", text, 0);
        cr_assert_eq(text[0], 'x');
}
