/* Which Host headers name this machine's loopback. */

#include <criterion/criterion.h>
#include "../leaks.h"
#include "gateway/guard.h"

TestSuite(guard, .fini = check_leaks);

Test(guard, loopback) {
        static const char *const good[] = {"localhost",    "LOCALHOST", "localhost:3000", "127.0.0.1",
                                           "127.0.0.1:80", "[::1]",     "[::1]:80"};
        static const char *const bad[] = {"",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "evil.example:127.0.0.1",
                                          "localhost:",
                                          "localhost:80a",
                                          "localhost:80:80",
                                          "localhost@evil.example",
                                          "[::1",
                                          "[::1]x",
                                          "[::2]",
                                          "::1",
                                          "local",
                                          "localhostx",
                                          "127.0.0.2"};

        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                cr_expect(guard_is_loopback(good[i]), "%s", good[i]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                cr_expect(!guard_is_loopback(bad[i]), "%s", bad[i]);
}

Test(guard, methods_as_text) {
        cr_expect_str_eq(guard_allow(METHOD_GET), "GET, HEAD, OPTIONS");
        cr_expect_str_eq(guard_allow(METHOD_POST), "POST, OPTIONS");
        cr_expect_str_eq(guard_allow(METHOD_GET | METHOD_POST), "GET, HEAD, POST, OPTIONS");
}
