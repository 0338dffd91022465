/*
 * Address policy
 *
 * All addresses are compared as IPv6; IPv4 stands in ::ffff:0:0/96. Ranges that carry an IPv4 address inside
 * (v4-mapped, NAT64, 6to4) are judged by what is inside, because that is where the packets end up.
 *
 * Special ranges: IANA's registries of special-purpose addresses (RFC 6890 and what was added since).
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "executors/address_policy.h"

#define V4_BITS 96 /* bits in front of an IPv4 address in ::ffff:0:0/96 */

typedef struct SpecialRange {
        uint8_t ip[16];
        uint8_t prefix;
        const char *kind;
} SpecialRange;

#define V4(a, b, c, d) {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}

/* The first match counts. */
static const SpecialRange special_ranges[] = {
        {V4(0, 0, 0, 0), V4_BITS + 8, "an unspecified address"},
        {V4(10, 0, 0, 0), V4_BITS + 8, "a private address"},
        {V4(100, 64, 0, 0), V4_BITS + 10, "a carrier-grade NAT address"},
        {V4(127, 0, 0, 0), V4_BITS + 8, "a loopback address"},
        {V4(169, 254, 0, 0), V4_BITS + 16, "a link-local address"},
        {V4(172, 16, 0, 0), V4_BITS + 12, "a private address"},
        {V4(192, 0, 0, 0), V4_BITS + 24, "an address of IETF protocols"},
        {V4(192, 0, 2, 0), V4_BITS + 24, "an address for documentation"},
        {V4(192, 88, 99, 0), V4_BITS + 24, "a 6to4 relay address"},
        {V4(192, 168, 0, 0), V4_BITS + 16, "a private address"},
        {V4(198, 18, 0, 0), V4_BITS + 15, "a benchmarking address"},
        {V4(198, 51, 100, 0), V4_BITS + 24, "an address for documentation"},
        {V4(203, 0, 113, 0), V4_BITS + 24, "an address for documentation"},
        {V4(224, 0, 0, 0), V4_BITS + 4, "a multicast address"},
        {V4(240, 0, 0, 0), V4_BITS + 4, "a reserved or broadcast address"},
        {{0}, 128, "an unspecified address"},
        {{[15] = 1}, 128, "a loopback address"},
        {{0}, 96, "an IPv4-compatible address"},
        {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, "a local NAT64 address"},
        {{1, 0}, 64, "a discard address"},
        {{0x20, 0x01, 0x0d, 0xb8}, 32, "an address for documentation"},
        {{0x20, 0x01, 0}, 23, "an address of IETF protocols"},
        {{0x3f, 0xff}, 20, "an address for documentation"},
        {{0x5f, 0}, 16, "a segment-routing address"},
        {{0xfc}, 7, "a private (unique local) address"},
        {{0xfe, 0x80}, 10, "a link-local address"},
        {{0xfe, 0xc0}, 10, "a site-local address"},
        {{0xff}, 8, "a multicast address"},
};

static const SpecialRange v4_mapped = {{[10] = 0xff, [11] = 0xff}, 96, NULL};
/* Where an IPv4 address sits inside an IPv6 one, in bytes. */
static const struct {
        SpecialRange range;
        uint8_t at;
} v4_inside[] = {
        {{{0, 0x64, 0xff, 0x9b}, 96, NULL}, 12}, /* NAT64, RFC 6052 */
        {{{0x20, 0x02}, 16, NULL}, 2},           /* 6to4, RFC 3056 */
};

static bool in_range(const uint8_t ip[16], const uint8_t range[16], unsigned prefix) {
        unsigned whole = prefix / 8, rest = prefix % 8;
        if (memcmp(ip, range, whole) != 0)
                return false;
        return rest == 0 || (ip[whole] ^ range[whole]) >> (8 - rest) == 0;
}

static void v4_mapped_set(struct in6_addr *ret, const void *v4) {
        memcpy(ret->s6_addr, v4_mapped.ip, 12);
        memcpy(ret->s6_addr + 12, v4, 4);
}

/* ---- the allow list ------------------------------------------------------------------------------------ */

static bool name_is_valid(Slice s) {
        if (slice_starts_with(s, SLICE("*.")))
                s = (Slice){s.data + 2, s.n - 2};
        if (s.n == 0 || s.n > 253 || s.data[0] == '.')
                return false;
        bool has_letter = false;
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                has_letter |= isalpha(c) != 0 || c >= 0x80;
                if (!isalnum(c) && c != '-' && c != '.' && c != '_' && c < 0x80)
                        return false;
        }
        return has_letter; /* 10.1.2 and the like are mistyped addresses, not names */
}

static bool parse_range(Slice s, AllowEntry *ret) {
        char text[ADDRESS_TEXT_SIZE];
        const char *slash = memchr(s.data, '/', s.n);
        Slice ip = {s.data, slash ? (size_t)(slash - s.data) : s.n};
        if (ip.n == 0 || ip.n >= sizeof(text))
                return false;
        memcpy(text, ip.data, ip.n);
        text[ip.n] = 0;
        uint8_t v4[4];
        unsigned offset = 0;
        if (inet_pton(AF_INET, text, v4) == 1) {
                v4_mapped_set(&ret->ip, v4);
                offset = V4_BITS;
        } else if (inet_pton(AF_INET6, text, &ret->ip) != 1) {
                return false;
        }
        uint64_t prefix = 128 - offset;
        if (slash && (!slice_to_u64((Slice){slash + 1, s.n - ip.n - 1}, &prefix) || prefix > 128 - offset))
                return false;
        ret->prefix = (uint8_t)(offset + prefix);
        return true;
}

/** Take a trailing ":port" off @s. A second colon means IPv6 without brackets, hence without port. */
static bool take_port(Slice *s, uint16_t *ret) {
        const char *colon = memrchr(s->data, ':', s->n);
        if (!colon || (s->data[s->n - 1] != ']' && memchr(s->data, ':', (size_t)(colon - s->data)) &&
                       s->data[0] != '['))
                return true;
        if (s->data[0] == '[' && colon[-1] != ']')
                return s->data[s->n - 1] == ']';
        uint64_t port;
        if (!slice_to_u64((Slice){colon + 1, (size_t)(s->data + s->n - colon - 1)}, &port) || port == 0 ||
            port > UINT16_MAX)
                return false;
        s->n = (size_t)(colon - s->data);
        *ret = (uint16_t)port;
        return true;
}

static int parse_entry(Slice s, AllowEntry *ret) {
        if (!take_port(&s, &ret->port))
                return -EINVAL;
        bool brackets = s.n > 2 && s.data[0] == '[' && s.data[s.n - 1] == ']';
        if (brackets)
                s = (Slice){s.data + 1, s.n - 2};
        if (parse_range(s, ret))
                return 0;
        if (brackets || !name_is_valid(s))
                return -EINVAL;
        bool suffix = s.data[0] == '*';
        ret->name = slice_dup((Slice){s.data + suffix, s.n - suffix});
        if (!ret->name)
                return -ENOMEM;
        for (char *p = ret->name; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        return 0;
}

static int policy_add(AddressPolicy *p, Slice entry, Report *report) {
        if (p->n_entries >= ADDRESS_ALLOW_MAX)
                return report_set(report, RUNBOOK_LIMIT_EXCEEDED, "HTTP_ALLOW has more than %d entries",
                                  ADDRESS_ALLOW_MAX);
        AllowEntry *entries = reallocarray(p->entries, p->n_entries + 1, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        p->entries = entries;
        AllowEntry e = {0};
        int r = parse_entry(entry, &e);
        if (r == -EINVAL)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "HTTP_ALLOW: \"%.*s\" is neither a host (localhost, *.svc.cluster.local) "
                                  "nor an address or range "
                                  "(127.0.0.1, 10.0.0.0/8, [::1]), with an optional port (localhost:8080)",
                                  SLICE_ARG(slice_cut_utf8(entry, 200)));
        if (r < 0)
                return r;
        p->entries[p->n_entries++] = e;
        return 0;
}

int address_policy_parse(const char *list, Report *report, AddressPolicy *ret) {
        *ret = (AddressPolicy){0};
        for (const char *p = list ? list : ""; *p;) {
                size_t n = strcspn(p, ",");
                Slice entry = {p, n};
                while (entry.n > 0 && isspace((unsigned char)*entry.data))
                        entry = (Slice){entry.data + 1, entry.n - 1};
                while (entry.n > 0 && isspace((unsigned char)entry.data[entry.n - 1]))
                        entry.n--;
                int r = entry.n > 0 ? policy_add(ret, entry, report) : 0;
                if (r < 0) {
                        address_policy_deinit(ret);
                        return r;
                }
                p += n + (p[n] == ',');
        }
        return 0;
}

void address_policy_deinit(AddressPolicy *p) {
        for (size_t i = 0; i < p->n_entries; i++)
                free(p->entries[i].name);
        free(p->entries);
        *p = (AddressPolicy){0};
}

/* ---- deciding ------------------------------------------------------------------------------------------ */

static bool name_matches(const char *name, Slice host) {
        Slice s = slice_from_str(name);
        if (host.n > 0 && host.data[host.n - 1] == '.')
                host.n--; /* a fully qualified name */
        return s.data[0] == '.' ? host.n > s.n && slice_ends_with(host, s) : slice_eq(host, s);
}

static const char *special_kind(const struct in6_addr *ip) {
        for (size_t i = 0; i < N_ELEMENTS(special_ranges); i++)
                if (in_range(ip->s6_addr, special_ranges[i].ip, special_ranges[i].prefix))
                        return special_ranges[i].kind;
        return NULL;
}

static bool allows(const AddressPolicy *p, Slice host, const struct in6_addr *ip, uint16_t port) {
        for (size_t i = 0; i < p->n_entries; i++) {
                const AllowEntry *e = &p->entries[i];
                if (e->port != 0 && e->port != port)
                        continue;
                if (e->name ? name_matches(e->name, host) : in_range(ip->s6_addr, e->ip.s6_addr, e->prefix))
                        return true;
        }
        return false;
}

static const char *refuses(const AddressPolicy *p, Slice host, const struct in6_addr *ip, uint16_t port) {
        struct in6_addr inside = *ip;
        for (size_t i = 0; i < N_ELEMENTS(v4_inside); i++)
                if (in_range(ip->s6_addr, v4_inside[i].range.ip, v4_inside[i].range.prefix))
                        v4_mapped_set(&inside, ip->s6_addr + v4_inside[i].at);
        const char *kind = special_kind(&inside);
        if (!kind || allows(p, host, &inside, port) || allows(p, host, ip, port))
                return NULL;
        return kind;
}

const char *address_policy_refuses(const AddressPolicy *p, Slice host, const struct sockaddr *address) {
        struct in6_addr ip;
        if (address->sa_family == AF_INET) {
                const struct sockaddr_in *a = (const struct sockaddr_in *)address;
                v4_mapped_set(&ip, &a->sin_addr);
                return refuses(p, host, &ip, ntohs(a->sin_port));
        }
        if (address->sa_family == AF_INET6) {
                const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)address;
                return refuses(p, host, &a->sin6_addr, ntohs(a->sin6_port));
        }
        return "not an internet address";
}

const char *address_policy_refuses_text(const AddressPolicy *p, Slice host, const char *ip, uint16_t port) {
        struct in6_addr parsed;
        uint8_t v4[4];
        if (inet_pton(AF_INET, ip, v4) == 1)
                v4_mapped_set(&parsed, v4);
        else if (inet_pton(AF_INET6, ip, &parsed) != 1)
                return "not an internet address";
        return refuses(p, host, &parsed, port);
}

void address_format(const struct sockaddr *address, char ret[ADDRESS_TEXT_SIZE]) {
        const void *ip = address->sa_family == AF_INET
                                         ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                         : address->sa_family == AF_INET6
                                         ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                         : NULL;
        if (!ip || !inet_ntop(address->sa_family, ip, ret, ADDRESS_TEXT_SIZE))
                memcpy(ret, "?", 2);
}
