/*
 * Tokens by their digests
 *
 * A token is random (`openssl rand -hex 32`), so nothing slower than SHA-256 is needed to keep it secret from whoever
 * reads the file. All lines are compared, each in constant time: how long it takes tells nothing.
 */

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "client/settings.h"
#include "gateway/auth.h"
#include "gateway/token_file.h"
#include "json/digest.h"

typedef struct Entry {
        Digest digest;
        Identity who;
} Entry;

struct TokenFile {
        Entry *entries;
        size_t n;
};

static Slice next_word(Slice *line) {
        size_t i = 0, n = 0;

        while (i < line->n && isblank((unsigned char)line->data[i]))
                i++;
        while (i + n < line->n && !isblank((unsigned char)line->data[i + n]))
                n++;
        Slice word = {line->data + i, n};
        *line = (Slice){line->data + i + n, line->n - i - n};
        return word;
}

/** False: the line is no entry. */
static bool parse_line(Slice line, Entry *ret) {
        Slice hex = next_word(&line), user = next_word(&line), tenant = next_word(&line),
              more = next_word(&line);

        if (slice_starts_with(hex, SLICE("sha256:")))
                hex = (Slice){hex.data + 7, hex.n - 7};
        return digest_parse(hex, &ret->digest) && auth_take_name(user, ret->who.user) &&
               auth_take_name(tenant, ret->who.tenant) && more.n == 0;
}

static int parse(const char *path, char *text, TokenFile *f, Report *report) {
        size_t number = 0;
        char *save = text;

        for (char *line; (line = strsep(&save, "\n"));) {
                Slice s = slice_from_str(line), first = s;
                Entry *entries;

                number++;
                if (s.n > 0 && s.data[s.n - 1] == '\r')
                        s.n--;
                first = s;
                first = next_word(&first);
                if (first.n == 0 || first.data[0] == '#')
                        continue;
                if (f->n == TOKENS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s has more than %d tokens", path,
                                          TOKENS_MAX);
                entries = realloc(f->entries, (f->n + 1) * sizeof *entries);
                if (!entries)
                        return -ENOMEM;
                f->entries = entries;
                entries[f->n] = (Entry){0};
                if (!parse_line(s, &entries[f->n]))
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "%s:%zu must be \"<SHA-256 of the token, in hex> <user> <tenant>\"",
                                          path, number);
                f->n++;
        }
        return f->n > 0 ? 0 : report_set(report, RUNBOOK_INVALID_REQUEST, "%s holds no tokens", path);
}

int token_file_load(const char *path, Report *report, TokenFile **ret) {
        char *text = settings_read_file(path);
        TokenFile *f = calloc(1, sizeof *f);
        int r;

        if (!text)
                r = report_set(report, RUNBOOK_INVALID_REQUEST, "cannot read %s: %s", path, strerror(errno));
        else
                r = f ? parse(path, text, f, report) : -ENOMEM;
        free(text);
        if (r < 0)
                token_file_free(f);
        else
                *ret = f;
        return r;
}

void token_file_free(TokenFile *f) {
        if (!f)
                return;
        free(f->entries);
        free(f);
}

bool token_file_find(const TokenFile *f, Slice token, Identity *ret) {
        const Entry *found = NULL;
        Digest digest;

        if (digest_slice(token, &digest) < 0)
                return false;
        for (size_t i = 0; i < f->n; i++)
                if (CRYPTO_memcmp(digest.bytes, f->entries[i].digest.bytes, DIGEST_SIZE) == 0)
                        found = &f->entries[i];
        if (found)
                *ret = found->who;
        return found != NULL;
}
