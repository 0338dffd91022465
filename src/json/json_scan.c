/* A value ends where its brackets balance outside of strings. */

#include "json/json_scan.h"

/* Few strings have escapes. */
size_t json_scan_skip_string(Slice s, size_t i) {
        const char *begin = s.data + ++i, *quote = i < s.n ? memchr(begin, '"', s.n - i) : NULL;
        if (!quote)
                return s.n;
        if (!memchr(begin, '\\', (size_t)(quote - begin)))
                return (size_t)(quote - s.data) + 1;
        for (; i < s.n && s.data[i] != '"'; i++)
                i += s.data[i] == '\\';
        return i < s.n ? i + 1 : s.n;
}

size_t json_scan_skip_value(Slice s, size_t i) {
        size_t depth = 0;
        while (i < s.n) {
                char c = s.data[i];
                if (c == '"') {
                        i = json_scan_skip_string(s, i);
                } else if (c == '{' || c == '[') {
                        depth++;
                        i++;
                } else if (c == '}' || c == ']') {
                        if (depth == 0)
                                return i; /* the end of what encloses a number or a literal */
                        depth--;
                        i++;
                } else if (depth == 0 && (c == ',' || c == ':' || (unsigned char)c <= ' ')) {
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
        size_t end = json_scan_skip_value(array, i);
        *ret_item = (Slice){array.data + i, end - i};
        *at = end + 1; /* over the comma, or past the end */
        return end > i;
}

size_t json_scan_members(Slice object, const char *const *keys, size_t n_keys, Slice *ret_values) {
        size_t i = 1, n_found = 0;
        for (size_t k = 0; k < n_keys; k++)
                ret_values[k] = SLICE_NULL;
        if (object.n < 2 || object.data[0] != '{')
                return 0;
        while (n_found < n_keys && i < object.n - 1 && object.data[i] == '"') {
                size_t name = i + 1, colon = json_scan_skip_string(object, i);
                size_t end = colon < object.n ? json_scan_skip_value(object, colon + 1) : object.n;
                Slice key = {object.data + name, colon - 1 - name};
                for (size_t k = 0; k < n_keys; k++)
                        if (slice_eq_str(key, keys[k]) && end > colon + 1) {
                                ret_values[k] = (Slice){object.data + colon + 1, end - colon - 1};
                                n_found++;
                        }
                i = end + 1;
        }
        return n_found;
}

bool json_scan_member(Slice object, const char *key, Slice *ret_value) {
        Slice value;
        if (json_scan_members(object, &key, 1, &value) == 0)
                return false;
        *ret_value = value;
        return true;
}

bool json_scan_plain_string(Slice raw, Slice *ret_text) {
        if (raw.n < 2 || raw.data[0] != '"' || memchr(raw.data, '\\', raw.n))
                return false;
        *ret_text = (Slice){raw.data + 1, raw.n - 2};
        return true;
}
