/* Canonical JSON has no blanks, so a value ends where its brackets balance outside of strings. */

#include "json/json_scan.h"

/* Index behind the string that begins at @i; n when it does not end. */
static size_t skip_string(Slice s, size_t i) {
        for (i++; i < s.n && s.data[i] != '"'; i++)
                i += s.data[i] == '\\';
        return i < s.n ? i + 1 : s.n;
}

/* Index behind the value that begins at @i. */
static size_t skip_value(Slice s, size_t i) {
        size_t depth = 0;
        while (i < s.n) {
                char c = s.data[i];
                if (c == '"') {
                        i = skip_string(s, i);
                } else if (c == '{' || c == '[') {
                        depth++;
                        i++;
                } else if (c == '}' || c == ']') {
                        if (depth == 0)
                                return i; /* the end of what encloses a number or a literal */
                        depth--;
                        i++;
                } else if (depth == 0 && (c == ',' || c == ':')) {
                        return i;
                } else {
                        i++;
                        if (depth == 0)
                                continue; /* within a number or a literal */
                }
                if (depth == 0)
                        return i;
        }
        return i;
}

bool json_scan_next(Slice array, size_t *at, Slice *ret_item) {
        size_t i = *at ? *at : 1;
        if (array.n < 2 || array.data[0] != '[' || i >= array.n - 1)
                return false;
        size_t end = skip_value(array, i);
        *ret_item = (Slice){array.data + i, end - i};
        *at = end + 1; /* over the comma, or past the end */
        return end > i;
}

bool json_scan_member(Slice object, const char *key, Slice *ret_value) {
        size_t n_key = strlen(key), i = 1;
        if (object.n < 2 || object.data[0] != '{')
                return false;
        while (i < object.n - 1 && object.data[i] == '"') {
                size_t name = i + 1, colon = skip_string(object, i);
                size_t end = colon < object.n ? skip_value(object, colon + 1) : object.n;
                if (colon - 1 - name == n_key && !memcmp(object.data + name, key, n_key)) {
                        *ret_value = (Slice){object.data + colon + 1, end - colon - 1};
                        return end > colon + 1;
                }
                i = end + 1;
        }
        return false;
}

bool json_scan_plain_string(Slice raw, Slice *ret_text) {
        if (raw.n < 2 || raw.data[0] != '"' || memchr(raw.data, '\\', raw.n))
                return false;
        *ret_text = (Slice){raw.data + 1, raw.n - 2};
        return true;
}
