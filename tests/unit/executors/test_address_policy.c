#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "executors/address_policy.h"

TestSuite(address_policy, .fini = check_leaks);

static const char *refuses(const char *allow, const char *host, const char *ip, uint16_t port) {
        Report report = {0};
        AddressPolicy p;
        cr_assert_eq(address_policy_parse(allow, &report, &p), 0, "%s: %s", allow, report.message);
        const char *kind = address_policy_refuses_text(&p, slice_from_str(host), ip, port);
        /* The same through a socket address. */
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
                cr_assert_eq(address_policy_refuses(&p, slice_from_str(host), (struct sockaddr *)&v4), kind);
        else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
                cr_assert_eq(address_policy_refuses(&p, slice_from_str(host), (struct sockaddr *)&v6), kind);
        address_policy_deinit(&p);
        report_deinit(&report);
        return kind;
}

Test(address_policy, special_addresses_are_refused) {
        static const char *const special[] = {"0.0.0.0",
                                              "0.1.2.3",
                                              "10.0.0.1",
                                              "10.255.255.255",
                                              "100.64.0.1",
                                              "100.127.255.255",
                                              "127.0.0.1",
                                              "127.255.255.254",
                                              "169.254.169.254",
                                              "172.16.0.1",
                                              "172.31.255.255",
                                              "192.0.0.1",
                                              "192.0.2.1",
                                              "192.88.99.1",
                                              "192.168.1.1",
                                              "198.18.0.1",
                                              "198.19.255.255",
                                              "198.51.100.7",
                                              "203.0.113.9",
                                              "224.0.0.1",
                                              "239.255.255.255",
                                              "240.0.0.1",
                                              "255.255.255.255",
                                              "::",
                                              "::1",
                                              "::ffff:127.0.0.1",
                                              "::ffff:10.0.0.1",
                                              "::ffff:169.254.169.254",
                                              "::127.0.0.1",
                                              "64:ff9b::10.0.0.1",
                                              "64:ff9b::7f00:1",
                                              "64:ff9b:1::1",
                                              "100::1",
                                              "2001::1",
                                              "2001:db8::1",
                                              "2002:7f00:1::",
                                              "2002:a9fe:a9fe::1",
                                              "3fff::1",
                                              "5f00::1",
                                              "fc00::1",
                                              "fd12:3456::1",
                                              "fe80::1",
                                              "febf::1",
                                              "fec0::1",
                                              "ff02::1"};
        for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
                cr_expect_not_null(refuses(NULL, "x", special[i], 80), "%s", special[i]);
}

Test(address_policy, public_addresses_are_not) {
        static const char *const public[] = {
                        "1.1.1.1",        "8.8.8.8",          "9.255.255.255",   "11.0.0.1",
                        "100.63.255.255", "100.128.0.1",      "126.255.255.255", "128.0.0.1",
                        "172.15.255.255", "172.32.0.1",       "192.167.255.255", "198.17.255.255",
                        "198.20.0.1",     "223.255.255.255",  "2606:4700::1",    "2a00:1450:4001::1",
                        "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"};
        for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
                cr_expect_null(refuses(NULL, "x", public[i], 80), "%s", public[i]);
}

Test(address_policy, says_what_it_is) {
        cr_assert_str_eq(refuses("", "x", "127.0.0.1", 80), "a loopback address");
        cr_assert_str_eq(refuses("", "x", "::ffff:192.168.0.1", 80), "a private address");
        cr_assert_str_eq(refuses("", "x", "169.254.169.254", 80), "a link-local address");
        cr_assert_str_eq(refuses("", "x", "not an address", 80), "not an internet address");
}

Test(address_policy, names_allow) {
        static const char allow[] = "localhost, *.svc.cluster.local,Mixed.Case:8443";
        cr_assert_null(refuses(allow, "localhost", "127.0.0.1", 8080));
        cr_assert_null(refuses(allow, "localhost", "::1", 1));
        cr_assert_null(refuses(allow, "localhost.", "::1", 1));
        cr_assert_null(refuses(allow, "a.b.svc.cluster.local", "10.1.2.3", 80));
        cr_assert_null(refuses(allow, "mixed.case", "10.1.2.3", 8443));
        cr_assert_not_null(refuses(allow, "mixed.case", "10.1.2.3", 80));
        cr_assert_not_null(refuses(allow, "svc.cluster.local", "10.1.2.3", 80));
        cr_assert_not_null(refuses(allow, "evilsvc.cluster.local", "10.1.2.3", 80));
        cr_assert_not_null(refuses(allow, "localhost.evil.com", "127.0.0.1", 80));
        cr_assert_not_null(refuses(allow, "127.0.0.1", "127.0.0.1", 80));
}

Test(address_policy, ranges_allow) {
        static const char allow[] = "127.0.0.1:8080,10.1.0.0/16,fd00::/8,[::1]:99,[fe80::/10]";
        cr_assert_null(refuses(allow, "x", "127.0.0.1", 8080));
        cr_assert_null(refuses(allow, "x", "::ffff:127.0.0.1", 8080));
        cr_assert_not_null(refuses(allow, "x", "127.0.0.1", 8081));
        cr_assert_not_null(refuses(allow, "x", "127.0.0.2", 8080));
        cr_assert_null(refuses(allow, "x", "10.1.255.255", 1));
        cr_assert_not_null(refuses(allow, "x", "10.2.0.0", 1));
        cr_assert_null(refuses(allow, "x", "64:ff9b::10.1.2.3", 1));
        cr_assert_null(refuses(allow, "x", "fd12::1", 1));
        cr_assert_not_null(refuses(allow, "x", "fc12::1", 1));
        cr_assert_null(refuses(allow, "x", "::1", 99));
        cr_assert_not_null(refuses(allow, "x", "::1", 98));
        cr_assert_null(refuses(allow, "x", "fe80::5", 98));
        cr_assert_null(refuses("0.0.0.0/0,::/0", "x", "169.254.169.254", 80));
        cr_assert_null(refuses("::/0", "x", "fe80::1", 80));
}

Test(address_policy, wrong_entries_are_named) {
        static const char *const wrong[] = {"*",
                                            "10.0.0.0/33",
                                            "10.0.0.0/",
                                            "::1/129",
                                            "localhost:0",
                                            "localhost:65536",
                                            "localhost:http",
                                            "http://localhost",
                                            "a b",
                                            "[::1",
                                            "::1]",
                                            "[::1]x",
                                            "[localhost]",
                                            "10.1.2",
                                            "*.",
                                            ".x",
                                            ":80",
                                            "a*b",
                                            "[]",
                                            "1.2.3.4.5",
                                            "[::1]:"};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                Report report = {0};
                AddressPolicy p;
                char list[64];
                snprintf(list, sizeof(list), "good.example,%s", wrong[i]);
                cr_expect_eq(address_policy_parse(list, &report, &p), -EINVAL, "%s", wrong[i]);
                cr_expect(report.message && strstr(report.message, wrong[i]), "%s: %s", wrong[i],
                          report.message);
                report_deinit(&report);
        }
}
