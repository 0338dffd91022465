#pragma once
/*
 * Which network addresses steps may reach. Private, loopback, link-local and other special ranges are refused
 * unless the operator lists them (HTTP_ALLOW). Decided on the address that is really connected to, so that no
 * spelling of a URL, redirect or name server can slip past.
 */

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/report.h"

#define ADDRESS_ALLOW_MAX 1024 /* entries of one allow list */
#define ADDRESS_TEXT_SIZE 46   /* INET6_ADDRSTRLEN */

typedef struct AllowEntry {
        char *name;         /* lower-case host; "*.suffix" without its star (".suffix"); NULL: a range */
        struct in6_addr ip; /* the range's first address; IPv4 as ::ffff:a.b.c.d */
        uint8_t prefix;     /* bits of `ip` that count, 0–128 */
        uint16_t port;      /* 0: any */
} AllowEntry;

typedef struct AddressPolicy {
        AllowEntry *entries;
        size_t n_entries;
} AddressPolicy;

/**
 * Parse a comma-separated list: hosts (`localhost`, `*.svc.cluster.local`), addresses and CIDRs
 * (`10.1.0.0/16`, `::1`, `[fd00::/8]`), each with an optional `:port` (IPv6 in brackets then). NULL or
 * empty allows nothing. 0, or -EINVAL with a sentence for the first wrong entry in @report, or -ENOMEM.
 */
int address_policy_parse(const char *list, Report *report, AddressPolicy *ret);
void address_policy_deinit(AddressPolicy *p);

/**
 * May a step that asked for @host (lower-case, may be an address itself) connect to @address? @port is in
 * host order. NULL: yes. Else what kind of address it is ("a loopback address"), static.
 */
const char *address_policy_refuses(const AddressPolicy *p, Slice host, const struct sockaddr *address);
/** The same for an address as text (no brackets). What is not an address is refused. */
const char *address_policy_refuses_text(const AddressPolicy *p, Slice host, const char *ip, uint16_t port);
/** The address without port as text, "?" for an unknown family. */
void address_format(const struct sockaddr *address, char ret[ADDRESS_TEXT_SIZE]);
