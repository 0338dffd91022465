/*
 * ECMAScript's regular expressions
 *
 * Both dialects look alike and differ in what is behind the looks: \v, \s and . mean other characters,
 * [[:x:]] and (*X) mean something only in PCRE2, \Z only there too. So each pattern is read by ECMAScript's
 * grammar (ECMA-262, 22.2.1) in one pass and written anew, out of pieces that PCRE2 understands in the same
 * way. What ECMAScript doesn't know is refused, which keeps out recursion, verbs and callouts.
 *
 * Read as the `u` flag has it, with three habits let pass that are common in schemas: punctuation escaped
 * without need, braces and closing brackets that stand for themselves, a hyphen beside a set (`[\w-.]`).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/ecma.h"

#define CODE_POINT_MAX     0x10ffff
#define PROPERTY_BYTES_MAX 64

typedef struct Ecma {
        const char *text;
        size_t n, at;
        Buf *b;
        const char *fault;
        size_t fault_at;
} Ecma;

/** What an escape or a member of a class stands for. */
typedef struct Atom {
        enum { ATOM_CHARACTER, ATOM_SET } kind;
        uint32_t character;
        char set[PROPERTY_BYTES_MAX + 16]; /* as it stands in a PCRE2 class */
        const char *long_set;              /* instead of set */
} Atom;

static const char blanks[] =
                "\\t-\\r\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"
                "\\x{3000}\\x{feff}";
static const char not_blanks[] =
                "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
                "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
                "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}";

/** Names of general categories (Unicode's PropertyValueAliases), alphabetical. */
static const struct Category {
        const char *name, *code;
} categories[] = {
                {"Cased_Letter", "L&"},
                {"Close_Punctuation", "Pe"},
                {"Combining_Mark", "M"},
                {"Connector_Punctuation", "Pc"},
                {"Control", "Cc"},
                {"Currency_Symbol", "Sc"},
                {"Dash_Punctuation", "Pd"},
                {"Decimal_Number", "Nd"},
                {"Enclosing_Mark", "Me"},
                {"Final_Punctuation", "Pf"},
                {"Format", "Cf"},
                {"Initial_Punctuation", "Pi"},
                {"LC", "L&"},
                {"Letter", "L"},
                {"Letter_Number", "Nl"},
                {"Line_Separator", "Zl"},
                {"Lowercase_Letter", "Ll"},
                {"Mark", "M"},
                {"Math_Symbol", "Sm"},
                {"Modifier_Letter", "Lm"},
                {"Modifier_Symbol", "Sk"},
                {"Nonspacing_Mark", "Mn"},
                {"Number", "N"},
                {"Open_Punctuation", "Ps"},
                {"Other", "C"},
                {"Other_Letter", "Lo"},
                {"Other_Number", "No"},
                {"Other_Punctuation", "Po"},
                {"Other_Symbol", "So"},
                {"Paragraph_Separator", "Zp"},
                {"Private_Use", "Co"},
                {"Punctuation", "P"},
                {"Separator", "Z"},
                {"Space_Separator", "Zs"},
                {"Spacing_Mark", "Mc"},
                {"Surrogate", "Cs"},
                {"Symbol", "S"},
                {"Titlecase_Letter", "Lt"},
                {"Unassigned", "Cn"},
                {"Uppercase_Letter", "Lu"},
                {"cntrl", "Cc"},
                {"digit", "Nd"},
                {"punct", "P"},
};

static bool fail(Ecma *e, size_t at, const char *sentence) {
        if (!e->fault) {
                e->fault = sentence;
                e->fault_at = at;
        }
        return false;
}

static int peek(const Ecma *e, size_t ahead) {
        return e->at + ahead < e->n ? (unsigned char)e->text[e->at + ahead] : -1;
}

static bool accept(Ecma *e, const char *token) {
        if (!slice_starts_with((Slice){e->text + e->at, e->n - e->at}, slice_from_str(token)))
                return false;
        e->at += strlen(token);
        return true;
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_word(int c) { return is_digit(c) || is_letter(c) || c == '_'; }

/** Of a byte, or of the negative number behind the end. */
static int hex_value(int c) { return c < 0 ? -1 : slice_hex_digit((char)c); }

/** Exactly @n hexadecimal digits. */
static bool take_hex(Ecma *e, unsigned n, uint32_t *ret) {
        uint32_t v = 0;
        for (unsigned i = 0; i < n; i++) {
                int digit = hex_value(peek(e, i));
                if (digit < 0)
                        return false;
                v = v << 4 | (uint32_t)digit;
        }
        e->at += n;
        *ret = v;
        return true;
}

/** One character of the pattern, which is UTF-8. */
static uint32_t take_character(Ecma *e) {
        unsigned char c = (unsigned char)e->text[e->at++];
        unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        uint32_t v = more == 0 ? c : c & (0x3fu >> more);
        while (more-- > 0 && e->at < e->n)
                v = v << 6 | ((unsigned char)e->text[e->at++] & 0x3f);
        return v;
}

static void put_character(Ecma *e, uint32_t c) {
        if (c < 0x80 && is_word((int)c))
                buf_put_char(e->b, (char)c);
        else
                buf_printf(e->b, "\\x{%x}", c);
}

/** After \u. */
static bool take_unicode(Ecma *e, size_t start, uint32_t *ret) {
        if (accept(e, "{")) {
                uint32_t v = 0;
                size_t first = e->at;
                for (; hex_value(peek(e, 0)) >= 0 && v <= CODE_POINT_MAX; e->at++)
                        v = v << 4 | (uint32_t)hex_value(peek(e, 0));
                if (e->at == first || v > CODE_POINT_MAX || !accept(e, "}"))
                        return fail(e, start, "\\u{…} takes the hexadecimal number of a character");
                *ret = v;
        } else if (!take_hex(e, 4, ret)) {
                return fail(e, start, "\\u is followed by four hexadecimal digits, or by them in braces");
        }
        uint32_t low;
        if (*ret >= 0xd800 && *ret < 0xdc00 && accept(e, "\\u") && take_hex(e, 4, &low) && low >= 0xdc00 &&
            low < 0xe000)
                *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
        if (*ret >= 0xd800 && *ret < 0xe000)
                return fail(e, start, "half a surrogate pair is no character");
        return true;
}

static int category_cmp(const void *key, const void *category) {
        return strcmp(key, ((const struct Category *)category)->name);
}

static const char *category_code(const char *name) {
        const struct Category *c =
                        bsearch(name, categories, N_ELEMENTS(categories), sizeof(*categories), category_cmp);
        return c ? c->code : name;
}

/** After \p or \P: {Name} or {Name=Value}. */
static bool take_property(Ecma *e, size_t start, bool negated, Atom *ret) {
        char name[PROPERTY_BYTES_MAX + 1], *value = NULL;
        size_t n = 0;
        bool begun = accept(e, "{");
        for (; begun && n < PROPERTY_BYTES_MAX && (is_word(peek(e, 0)) || peek(e, 0) == '='); e->at++) {
                name[n] = e->text[e->at];
                if (name[n] == '=' && !value) {
                        name[n] = '\0';
                        value = name + n + 1;
                }
                n++;
        }
        name[n] = '\0';
        if (!begun || n == 0 || (value && (!*value || strchr(value, '='))) || !accept(e, "}"))
                return fail(e, start, "\\p is followed by the name of a property in braces");
        const char *prefix = "", *property = category_code(value ? value : name);
        if (value && (!strcmp(name, "Script") || !strcmp(name, "sc")))
                prefix = "sc:", property = value;
        else if (value && (!strcmp(name, "Script_Extensions") || !strcmp(name, "scx")))
                prefix = "scx:", property = value;
        else if (value && strcmp(name, "General_Category") != 0 && strcmp(name, "gc") != 0)
                return fail(e, start, "only General_Category, Script and Script_Extensions take a value");
        else if (!value && !strcmp(name, "Assigned"))
                negated = !negated, property = "Cn";
        snprintf(ret->set, sizeof(ret->set), "\\%c{%s%s}", negated ? 'P' : 'p', prefix, property);
        return true;
}

/** An escape that is the same inside and outside of classes; the backslash is taken. */
static bool take_escape(Ecma *e, Atom *ret) {
        static const struct {
                char letter;
                uint8_t character;
        } controls[] = {{'f', 0x0c}, {'n', 0x0a}, {'r', 0x0d}, {'t', 0x09}, {'v', 0x0b}};
        size_t start = e->at - 1;
        int c = peek(e, 0);
        *ret = (Atom){.kind = ATOM_CHARACTER};
        if (c < 0)
                return fail(e, start, "the backslash at the end escapes nothing");
        for (size_t i = 0; i < N_ELEMENTS(controls); i++)
                if (c == controls[i].letter) {
                        ret->character = controls[i].character;
                        e->at++;
                        return true;
                }
        if (!is_letter(c) && !is_digit(c)) {
                ret->character = take_character(e);
                return true;
        }
        e->at++;
        switch (c) {
        case 'd':
        case 'D':
        case 'w':
        case 'W':
                ret->kind = ATOM_SET;
                snprintf(ret->set, sizeof(ret->set), "\\%c", c);
                return true;
        case 's':
        case 'S':
                ret->kind = ATOM_SET;
                ret->long_set = c == 's' ? blanks : not_blanks;
                return true;
        case 'p':
        case 'P':
                ret->kind = ATOM_SET;
                return take_property(e, start, c == 'P', ret);
        case 'u':
                return take_unicode(e, start, &ret->character);
        case 'x':
                return take_hex(e, 2, &ret->character) ||
                       fail(e, start, "\\x is followed by two hexadecimal digits");
        case 'c':
                if (!is_letter(peek(e, 0)))
                        return fail(e, start, "\\c is followed by a letter");
                ret->character = (uint32_t)e->text[e->at++] & 0x1f;
                return true;
        case '0':
                return !is_digit(peek(e, 0)) || fail(e, start, "there are no octal escapes");
        default:
                return fail(e, start, "ECMAScript has no such escape");
        }
}

static bool take_class_atom(Ecma *e, Atom *ret) {
        if (!accept(e, "\\")) {
                *ret = (Atom){.kind = ATOM_CHARACTER, .character = take_character(e)};
                return true;
        }
        if (accept(e, "b")) {
                *ret = (Atom){.kind = ATOM_CHARACTER, .character = 0x08};
                return true;
        }
        return take_escape(e, ret);
}

static void put_class_atom(Ecma *e, const Atom *a) {
        if (a->kind == ATOM_CHARACTER)
                put_character(e, a->character);
        else
                buf_put_str(e->b, a->long_set ? a->long_set : a->set);
}

/** The opening bracket is taken. */
static bool take_class(Ecma *e) {
        size_t start = e->at - 1;
        bool negated = accept(e, "^");
        if (accept(e, "]")) { /* nothing, or anything */
                buf_put_str(e->b, negated ? "[\\x{0}-\\x{10ffff}]" : "(?!)");
                return true;
        }
        buf_put_str(e->b, negated ? "[^" : "[");
        while (!accept(e, "]")) {
                Atom low, high;
                size_t at = e->at;
                if (e->at >= e->n)
                        return fail(e, start, "the class has no closing bracket");
                if (!take_class_atom(e, &low))
                        return false;
                put_class_atom(e, &low);
                if (peek(e, 0) != '-' || peek(e, 1) < 0 || peek(e, 1) == ']')
                        continue;
                e->at++;
                if (low.kind == ATOM_SET) { /* the hyphen stands for itself, and begins no range either */
                        put_character(e, '-');
                        continue;
                }
                if (!take_class_atom(e, &high))
                        return false;
                if (high.kind == ATOM_CHARACTER && high.character < low.character)
                        return fail(e, at, "the range is out of order");
                if (high.kind == ATOM_CHARACTER)
                        buf_put_char(e->b, '-');
                else
                        put_character(e, '-');
                put_class_atom(e, &high);
        }
        buf_put_char(e->b, ']');
        return true;
}

/** `name>`, after (?< or \k<. */
static bool take_name(Ecma *e, size_t start) {
        size_t first = e->at;
        while (is_word(peek(e, 0)))
                e->at++;
        if (e->at == first || is_digit((unsigned char)e->text[first]) || peek(e, 0) != '>')
                return fail(e, start, "a group's name has letters, digits and _, and ends in >");
        e->at++;
        buf_put(e->b, e->text + first, e->at - first);
        return true;
}

/** The opening parenthesis is taken. */
static bool take_group(Ecma *e) {
        static const char *const openings[] = {"?:", "?=", "?!", "?<=", "?<!"};
        size_t start = e->at - 1;
        buf_put_char(e->b, '(');
        if (peek(e, 0) != '?')
                return true;
        for (size_t i = 0; i < N_ELEMENTS(openings); i++)
                if (accept(e, openings[i])) {
                        buf_put_str(e->b, openings[i]);
                        return true;
                }
        if (!accept(e, "?<"))
                return fail(e, start, "ECMAScript has no group that begins so");
        buf_put_str(e->b, "?<");
        return take_name(e, start);
}

/** Outside of a class; the backslash is taken. *ret_repeatable: may a quantifier follow? */
static bool take_atom_escape(Ecma *e, bool *ret_repeatable) {
        size_t start = e->at - 1;
        Atom atom;
        if (peek(e, 0) == 'b' || peek(e, 0) == 'B') {
                buf_printf(e->b, "\\%c", e->text[e->at++]);
                *ret_repeatable = false;
                return true;
        }
        if (accept(e, "k<")) {
                buf_put_str(e->b, "\\k<");
                return take_name(e, start);
        }
        if (is_digit(peek(e, 0)) && peek(e, 0) != '0') {
                buf_put_str(e->b, "\\g{");
                while (is_digit(peek(e, 0)))
                        buf_put_char(e->b, e->text[e->at++]);
                buf_put_char(e->b, '}');
                return true;
        }
        if (!take_escape(e, &atom))
                return false;
        if (atom.long_set)
                buf_printf(e->b, "[%s]", atom.long_set);
        else
                put_class_atom(e, &atom);
        return true;
}

/** Length of `{n}`, `{n,}` or `{n,m}` here; 0: the brace stands for itself. */
static size_t counted_repeat(const Ecma *e) {
        size_t i = 1;
        while (is_digit(peek(e, i)))
                i++;
        if (i == 1)
                return 0;
        if (peek(e, i) == ',')
                i++;
        while (is_digit(peek(e, i)))
                i++;
        return peek(e, i) == '}' ? i + 1 : 0;
}

static bool take_quantifier(Ecma *e, size_t n, bool repeatable) {
        if (!repeatable)
                return fail(e, e->at, "there is nothing to repeat");
        buf_put(e->b, e->text + e->at, n);
        e->at += n;
        if (accept(e, "?"))
                buf_put_char(e->b, '?');
        return true;
}

/** One term, assertion or quantifier. */
static bool take_next(Ecma *e, size_t *depth, bool *repeatable) {
        int c = peek(e, 0);
        size_t counted = c == '{' ? counted_repeat(e) : 0;
        if (counted > 0 || c == '*' || c == '+' || c == '?') {
                bool ok = take_quantifier(e, counted ? counted : 1, *repeatable);
                *repeatable = false;
                return ok;
        }
        uint32_t character = take_character(e);
        *repeatable = true;
        switch (c) {
        case '\\':
                return take_atom_escape(e, repeatable);
        case '[':
                return take_class(e);
        case '.':
                buf_put_str(e->b, "[^\\n\\r\\x{2028}\\x{2029}]");
                return true;
        case '(':
                ++*depth;
                *repeatable = false;
                return take_group(e);
        case ')':
                if (*depth == 0)
                        return fail(e, e->at - 1, "the parenthesis closes nothing");
                --*depth;
                buf_put_char(e->b, ')');
                return true;
        case '|':
        case '^':
        case '$':
                *repeatable = false;
                buf_put_char(e->b, (char)c);
                return true;
        default:
                put_character(e, character);
                return true;
        }
}

const char *ecma_translate(Buf *b, Slice pattern, size_t *ret_at) {
        Ecma e = {.text = pattern.data, .n = pattern.n, .b = b};
        size_t depth = 0;
        bool repeatable = false;
        while (e.at < e.n && take_next(&e, &depth, &repeatable) && !b->error)
                ;
        if (!e.fault && depth > 0 && !b->error)
                fail(&e, e.n, "a parenthesis is not closed");
        *ret_at = e.fault_at;
        return e.fault;
}
