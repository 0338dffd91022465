/*
 * Is what a plugin says of itself good?
 *
 * A descriptor was made by another build, maybe against another header, so it is read as far as it says that
 * it goes, and nothing in it is used before it was looked at. Each fault is the end of a sentence that begins
 * with the file, and says what to do.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "executors/plugin_internal.h"

#define REBUILD "build it again with this engine's runbook/executor.h"

static int fault(Buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fault(Buf *b, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        buf_vprintf(b, format, ap);
        va_end(ap);
        return b->error ? b->error : -EINVAL;
}

static bool is_name(const char *name) {
        Slice s = {name, name ? strnlen(name, PLUGIN_NAME_MAX + 1) : 0};
        return s.n > 0 && s.n <= PLUGIN_NAME_MAX && slice_is_utf8(s);
}

/** As definitions have it. */
static bool is_type_name(Slice name) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:";
        Slice prefix = SLICE("custom:");
        if (!slice_starts_with(name, prefix))
                return false;
        const char *rest = name.data + prefix.n;
        size_t n = strlen(rest);
        return n > 0 && n <= LIMIT_ID_BYTES && strspn(rest, letters) == n && !strchr("-.:", *rest);
}

static int take_type(Plugin *p, size_t i, const void *abi, Buf *b) {
        PluginType *t = &p->types[i];
        size_t n = p->abi.type_size < sizeof(t->abi) ? p->abi.type_size : sizeof(t->abi);
        memcpy(&t->abi, abi, n);
        t->plugin = p;
        if (!t->abi.type)
                return fault(b, "its type number %zu has no name: set .type to \"custom:<name>\"", i + 1);
        if (!is_type_name(slice_from_str(t->abi.type)))
                return fault(b,
                             "the type \"%.200s\" must be \"custom:\" and 1 to %d characters of A–Z a–z 0–9 "
                             "_ - . : that "
                             "don't begin with - . or :; rename it",
                             t->abi.type, LIMIT_ID_BYTES);
        if (!t->abi.execute)
                return fault(b, "the type \"%s\" has no function that runs it: set .execute", t->abi.type);
        for (size_t k = 0; k < i; k++)
                if (!strcmp(p->types[k].abi.type, t->abi.type))
                        return fault(b, "it offers the type \"%s\" twice; remove one of them", t->abi.type);
        return t->abi.config_schema ? plugin_config_compile(t, b) : 0;
}

static int check_head(const RunbookPlugin *abi, Buf *b) {
        if (abi->abi != RUNBOOK_PLUGIN_ABI)
                return fault(b,
                             "it was made for version %u of the plugin ABI, this engine has version "
                             "%u; " REBUILD,
                             abi->abi, RUNBOOK_PLUGIN_ABI);
        if (abi->struct_size < sizeof(RunbookPlugin))
                return fault(b,
                             "its descriptor has %zu bytes, %zu are needed; set .struct_size to "
                             "sizeof(RunbookPlugin), "
                             "or " REBUILD,
                             abi->struct_size, sizeof(RunbookPlugin));
        if (abi->type_size < sizeof(RunbookPluginType))
                return fault(b,
                             "its types have %zu bytes each, %zu are needed; set .type_size to "
                             "sizeof(RunbookPluginType), or " REBUILD,
                             abi->type_size, sizeof(RunbookPluginType));
        if (!is_name(abi->name))
                return fault(b, "its descriptor needs a .name of 1 to %d bytes", PLUGIN_NAME_MAX);
        if (!is_name(abi->version))
                return fault(b, "its descriptor needs a .version of 1 to %d bytes", PLUGIN_NAME_MAX);
        if (!abi->types || abi->n_types == 0 || abi->n_types > PLUGIN_TYPES_MAX)
                return fault(b, "it offers %zu types; set .types and .n_types to 1 to %d of them",
                             abi->types ? abi->n_types : 0, PLUGIN_TYPES_MAX);
        return 0;
}

int plugin_take_descriptor(Plugin *p, const RunbookPlugin *abi, Buf *b) {
        int r = check_head(abi, b);
        if (r < 0)
                return r;
        p->abi = *abi;
        p->types = calloc(abi->n_types, sizeof(*p->types));
        if (!p->types)
                return -ENOMEM;
        for (size_t i = 0; i < abi->n_types; i++) {
                p->n_types = i + 1;
                r = take_type(p, i, (const char *)abi->types + i * abi->type_size, b);
                if (r < 0)
                        return r;
        }
        return 0;
}
