/*
 * Behaviours: what a path asks for. README.md lists them for the user; the table is at the end.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/quote.h"
#include "server.h"

#define ENDLESS_CHUNK 8192

/* ---- the query ----------------------------------------------------------------------------------------- */

/** The still encoded parameter @name, empty if absent. */
static Slice param(const Request *r, const char *name) {
        size_t n = strlen(name);
        if (r->query.n == 0)
                return SLICE_NULL;
        for (const char *p = r->query.data, *end = p + r->query.n; p < end;) {
                const char *amp = memchr(p, '&', (size_t)(end - p));
                if (!amp)
                        amp = end;
                if ((size_t)(amp - p) > n && p[n] == '=' && !memcmp(p, name, n))
                        return (Slice){p + n + 1, (size_t)(amp - p) - n - 1};
                p = amp + 1;
        }
        return SLICE_NULL;
}

static uint64_t param_u64(const Request *r, const char *name, uint64_t otherwise) {
        uint64_t v;
        return slice_to_u64(param(r, name), &v) ? v : otherwise;
}

static int hex(char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

static void put_decoded(Buf *b, Slice s) {
        for (size_t i = 0; i < s.n; i++) {
                if (s.data[i] == '%' && s.n - i > 2 && hex(s.data[i + 1]) >= 0 && hex(s.data[i + 2]) >= 0) {
                        buf_put_char(b, (char)(hex(s.data[i + 1]) << 4 | hex(s.data[i + 2])));
                        i += 2;
                } else {
                        buf_put_char(b, s.data[i] == '+' ? ' ' : s.data[i]);
                }
        }
}

/* ---- idempotency keys ---------------------------------------------------------------------------------- */

uint64_t key_seen(Server *s, Slice key) {
        if (key.n == 0)
                return 0;
        SeenKey *seen = map_get(&s->keys, key);
        if (!seen) {
                if (s->keys.n >= KEYS_MAX || !(seen = malloc(sizeof(*seen) + key.n)))
                        return 0;
                *seen = (SeenKey){.n = key.n};
                memcpy(seen->text, key.data, key.n);
                if (map_put(&s->keys, (Slice){seen->text, key.n}, seen) < 0) {
                        free(seen);
                        return 0;
                }
        }
        return ++seen->count;
}

void keys_forget(Server *s) {
        size_t it = 0;
        Slice key;
        void *seen;
        while (map_next(&s->keys, &it, &key, &seen))
                free(seen);
        map_deinit(&s->keys);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void head(Conn *c, int status, const char *type) {
        buf_printf(&c->out, "HTTP/1.1 %d %s\r\n", status, status < 300 ? "OK" : "Not so good");
        if (type)
                buf_printf(&c->out, "Content-Type: %s\r\n", type);
}

static void answer(Conn *c, int status, const char *type, Slice body) {
        head(c, status, type);
        if (status != 204 && status != 304)
                buf_printf(&c->out, "Content-Length: %zu\r\n", body.n);
        buf_put_str(&c->out, "\r\n");
        if (status != 204 && status != 304)
                buf_put_slice(&c->out, body);
}

static void do_ok(Conn *c, const Request *r) {
        buf_put_slice(&c->out,
                      SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n"
                            "{\"ok\":true}"));
}

static void do_echo(Conn *c, const Request *r) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_str(&b, "{\"method\":");
        quote_json_lossy(&b, r->method);
        buf_put_str(&b, ",\"path\":");
        quote_json_lossy(&b, r->path);
        buf_put_str(&b, ",\"query\":");
        quote_json_lossy(&b, r->query);
        buf_printf(&b, ",\"connection\":%llu,\"request\":%llu,\"sent\":{", (unsigned long long)c->id,
                   (unsigned long long)c->n_requests);
        bool first = true;
        for (const char *p = r->head.data, *end = p + r->head.n; p < end;) {
                const char *eol = memchr(p, '\r', (size_t)(end - p)),
                           *colon = memchr(p, ':', (size_t)(end - p));
                if (!eol)
                        eol = end;
                if (colon && colon < eol) {
                        _cleanup_(buf_deinit) Buf name = {0};
                        for (const char *q = p; q < colon; q++)
                                buf_put_char(&name, (char)(*q >= 'A' && *q <= 'Z' ? *q | 0x20 : *q));
                        if (!first)
                                buf_put_char(&b, ',');
                        first = false;
                        quote_json_lossy(&b, buf_slice(&name));
                        buf_put_char(&b, ':');
                        colon += colon + 1 < eol && colon[1] == ' ' ? 2 : 1;
                        quote_json_lossy(&b, (Slice){colon, (size_t)(eol - colon)});
                }
                p = eol + 2;
        }
        buf_put_str(&b, "},\"received\":");
        quote_json_lossy(&b, r->body);
        buf_put_char(&b, '}');
        answer(c, 200, "application/json", buf_slice(&b));
}

static void do_status(Conn *c, const Request *r) {
        uint64_t status = 200;
        Slice text = {r->path.data + strlen("/status/"), r->path.n - strlen("/status/")};
        if (!slice_to_u64(text, &status) || status < 200 || status > 999)
                status = 400;
        head(c, (int)status, "application/json");
        Slice after = param(r, "after");
        if (after.n > 0) {
                buf_put_str(&c->out, "Retry-After: ");
                put_decoded(&c->out, after);
                buf_put_str(&c->out, "\r\n");
        }
        if (status == 204 || status == 304)
                buf_put_str(&c->out, "\r\n");
        else
                buf_printf(&c->out, "Content-Length: %d\r\n\r\n{\"code\":%d}", 12, (int)status);
}

static void do_flaky(Conn *c, const Request *r) {
        SeenKey *seen = map_get(&c->server->keys, r->idempotency_key);
        if (seen && seen->count > param_u64(r, "n", 1)) {
                do_ok(c, r);
                return;
        }
        answer(c, (int)param_u64(r, "status", 503), "application/json",
               SLICE("{\"error\":\"once more, please\"}"));
}

static void do_typed(Conn *c, const Request *r) {
        _cleanup_(buf_deinit) Buf type = {0}, body = {0};
        put_decoded(&type, param(r, "type"));
        buf_put_char(&type, 0);
        put_decoded(&body, param(r, "body"));
        answer(c, (int)param_u64(r, "status", 200), type.n > 1 ? type.data : NULL, buf_slice(&body));
}

static void do_bytes(Conn *c, const Request *r) {
        uint64_t n = param_u64(r, "n", 1000);
        _cleanup_(buf_deinit) Buf b = {0};
        bool json = slice_eq_str(r->path, "/json");
        buf_put_str(&b, json ? "{\"pad\":\"" : "");
        while (b.n + 2 * json < n)
                buf_put_char(&b, 'x');
        buf_put_str(&b, json ? "\"}" : "");
        answer(c, (int)param_u64(r, "status", 200), json ? "application/json" : "text/plain", buf_slice(&b));
}

static void do_deep(Conn *c, const Request *r) {
        uint64_t n = param_u64(r, "n", 100);
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint64_t i = 0; i < n; i++)
                buf_put_char(&b, '[');
        for (uint64_t i = 0; i < n; i++)
                buf_put_char(&b, ']');
        answer(c, 200, "application/json", buf_slice(&b));
}

static void do_redirect(Conn *c, const Request *r) {
        head(c, 302, NULL);
        buf_put_str(&c->out, "Location: ");
        Slice to = param(r, "to");
        put_decoded(&c->out, to.n ? to : r->path);
        buf_put_str(&c->out, "\r\nContent-Length: 0\r\n\r\n");
}

/* ---- being slow ---------------------------------------------------------------------------------------- */

static void more_ok(Conn *c) {
        c->more = NULL;
        do_ok(c, NULL);
}

static void do_slow(Conn *c, const Request *r) {
        c->more = more_ok;
        conn_arm(c, (int64_t)param_u64(r, "ms", 50));
}

static void do_hang(Conn *c, const Request *r) { conn_arm(c, INT32_MAX / 2); }

static void more_byte(Conn *c) {
        buf_put_char(&c->out, 'x');
        if (--c->n_left == 0)
                c->more = NULL;
        else
                conn_arm(c, c->period_ms);
}

static void do_trickle(Conn *c, const Request *r) {
        c->n_left = param_u64(r, "n", 100000);
        c->period_ms = (int64_t)param_u64(r, "ms", 100);
        if (slice_eq_str(r->path, "/trickle-head")) {
                head(c, 200, "text/plain");
                buf_put_str(&c->out, "X-Slow: ");
        } else {
                head(c, 200, "text/plain");
                buf_printf(&c->out, "Content-Length: %llu\r\n\r\n", (unsigned long long)c->n_left);
        }
        c->more = more_byte;
}

/* ---- too much ------------------------------------------------------------------------------------------ */

static void more_chunk(Conn *c) {
        buf_printf(&c->out, "%x\r\n", ENDLESS_CHUNK);
        char *p = buf_extend(&c->out, ENDLESS_CHUNK);
        if (p)
                memset(p, 'x', ENDLESS_CHUNK);
        buf_put_str(&c->out, "\r\n");
}

static void do_endless(Conn *c, const Request *r) {
        head(c, (int)param_u64(r, "status", 200), "text/plain");
        buf_put_str(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
        c->more = more_chunk;
}

static void more_headers(Conn *c) {
        for (int i = 0; i < 100 && c->n_left > 0; i++, c->n_left--)
                buf_printf(&c->out,
                           "X-Flood-%llu: "
                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
                           (unsigned long long)c->n_left);
        if (c->n_left == 0) {
                c->more = NULL;
                buf_put_str(&c->out, "Content-Length: 2\r\n\r\nok");
        }
}

static void do_headers(Conn *c, const Request *r) {
        c->n_left = param_u64(r, "n", UINT64_MAX);
        head(c, 200, "text/plain");
        c->more = more_headers;
}

static void more_informational(Conn *c) {
        for (int i = 0; i < 100; i++)
                buf_put_str(&c->out, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n");
}

static void do_informational(Conn *c, const Request *r) { c->more = more_informational; }

/*
 * gzip by hand. Header, then deflate blocks: a stored block for the honest answer, and for the bomb one
 * endless block of fixed codes: a literal, then over and over "258 bytes from one byte back" (13 bits:
 * 11000101 00000).
 */
static const char gzip_head[10] = {'\x1f', '\x8b', 8, 0, 0, 0, 0, 0, 0, 3};

static uint32_t crc32_of(Slice s) {
        uint32_t crc = ~0u;
        for (size_t i = 0; i < s.n; i++) {
                crc ^= (uint8_t)s.data[i];
                for (int k = 0; k < 8; k++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
        return ~crc;
}

static void put_little_endian(Buf *b, uint32_t v, int n) {
        for (int i = 0; i < n; i++)
                buf_put_char(b, (char)(v >> 8 * i & 0xff));
}

static void do_gzip(Conn *c, const Request *r) {
        Slice text = SLICE("{\"packed\":true}");
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put(&b, gzip_head, sizeof(gzip_head));
        buf_put_char(&b, 1); /* the last block, stored */
        put_little_endian(&b, (uint32_t)text.n, 2);
        put_little_endian(&b, ~(uint32_t)text.n, 2);
        buf_put_slice(&b, text);
        put_little_endian(&b, crc32_of(text), 4);
        put_little_endian(&b, (uint32_t)text.n, 4);
        head(c, 200, "application/json");
        buf_printf(&c->out, "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", b.n);
        buf_put_slice(&c->out, buf_slice(&b));
}

static void put_bits(uint8_t *bits, size_t *at, const char *pattern) {
        for (; *pattern; pattern++, (*at)++)
                if (*pattern == '1')
                        bits[*at / 8] |= (uint8_t)(1u << *at % 8);
}

/** 8 × 13 bits are 13 bytes, so from the third byte on the stream repeats every 13 bytes. */
static void more_bomb(Conn *c) {
        uint8_t bits[2 + 13 + 2] = {0};
        size_t at = 0;
        put_bits(bits, &at, "110");      /* last block, fixed codes */
        put_bits(bits, &at, "10010001"); /* the literal 'a' */
        while (at + 13 <= sizeof(bits) * 8)
                put_bits(bits, &at, "1100010100000");
        if (c->n_left++ == 0)
                buf_put(&c->out, bits, 2);
        for (int i = 0; i < 600; i++)
                buf_put(&c->out, bits + 2, 13);
}

static void do_bomb(Conn *c, const Request *r) {
        head(c, 200, "application/json");
        buf_put_str(&c->out, "Content-Encoding: gzip\r\nConnection: close\r\n\r\n");
        buf_put(&c->out, gzip_head, sizeof(gzip_head));
        c->more = more_bomb;
}

/* ---- breaking off -------------------------------------------------------------------------------------- */

static void do_break(Conn *c, const Request *r) {
        uint64_t n = param_u64(r, "after", 0);
        bool reset = slice_eq_str(r->path, "/reset");
        if (n > 0) {
                head(c, 200, "text/plain");
                buf_printf(&c->out, "Content-Length: %llu\r\n\r\n", (unsigned long long)n + 100);
                for (uint64_t i = 0; i < n && i < REQUEST_BYTES_MAX; i++)
                        buf_put_char(&c->out, 'x');
        }
        c->close_after = !reset;
        c->reset_after = reset;
}

static void do_garbage(Conn *c, const Request *r) {
        buf_put_str(&c->out, "220 mail.example.com ESMTP, what do you want?\r\n");
        c->close_after = true;
}

static void do_lie(Conn *c, const Request *r) {
        head(c, 200, "text/plain");
        buf_put_str(&c->out, "Content-Length: 5\r\n\r\nhello, and more than was said");
}

/* ---- looking back -------------------------------------------------------------------------------------- */

static void do_keys(Conn *c, const Request *r) {
        _cleanup_(buf_deinit) Buf b = {0};
        Slice wanted = param(r, "key"), key;
        uint64_t n_repeated = 0;
        size_t it = 0;
        void *value;
        buf_put_str(&b, "{\"keys\":{");
        for (bool first = true; map_next(&c->server->keys, &it, &key, &value);) {
                uint64_t count = ((SeenKey *)value)->count;
                n_repeated += count > 1;
                if (wanted.n > 0 && !slice_eq(wanted, key))
                        continue;
                if (!first)
                        buf_put_char(&b, ',');
                first = false;
                quote_json_lossy(&b, key);
                buf_printf(&b, ":%llu", (unsigned long long)count);
        }
        buf_printf(&b, "},\"distinct\":%zu,\"repeated\":%llu}", c->server->keys.n,
                   (unsigned long long)n_repeated);
        answer(c, 200, "application/json", buf_slice(&b));
}

static void do_stats(Conn *c, const Request *r) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_printf(&b, "{\"requests\":%llu,\"connections\":%llu,\"open\":%llu}",
                   (unsigned long long)c->server->n_requests, (unsigned long long)c->server->n_connections,
                   (unsigned long long)c->server->n_open);
        answer(c, 200, "application/json", buf_slice(&b));
}

static void do_forget(Conn *c, const Request *r) {
        keys_forget(c->server);
        c->server->n_requests = 0;
        do_ok(c, r);
}

static void do_exit(Conn *c, const Request *r) {
        c->server->stop = true;
        do_ok(c, r);
}

typedef struct Behaviour {
        const char *path; /* ending in '/': a prefix */
        void (*run)(Conn *c, const Request *r);
        bool unseen; /* its idempotency key is not recorded */
} Behaviour;

static const Behaviour behaviours[] = {
        {"/fast", do_ok, true},      {"/ok", do_ok},
        {"/bomb", do_bomb},          {"/bytes", do_bytes},
        {"/close", do_break},        {"/deep", do_deep},
        {"/echo", do_echo},          {"/endless", do_endless},
        {"/exit", do_exit, true},    {"/flaky", do_flaky},
        {"/forget", do_forget, true}, {"/garbage", do_garbage},
        {"/gzip", do_gzip},          {"/hang", do_hang},
        {"/headers", do_headers},    {"/informational", do_informational},
        {"/json", do_bytes},         {"/keys", do_keys, true},
        {"/lie", do_lie},            {"/redirect", do_redirect},
        {"/reset", do_break},        {"/slow", do_slow},
        {"/stats", do_stats, true},  {"/status/", do_status},
        {"/trickle", do_trickle},    {"/trickle-head", do_trickle},
        {"/typed", do_typed},
};

/** The answer to HEAD is that to GET without its body. */
static void cut_body(Conn *c) {
        char *end = memmem(c->out.data, c->out.n, "\r\n\r\n", 4);
        if (end)
                c->out.n = (size_t)(end - c->out.data) + 4;
}

void behave(Conn *c, const Request *r) {
        for (size_t i = 0; i < N_ELEMENTS(behaviours); i++) {
                const Behaviour *b = &behaviours[i];
                size_t n = strlen(b->path);
                bool prefix = b->path[n - 1] == '/';
                if (prefix ? !slice_starts_with(r->path, (Slice){b->path, n})
                           : !slice_eq_str(r->path, b->path))
                        continue;
                if (!b->unseen)
                        key_seen(c->server, r->idempotency_key);
                b->run(c, r);
                if (slice_eq_str(r->method, "HEAD") && c->out.n > 0)
                        cut_body(c);
                return;
        }
        answer(c, 404, "application/json", SLICE("{\"error\":\"no such behaviour\"}"));
}
