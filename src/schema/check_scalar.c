/* Checks of any value (type, const, enum), of numbers and of strings. */

#include <stdio.h>

#include "json/number.h"
#include "schema/eval.h"

#define CHARACTER_BYTES_MAX 4
#define BYTES_A_STEP        64 /* when characters are counted */

/* --- any value --- */

static int evaluate_type(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        unsigned mask = c->types.mask;
        bool whole = !(mask & TYPE_WHOLE) || !json_is_number(at->value) ||
                     number_is_whole(number_of(at->value));
        if ((mask & TYPE_BIT(json_typeof(at->value))) && whole)
                return 0;
        return eval_fault(e, f, "type", at, "must be %s, is %s", c->types.shown,
                          whole ? json_type_text(at->value) : "a number with a fraction");
}

/** Is the value among the check's? 0 or 1, or negative. */
static int is_among(Eval *e, const Check *c, const JsonAt *at) {
        int r = eval_key(e, at, at->value, c->values.longest ? c->values.longest : 1);
        if (r != 0)
                return r < 0 ? r : 0;
        Slice key = buf_slice(&e->key);
        size_t low = 0, high = c->values.n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = slice_cmp(c->values.keys[middle], key);
                if (order == 0)
                        return 1;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return 0;
}

static int evaluate_const(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int r = is_among(e, c, at);
        if (r != 0)
                return r < 0 ? r : 0;
        return eval_fault(e, f, "const", at, "must be %s", c->values.shown);
}

static int evaluate_enum(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int r = is_among(e, c, at);
        if (r != 0)
                return r < 0 ? r : 0;
        return eval_fault(e, f, "enum", at, "must be one of %s", c->values.shown);
}

const CheckKind check_type = {"type", TYPES_ANY, RANK_TYPE, FORM_PLAIN, evaluate_type};
const CheckKind check_const = {"const", TYPES_ANY, RANK_VALUE, FORM_PLAIN, evaluate_const};
const CheckKind check_enum = {"enum", TYPES_ANY, RANK_VALUE, FORM_PLAIN, evaluate_enum};

/* --- numbers --- */

#define NUMBER_SHOWN (NUMBER_TEXT_MAX + 1)

static const char *shown(Number n, char text[NUMBER_SHOWN]) {
        if (n.is_i64)
                snprintf(text, NUMBER_SHOWN, "%lld", (long long)n.i);
        else
                text[number_format(n.d, text)] = '\0';
        return text;
}

/** @sentence is how the limit @c relates to what is wanted. */
static int number_fault(Eval *e, const Frame *f, const Check *c, const JsonAt *at, const char *sentence) {
        char limit[NUMBER_SHOWN], is[NUMBER_SHOWN];
        if (!eval_is_loud(e, f)) /* spare the text */
                return eval_fault(e, f, c->kind->keyword, at, "%s", sentence);
        return eval_fault(e, f, c->kind->keyword, at, "must be %s %s, is %s", sentence,
                          shown(c->number, limit), shown(number_of(at->value), is));
}

static int evaluate_minimum(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return number_cmp(number_of(at->value), c->number) >= 0 ? 0 : number_fault(e, f, c, at, "at least");
}

static int evaluate_maximum(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return number_cmp(number_of(at->value), c->number) <= 0 ? 0 : number_fault(e, f, c, at, "at most");
}

static int evaluate_exclusive_minimum(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return number_cmp(number_of(at->value), c->number) > 0 ? 0
                                                               : number_fault(e, f, c, at, "greater than");
}

static int evaluate_exclusive_maximum(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return number_cmp(number_of(at->value), c->number) < 0 ? 0 : number_fault(e, f, c, at, "less than");
}

static int evaluate_multiple_of(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return number_is_multiple(number_of(at->value), c->number)
                               ? 0
                               : number_fault(e, f, c, at, "a multiple of");
}

const CheckKind check_minimum = {"minimum", TYPES_NUMBER, RANK_VALUE, FORM_PLAIN, evaluate_minimum};
const CheckKind check_maximum = {"maximum", TYPES_NUMBER, RANK_VALUE, FORM_PLAIN, evaluate_maximum};
const CheckKind check_exclusive_minimum = {"exclusiveMinimum", TYPES_NUMBER, RANK_VALUE, FORM_PLAIN,
                                           evaluate_exclusive_minimum};
const CheckKind check_exclusive_maximum = {"exclusiveMaximum", TYPES_NUMBER, RANK_VALUE, FORM_PLAIN,
                                           evaluate_exclusive_maximum};
const CheckKind check_multiple_of = {"multipleOf", TYPES_NUMBER, RANK_VALUE, FORM_PLAIN,
                                     evaluate_multiple_of};

/* --- strings --- */

static size_t count_characters(Slice s) {
        size_t n = 0;
        for (size_t i = 0; i < s.n; i++)
                n += (s.data[i] & 0xc0) != 0x80;
        return n;
}

static int characters(Eval *e, const JsonAt *at, uint64_t *ret) {
        Slice s = json_string_slice(at->value);
        int r = eval_charge(e, at, s.n / BYTES_A_STEP);
        if (r == 0)
                *ret = count_characters(s);
        return r;
}

static int evaluate_min_length(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        Slice s = json_string_slice(at->value);
        if (s.n / CHARACTER_BYTES_MAX >= c->count) /* at least that many, whatever they are */
                return 0;
        uint64_t n = 0;
        int r = characters(e, at, &n);
        if (r < 0 || n >= c->count)
                return r;
        return eval_fault(e, f, "minLength", at, "must have at least %llu characters, has %llu",
                          (unsigned long long)c->count, (unsigned long long)n);
}

static int evaluate_max_length(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        Slice s = json_string_slice(at->value);
        if (s.n <= c->count)
                return 0;
        uint64_t n = 0;
        int r = characters(e, at, &n);
        if (r < 0 || n <= c->count)
                return r;
        return eval_fault(e, f, "maxLength", at, "must have at most %llu characters, has %llu",
                          (unsigned long long)c->count, (unsigned long long)n);
}

static int evaluate_pattern(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int r = eval_match(e, at, c->pattern.pattern, json_string_slice(at->value));
        if (r != 0)
                return r < 0 ? r : 0;
        return eval_fault(e, f, "pattern", at, "must match the pattern %s", c->pattern.shown);
}

const CheckKind check_min_length = {"minLength", TYPES_STRING, RANK_SIZE, FORM_PLAIN, evaluate_min_length};
const CheckKind check_max_length = {"maxLength", TYPES_STRING, RANK_SIZE, FORM_PLAIN, evaluate_max_length};
const CheckKind check_pattern = {"pattern", TYPES_STRING, RANK_PATTERN, FORM_PLAIN, evaluate_pattern};
