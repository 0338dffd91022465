/*
 * Patterns, with a budget
 *
 * A pattern and a text both come from others, and backtracking can take time exponential in the text. PCRE2's
 * match limit counts anew from each starting point, so it doesn't bound the search through a long text.
 * Patterns are therefore compiled with a callout before each of their items, which takes a step for the item,
 * and one for each byte that was passed since the last. What one item can scan unseen, because it fails
 * before the next callout (a large repeat count, a reference back to what a group matched), is charged ahead.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "schema/ecma.h"
#include "schema/pattern.h"

#define PATTERN_HEAP_KIB       16384  /* PCRE2's frames in one match */
#define PATTERN_PARENTHESES    100    /* nesting within a pattern */
#define PATTERN_SCAN_BYTES     16     /* bytes scanned unseen that cost one step */
#define PATTERN_MATCH_STEPS    2      /* what each match costs, however little there is to do */
#define PATTERN_TRANSLATED_MAX 131072 /* bytes of a pattern as PCRE2 gets it */

struct Pattern {
        pcre2_code *code;
        size_t item_cost;
        bool back_references;
};

/** The largest number behind a brace or a comma: some repeat may scan so far before it is seen to move. */
static size_t largest_repeat(Slice pattern) {
        size_t largest = 0;
        for (size_t i = 0; i < pattern.n; i++) {
                size_t count = 0;
                if (pattern.data[i] != '{' && pattern.data[i] != ',')
                        continue;
                for (; i + 1 < pattern.n && pattern.data[i + 1] >= '0' && pattern.data[i + 1] <= '9'; i++)
                        if (count < UINT16_MAX)
                                count = count * 10 + (size_t)(pattern.data[i + 1] - '0');
                largest = count > largest ? count : largest;
        }
        return largest;
}

static pcre2_code *compile_code(const JsonAt *at, Slice translated) {
        static const uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT |
                                        PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF;
        pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
        int error = PCRE2_ERROR_HEAP_FAILED;
        PCRE2_SIZE offset;
        pcre2_code *code = NULL;
        if (limits) {
                pcre2_set_parens_nest_limit(limits, PATTERN_PARENTHESES);
                code = pcre2_compile((PCRE2_SPTR)translated.data, translated.n, options, &error, &offset,
                                     limits);
        }
        pcre2_compile_context_free(limits);
        if (code)
                return code;
        if (error == PCRE2_ERROR_HEAP_FAILED || error == PCRE2_ERROR_NOMEMORY) {
                at->report->oom = true;
                return NULL;
        }
        PCRE2_UCHAR reason[160];
        pcre2_get_error_message(error, reason, sizeof(reason));
        json_at_error(at, "is not a pattern that can be used here: %s", (const char *)reason);
        return NULL;
}

static pcre2_code *translate_and_compile(const JsonAt *at, Slice text) {
        _cleanup_(buf_deinit) Buf b = {.limit = PATTERN_TRANSLATED_MAX};
        size_t fault_at;
        const char *fault = ecma_translate(&b, text, &fault_at);
        if (fault) {
                json_at_error(at, "is not a valid pattern: %s (byte %zu)", fault, fault_at + 1);
                return NULL;
        }
        if (b.error == -EFBIG) {
                json_at_error(at, "the pattern is too large (PATTERN_TRANSLATED_MAX, %d bytes)",
                              PATTERN_TRANSLATED_MAX);
                return NULL;
        }
        if (b.error) {
                at->report->oom = true;
                return NULL;
        }
        return compile_code(at, b.n ? buf_slice(&b) : SLICE(""));
}

Pattern *pattern_compile(const JsonAt *at, Slice text, size_t *ret_bytes) {
        if (text.n > LIMIT_PATTERN_BYTES) {
                json_at_error(at, "the pattern has %zu bytes, more than the %d allowed (LIMIT_PATTERN_BYTES)",
                              text.n, LIMIT_PATTERN_BYTES);
                return NULL;
        }
        pcre2_code *code = translate_and_compile(at, text);
        if (!code)
                return NULL;
        Pattern *p = malloc(sizeof(*p));
        if (!p) {
                pcre2_code_free(code);
                at->report->oom = true;
                return NULL;
        }
        uint32_t back_references = 0;
        size_t size = 0;
        pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &back_references);
        pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
        *p = (Pattern){code, 1 + largest_repeat(text) / PATTERN_SCAN_BYTES, back_references > 0};
        *ret_bytes = size + sizeof(*p);
        return p;
}

void pattern_free(Pattern *p) {
        if (p)
                pcre2_code_free(p->code);
        free(p);
}

void pattern_scratch_deinit(PatternScratch *s) {
        pcre2_match_context_free(s->context);
        pcre2_match_data_free(s->data);
        *s = (PatternScratch){0};
}

typedef struct Match {
        size_t *steps_left;
        size_t item_cost;
        PCRE2_SIZE position;
} Match;

/** Before every item of a pattern. */
static int on_item(pcre2_callout_block *block, void *userdata) {
        Match *m = userdata;
        size_t cost = m->item_cost;
        if (block->current_position > m->position)
                cost += block->current_position - m->position;
        m->position = block->current_position;
        if (cost > *m->steps_left)
                return PCRE2_ERROR_MATCHLIMIT;
        *m->steps_left -= cost;
        return 0;
}

static int scratch_init(PatternScratch *s) {
        if (s->data)
                return 0;
        pattern_scratch_deinit(s);
        s->context = pcre2_match_context_create(NULL);
        s->data = s->context ? pcre2_match_data_create(1, NULL) : NULL;
        if (!s->data)
                return -ENOMEM;
        pcre2_set_match_limit(s->context, UINT32_MAX); /* the steps bound it, over all starting points */
        pcre2_set_depth_limit(s->context, UINT32_MAX);
        pcre2_set_heap_limit(s->context, PATTERN_HEAP_KIB);
        return 0;
}

int pattern_match(const Pattern *p, PatternScratch *s, Slice text, size_t *steps_left) {
        size_t whole = text.n / PATTERN_SCAN_BYTES; /* PCRE2 reads it once to see that it is UTF-8 */
        if (whole + PATTERN_MATCH_STEPS > *steps_left)
                return -EOVERFLOW;
        if (scratch_init(s) < 0)
                return -ENOMEM;
        *steps_left -= whole + PATTERN_MATCH_STEPS;
        Match match = {.steps_left = steps_left,
                       .item_cost = p->item_cost + (p->back_references ? whole : 0)};
        pcre2_set_callout(s->context, on_item, &match);
        int r = pcre2_match(p->code, (PCRE2_SPTR)text.data, text.n, 0, 0, s->data, s->context);
        switch (r) {
        case PCRE2_ERROR_NOMATCH:
                return 0;
        case PCRE2_ERROR_NOMEMORY:
                return -ENOMEM;
        case PCRE2_ERROR_MATCHLIMIT:
        case PCRE2_ERROR_DEPTHLIMIT:
        case PCRE2_ERROR_HEAPLIMIT:
                return -EOVERFLOW;
        default:
                return r >= 0 ? 1 : -EINVAL;
        }
}
