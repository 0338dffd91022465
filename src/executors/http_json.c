/*
 * From JSON text to canonical JSON text
 *
 * The answers of services are mostly stored and passed on; few are looked into. So no tree is built: one pass
 * checks the text and copies it, with numbers and strings normalised, and each object whose members are not
 * in order yet is rearranged when it closes. Strings without a backslash are canonical as they stand.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/quote.h"
#include "executors/http_json.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "json/number.h"

#define EXPONENT_MAX 100000 /* past any double, far from overflowing the sums below */
#define INTEGER_DIGITS 18   /* integers of so many digits always fit 64 bits */
#define SCRATCH_KEPT (64 << 10)

typedef struct HttpJsonEntry {
        HttpJsonMember m;
        size_t sort, n_sort; /* the unescaped key: in the source, or in scratch */
        bool in_scratch;
        size_t order;        /* of appearance */
} HttpJsonEntry;

typedef struct Parser {
        HttpJson *j;
        const char *start, *p, *end;
} Parser;

void http_json_deinit(HttpJson *j) {
        buf_deinit(&j->text);
        buf_deinit(&j->scratch);
        free(j->entries);
        free(j->members);
        *j = (HttpJson){0};
}

static void skip_blanks(Parser *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
                s->p++;
}

static bool take(Parser *s, char c) {
        skip_blanks(s);
        if (s->p == s->end || *s->p != c)
                return false;
        s->p++;
        return true;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

static bool is_digit(const Parser *s) { return s->p < s->end && *s->p >= '0' && *s->p <= '9'; }

/**
 * Digits with a point and an exponent as `digits e exponent`: strtod then reads no decimal point, whatever
 * the locale's is.
 */
static int number_value(Parser *s, const char *from, const char *exponent_at, double *ret) {
        Buf *b = &s->j->scratch;
        size_t base = b->n;
        int64_t exponent = 0, given = 0;
        bool after_point = false, negative = false;
        for (const char *p = from; p < exponent_at; p++) {
                if (*p == '.') {
                        after_point = true;
                } else {
                        buf_put_char(b, *p);
                        exponent -= after_point;
                }
        }
        for (const char *p = exponent_at + 1; p < s->p; p++) {
                negative |= *p == '-';
                if (*p >= '0' && *p <= '9' && given < EXPONENT_MAX * 100LL)
                        given = given * 10 + (*p - '0');
        }
        exponent += negative ? -given : given;
        buf_printf(b, "e%lld", (long long)exponent);
        buf_put_char(b, 0);
        if (b->error)
                return b->error;
        *ret = strtod(b->data + base, NULL);
        b->n = base;
        return isfinite(*ret) ? 0 : -EBADMSG;
}

static int parse_number(Parser *s) {
        const char *from = s->p;
        bool negative = *s->p == '-', integer = true;
        s->p += negative;
        const char *digits = s->p;
        while (is_digit(s))
                s->p++;
        size_t n_digits = (size_t)(s->p - digits);
        if (n_digits == 0 || (n_digits > 1 && *digits == '0'))
                return -EBADMSG;
        if (s->p < s->end && *s->p == '.') {
                integer = false;
                s->p++;
                if (!is_digit(s))
                        return -EBADMSG;
                while (is_digit(s))
                        s->p++;
        }
        const char *exponent_at = s->p;
        if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
                integer = false;
                s->p++;
                if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
                        s->p++;
                if (!is_digit(s))
                        return -EBADMSG;
                while (is_digit(s))
                        s->p++;
        }
        uint64_t v = 0;
        if (integer && (n_digits <= INTEGER_DIGITS || (slice_to_u64((Slice){digits, n_digits}, &v) &&
                                                       v <= (uint64_t)INT64_MAX + negative))) {
                bool minus_zero = negative && n_digits == 1 && *digits == '0';
                from += minus_zero;
                buf_put(&s->j->text, from, (size_t)(s->p - from));
                return 0;
        }
        double d = 0;
        int r = number_value(s, from, exponent_at, &d);
        if (r < 0)
                return r;
        char text[NUMBER_TEXT_MAX];
        buf_put(&s->j->text, text, number_format(d, text));
        return 0;
}

/* ---- strings ------------------------------------------------------------------------------------------- */

static int parse_hex4(Parser *s, uint32_t *ret) {
        uint32_t v = 0;
        if (s->end - s->p < 4)
                return -EBADMSG;
        for (int i = 0; i < 4; i++) {
                unsigned char c = (unsigned char)*s->p++, low = c | 0x20;
                if (c >= '0' && c <= '9')
                        v = v << 4 | (uint32_t)(c - '0');
                else if (low >= 'a' && low <= 'f')
                        v = v << 4 | (uint32_t)(low - 'a' + 10);
                else
                        return -EBADMSG;
        }
        *ret = v;
        return 0;
}

static void put_utf8(Buf *b, uint32_t c) {
        if (c < 0x80) {
                buf_put_char(b, (char)c);
        } else if (c < 0x800) {
                buf_put(b, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
        } else if (c < 0x10000) {
                buf_put(b,
                        (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
                                 (char)(0x80 | (c & 0x3f))},
                        3);
        } else {
                buf_put(b,
                        (char[]){(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
                                 (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f))},
                        4);
        }
}

static int parse_unicode(Parser *s) {
        uint32_t c, low;
        if (parse_hex4(s, &c) < 0 || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
                return -EBADMSG;
        if (c >= 0xd800 && c <= 0xdbff) {
                if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
                        return -EBADMSG;
                s->p += 2;
                if (parse_hex4(s, &low) < 0 || low < 0xdc00 || low > 0xdfff)
                        return -EBADMSG;
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
        put_utf8(&s->j->scratch, c);
        return 0;
}

static int parse_escape(Parser *s) {
        if (s->p == s->end)
                return -EBADMSG;
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        char c = *s->p++;
        if (c == 'u')
                return parse_unicode(s);
        const char *found = c ? strchr(letters, c) : NULL;
        if (!found)
                return -EBADMSG;
        buf_put_char(&s->j->scratch, meanings[found - letters]);
        return 0;
}

static const char *plain_end(const char *p, const char *end) {
        while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
                p++;
        return p;
}

/**
 * Append the string whose opening quote was taken to the text. @e: note where its unescaped bytes are (and
 * keep them).
 */
static int parse_string(Parser *s, HttpJsonEntry *e) {
        Buf *text = &s->j->text, *scratch = &s->j->scratch;
        const char *from = s->p;
        s->p = plain_end(s->p, s->end);
        if (s->p < s->end && *s->p == '"') {
                size_t n = (size_t)(s->p++ - from);
                buf_put(text, from - 1, n + 2); /* quotes included */
                if (e)
                        e->sort = (size_t)(from - s->start), e->n_sort = n, e->in_scratch = false;
                return 0;
        }
        size_t base = scratch->n;
        for (;;) {
                buf_put(scratch, from, (size_t)(s->p - from));
                if (s->p == s->end || (unsigned char)*s->p < 0x20)
                        return -EBADMSG;
                if (*s->p++ == '"')
                        break;
                int r = parse_escape(s);
                if (r < 0)
                        return r;
                from = s->p;
                s->p = plain_end(s->p, s->end);
        }
        if (scratch->error)
                return scratch->error;
        quote_json(text, (Slice){scratch->data + base, scratch->n - base});
        if (e)
                e->sort = base, e->n_sort = scratch->n - base, e->in_scratch = true;
        else
                scratch->n = base;
        return 0;
}

/* ---- objects ------------------------------------------------------------------------------------------- */

static Slice sort_key(const Parser *s, const HttpJsonEntry *e) {
        return (Slice){(e->in_scratch ? s->j->scratch.data : s->start) + e->sort, e->n_sort};
}

static int entry_cmp(const void *a, const void *b, void *parser) {
        const HttpJsonEntry *x = a, *y = b;
        int order = json_key_cmp(sort_key(parser, x), sort_key(parser, y));
        return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int entry_push(Parser *s, const HttpJsonEntry *e) {
        HttpJson *j = s->j;
        if (j->n_entries == j->cap) {
                size_t cap = j->cap ? j->cap * 2 : 64;
                HttpJsonEntry *entries = reallocarray(j->entries, cap, sizeof(*entries));
                if (!entries)
                        return -ENOMEM;
                j->entries = entries;
                j->cap = cap;
        }
        j->entries[j->n_entries++] = *e;
        return 0;
}

/**
 * Sort the @n members from @e on, of repeated keys only the last one stays; write them anew from offset @at.
 */
static int rearrange(Parser *s, HttpJsonEntry *e, size_t *n, size_t at) {
        Buf *text = &s->j->text, *scratch = &s->j->scratch;
        qsort_r(e, *n, sizeof(*e), entry_cmp, s);
        size_t base = scratch->n, n_kept = 0;
        buf_put(scratch, text->data + at, text->n - at);
        if (scratch->error)
                return scratch->error;
        text->n = at;
        for (size_t i = 0; i < *n; i++) {
                if (i + 1 < *n && json_key_cmp(sort_key(s, &e[i]), sort_key(s, &e[i + 1])) == 0)
                        continue;
                HttpJsonEntry kept = e[i];
                HttpJsonMember m = kept.m;
                if (n_kept > 0)
                        buf_put_char(text, ',');
                kept.m.key = text->n;
                kept.m.value = text->n + m.n_key + 1;
                buf_put(text, scratch->data + base + (m.key - at), m.n_key + 1 + m.n_value);
                e[n_kept++] = kept;
        }
        *n = n_kept;
        scratch->n = base;
        return text->error;
}

static int keep_members(HttpJson *j, const HttpJsonEntry *e, size_t n) {
        if (n > j->members_cap) {
                HttpJsonMember *members = reallocarray(j->members, n, sizeof(*members));
                if (!members)
                        return -ENOMEM;
                j->members = members;
                j->members_cap = n;
        }
        for (size_t i = 0; i < n; i++)
                j->members[i] = e[i].m;
        j->n_members = n;
        j->is_object = true;
        return 0;
}

static int parse_value(Parser *s, unsigned depth);

static int parse_member(Parser *s, HttpJsonEntry *e, unsigned depth) {
        Buf *text = &s->j->text;
        e->m.key = text->n;
        if (!take(s, '"'))
                return -EBADMSG;
        int r = parse_string(s, e);
        if (r < 0)
                return r;
        e->m.n_key = text->n - e->m.key;
        if (!take(s, ':'))
                return -EBADMSG;
        buf_put_char(text, ':');
        e->m.value = text->n;
        r = parse_value(s, depth);
        e->m.n_value = text->n - e->m.value;
        return r < 0 ? r : entry_push(s, e);
}

static int parse_object(Parser *s, unsigned depth) {
        HttpJson *j = s->j;
        size_t base = j->n_entries, scratch_base = j->scratch.n;
        buf_put_char(&j->text, '{');
        size_t at = j->text.n;
        bool sorted = true;
        if (!take(s, '}')) {
                do {
                        HttpJsonEntry e = {.order = j->n_entries - base};
                        if (e.order > 0)
                                buf_put_char(&j->text, ',');
                        int r = parse_member(s, &e, depth);
                        if (r < 0)
                                return r;
                        const HttpJsonEntry *last = &j->entries[j->n_entries - 1];
                        if (sorted && e.order > 0)
                                sorted = json_key_cmp(sort_key(s, last - 1), sort_key(s, last)) < 0;
                } while (take(s, ','));
                if (!take(s, '}'))
                        return -EBADMSG;
        }
        if (j->text.error)
                return j->text.error;
        HttpJsonEntry *e = j->entries ? j->entries + base : NULL;
        size_t n = j->n_entries - base;
        int r = sorted ? 0 : rearrange(s, e, &n, at);
        if (r == 0 && depth == 1)
                r = keep_members(j, e, n);
        buf_put_char(&j->text, '}');
        j->n_entries = base;
        j->scratch.n = scratch_base;
        return r;
}

static int parse_array(Parser *s, unsigned depth) {
        buf_put_char(&s->j->text, '[');
        if (!take(s, ']')) {
                bool first = true;
                do {
                        if (!first)
                                buf_put_char(&s->j->text, ',');
                        first = false;
                        int r = parse_value(s, depth);
                        if (r < 0)
                                return r;
                } while (take(s, ','));
                if (!take(s, ']'))
                        return -EBADMSG;
        }
        buf_put_char(&s->j->text, ']');
        return 0;
}

static int parse_word(Parser *s, Slice word) {
        if ((size_t)(s->end - s->p) < word.n || memcmp(s->p, word.data, word.n) != 0)
                return -EBADMSG;
        s->p += word.n;
        buf_put_slice(&s->j->text, word);
        return 0;
}

/** Recursion, at most JSON_DEPTH_MAX deep. */
static int parse_value(Parser *s, unsigned depth) {
        skip_blanks(s);
        if (s->p == s->end)
                return -EBADMSG;
        switch (*s->p) {
        case '{':
        case '[': {
                if (depth >= JSON_DEPTH_MAX)
                        return -EBADMSG;
                return *s->p++ == '{' ? parse_object(s, depth + 1) : parse_array(s, depth + 1);
        }
        case '"': s->p++; return parse_string(s, NULL);
        case 't': return parse_word(s, SLICE("true"));
        case 'f': return parse_word(s, SLICE("false"));
        case 'n': return parse_word(s, SLICE("null"));
        default: return parse_number(s);
        }
}

int http_json_canonical(HttpJson *j, Slice text) {
        buf_reset(&j->text);
        buf_reset(&j->scratch);
        if (j->scratch.cap > SCRATCH_KEPT)
                buf_deinit(&j->scratch);
        j->n_entries = j->n_members = 0;
        j->is_object = false;
        if (text.n == 0 || !slice_is_utf8(text))
                return -EBADMSG;
        Parser s = {j, text.data, text.data, text.data + text.n};
        int r = parse_value(&s, 0);
        if (r < 0)
                return r;
        skip_blanks(&s);
        if (s.p != s.end)
                return -EBADMSG;
        assert(j->n_entries == 0);
        return j->text.error ? j->text.error : j->scratch.error;
}
