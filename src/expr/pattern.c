/*
 * Patterns: PCRE2 with a budget
 *
 * Patterns are the one place where a definition could burn time without bound. PCRE2's own match limit counts
 * anew at every starting point, so it bounds no search through a long text. Patterns are therefore compiled
 * with automatic callouts: before every item our function takes from a budget which one evaluation of the
 * whole condition shares, one unit an item and one for every byte passed. What an item may scan without being
 * seen to move (a large repeat count, a back reference) is charged ahead.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>

#include "expr/expr_internal.h"

#define PATTERN_HEAP_KIB    16384 /* PCRE2's frames while matching */
#define PATTERN_PARENTHESES 100   /* nesting within a pattern */
#define PATTERN_SCAN_BYTES  16    /* bytes scanned out of sight that cost one unit */

struct ExprPattern {
        pcre2_code *code;
        size_t item_cost;
        bool back_references;
};

static void release_code(void *p) { pcre2_code_free(p); }

/** The largest count that a repeat of the pattern must pass before it can be seen to have moved. */
static size_t largest_repeat(Slice pattern) {
        size_t largest = 0;
        for (size_t i = 0; i < pattern.n; i++) {
                size_t count = 0, from = i + 1;
                if (pattern.data[i] != '{')
                        continue;
                while (from < pattern.n && pattern.data[from] >= '0' && pattern.data[from] <= '9' &&
                       count < UINT16_MAX)
                        count = count * 10 + (size_t)(pattern.data[from++] - '0');
                largest = count > largest ? count : largest;
        }
        return largest;
}

static pcre2_code *compile_code(const JsonAt *at, Slice text) {
        static const uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
        pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
        int code = PCRE2_ERROR_NOMEMORY;
        PCRE2_SIZE offset;
        PCRE2_UCHAR reason[160];
        pcre2_code *compiled = NULL;
        if (limits) {
                pcre2_set_max_pattern_length(limits, LIMIT_PATTERN_BYTES);
                pcre2_set_parens_nest_limit(limits, PATTERN_PARENTHESES);
                compiled = pcre2_compile((PCRE2_SPTR)text.data, text.n, options, &code, &offset, limits);
        }
        pcre2_compile_context_free(limits);
        if (compiled)
                return compiled;
        if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY) {
                at->report->oom = true;
                return NULL;
        }
        pcre2_get_error_message(code, reason, sizeof(reason));
        json_at_error(at, "is not a valid pattern: %s at byte %zu", (const char *)reason, (size_t)offset + 1);
        return NULL;
}

const ExprPattern *expr_pattern_compile(const JsonAt *at, Arena *arena, ExprForeign **foreign) {
        Slice text = json_string_slice(at->value);
        if (text.n > LIMIT_PATTERN_BYTES) {
                json_at_error(at, "the pattern has %zu bytes, more than the %d allowed (LIMIT_PATTERN_BYTES)",
                              text.n, LIMIT_PATTERN_BYTES);
                return NULL;
        }
        if (!expr_text_is_constant(text)) {
                json_at_error(at, "a pattern is fixed text, it can't hold ${…}");
                return NULL;
        }
        pcre2_code *code = compile_code(at, text);
        if (!code)
                return NULL;
        ExprPattern *pattern = ARENA_NEW(arena, ExprPattern);
        if (!expr_foreign_add(foreign, arena, release_code, code) || !pattern) {
                at->report->oom = true;
                return NULL;
        }
        uint32_t back_references = 0;
        pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &back_references);
        *pattern = (ExprPattern){.code = code,
                                 .item_cost = 1 + largest_repeat(text) / PATTERN_SCAN_BYTES,
                                 .back_references = back_references > 0};
        return pattern;
}

typedef struct Match {
        size_t *work_left;
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
        if (cost > *m->work_left)
                return PCRE2_ERROR_MATCHLIMIT;
        *m->work_left -= cost;
        return 0;
}

static int match_failed(const ExprPath *field, int code, ExprError *error) {
        PCRE2_UCHAR reason[160];
        Slice shown = expr_shown(field->text);
        switch (code) {
        case PCRE2_ERROR_NOMEMORY:
                return expr_error_oom(error);
        case PCRE2_ERROR_MATCHLIMIT:
        case PCRE2_ERROR_DEPTHLIMIT:
        case PCRE2_ERROR_HEAPLIMIT:
                return expr_error_set(error, -EINVAL, "PATTERN_LIMIT",
                                      "the pattern for \"%.*s\" takes too many steps on this text "
                                      "(of %d in one match, LIMIT_PATTERN_MATCH_STEPS, or %d in one "
                                      "condition, LIMIT_PATTERN_WORK)",
                                      SLICE_ARG(shown), LIMIT_PATTERN_MATCH_STEPS, LIMIT_PATTERN_WORK);
        default:
                pcre2_get_error_message(code, reason, sizeof(reason));
                return expr_error_set(error, -EINVAL, "PATTERN_LIMIT",
                                      "the pattern for \"%.*s\" can't be matched: %s", SLICE_ARG(shown),
                                      (const char *)reason);
        }
}

int expr_pattern_match(const ExprPattern *p, const ExprPath *field, Slice text, size_t *work_left, bool *ret,
                       ExprError *error) {
        size_t whole = text.n /
                       PATTERN_SCAN_BYTES; /* PCRE2 reads all of it once, to check that it is UTF-8 */
        if (whole > *work_left)
                return match_failed(field, PCRE2_ERROR_MATCHLIMIT, error);
        *work_left -= whole;
        Match match = {.work_left = work_left, .item_cost = p->item_cost + (p->back_references ? whole : 0)};
        pcre2_match_context *context = pcre2_match_context_create(NULL);
        pcre2_match_data *data = pcre2_match_data_create(1, NULL);
        int r = PCRE2_ERROR_NOMEMORY;
        if (context && data) {
                pcre2_set_match_limit(context, LIMIT_PATTERN_MATCH_STEPS);
                pcre2_set_depth_limit(context, LIMIT_PATTERN_MATCH_STEPS);
                pcre2_set_heap_limit(context, PATTERN_HEAP_KIB);
                pcre2_set_callout(context, on_item, &match);
                r = pcre2_match(p->code, (PCRE2_SPTR)text.data, text.n, 0, 0, data, context);
        }
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
        if (r < 0 && r != PCRE2_ERROR_NOMATCH)
                return match_failed(field, r, error);
        *ret = r >= 0;
        return 0;
}
