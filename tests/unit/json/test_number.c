#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/slice.h"
#include "json/number.h"

TestSuite(number, .fini = check_leaks);

static double from_bits(uint64_t bits) {
        double v;
        memcpy(&v, &bits, sizeof(v));
        return v;
}

static Slice format(double v, char text[NUMBER_TEXT_MAX]) { return (Slice){text, number_format(v, text)}; }

/* RFC 8785, appendix B. */
Test(number, vectors_of_rfc_8785) {
        static const struct {
                uint64_t bits;
                const char *text;
        } vectors[] = {
                {0x0000000000000000, "0"},
                {0x8000000000000000, "0"},
                {0x0000000000000001, "5e-324"},
                {0x8000000000000001, "-5e-324"},
                {0x7fefffffffffffff, "1.7976931348623157e+308"},
                {0xffefffffffffffff, "-1.7976931348623157e+308"},
                {0x4340000000000000, "9007199254740992"},
                {0xc340000000000000, "-9007199254740992"},
                {0x4430000000000000, "295147905179352830000"},
                {0x44b52d02c7e14af5, "9.999999999999997e+22"},
                {0x44b52d02c7e14af6, "1e+23"},
                {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
                {0x444b1ae4d6e2ef4e, "999999999999999700000"},
                {0x444b1ae4d6e2ef4f, "999999999999999900000"},
                {0x444b1ae4d6e2ef50, "1e+21"},
                {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
                {0x3eb0c6f7a0b5ed8d, "0.000001"},
                {0x41b3de4355555553, "333333333.3333332"},
                {0x41b3de4355555554, "333333333.33333325"},
                {0x41b3de4355555555, "333333333.3333333"},
                {0x41b3de4355555556, "333333333.3333334"},
                {0x41b3de4355555557, "333333333.33333343"},
                {0xbecbf647612f3696, "-0.0000033333333333333333"},
                {0x43143ff3c1cb0959, "1424953923781206.2"},
        };
        char text[NUMBER_TEXT_MAX];
        for (size_t i = 0; i < N_ELEMENTS(vectors); i++)
                cr_assert(slice_eq_str(format(from_bits(vectors[i].bits), text), vectors[i].text), "%s",
                          vectors[i].text);
}

/* Around powers of two, where the nearest 16 digits may not read back but the next ones do; and the rims. */
Test(number, hard_ones) {
        static const struct {
                double v;
                const char *text;
        } vectors[] = {
                {0x1p-44, "5.684341886080802e-14"},
                {0x1p-24, "5.960464477539063e-8"},
                {DBL_MIN, "2.2250738585072014e-308"},
                {DBL_EPSILON, "2.220446049250313e-16"},
                {0x0.fffffffffffffp-1022, "2.225073858507201e-308"},
                {0.1, "0.1"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1e21, "1e+21"},
                {123456789012345680000.0, "123456789012345680000"},
                {1e-7, "1e-7"},
                {1.5e-7, "1.5e-7"},
                {0.00001, "0.00001"},
                {-1.5, "-1.5"},
                {2251799813685248.5, "2251799813685248.5"},
                {100, "100"},
                {1e300, "1e+300"},
        };
        char text[NUMBER_TEXT_MAX];
        for (size_t i = 0; i < N_ELEMENTS(vectors); i++)
                cr_assert(slice_eq_str(format(vectors[i].v, text), vectors[i].text), "%s, not %.*s",
                          vectors[i].text, SLICE_ARG(format(vectors[i].v, text)));
}

Test(number, read_back_and_fit) {
        uint64_t x = 88172645463325252ULL;
        for (int i = 0; i < 20000; i++) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                double v = from_bits(x);
                if (!isfinite(v))
                        continue;
                char text[NUMBER_TEXT_MAX + 1];
                size_t n = number_format(v, text);
                cr_assert_leq(n, 25);
                text[n] = '\0';
                cr_assert_eq(strtod(text, NULL), v, "%s", text);
        }
        for (int e = -1074; e < 1024; e++) {
                char text[NUMBER_TEXT_MAX + 1];
                text[number_format(ldexp(1, e), text)] = '\0';
                cr_assert_eq(strtod(text, NULL), ldexp(1, e), "2^%d: %s", e, text);
        }
}

Test(number, the_locale_does_not_matter) {
        static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
        char text[NUMBER_TEXT_MAX];
        for (size_t i = 0; i < N_ELEMENTS(locales); i++) {
                if (!setlocale(LC_ALL, locales[i]))
                        continue; /* not on this machine */
                cr_assert(slice_eq_str(format(1234.5678, text), "1234.5678"), "%s", locales[i]);
                cr_assert(slice_eq_str(format(5.5e-300, text), "5.5e-300"), "%s", locales[i]);
        }
        setlocale(LC_ALL, "C");
        cr_assert(slice_eq_str(format(1234.5678, text), "1234.5678"));
}
