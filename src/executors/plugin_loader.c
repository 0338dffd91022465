/*
 * Loading plugins
 *
 * Every *.so of the folder is loaded, in the order of names, and all faults of all of them are told at once:
 * the engine starts with all of its plugins or not at all, because steps that find no plugin would go to
 * remote workers that nobody meant.
 *
 * Loading runs code of the plugin. So whoever may write there is the engine; a folder or file that everybody
 * may write is refused.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "executors/plugin_internal.h"

static bool is_plugin_name(Slice name) { return slice_ends_with(name, SLICE(".so")) && name.data[0] != '.'; }

/* ---- one file ------------------------------------------------------------------------------------------ */

static int check_file(const char *path, Buf *b) {
        struct stat st;
        if (stat(path, &st) < 0)
                buf_printf(b, "it can't be read: %s", strerror(errno));
        else if (!S_ISREG(st.st_mode))
                buf_put_str(b, "it is no plain file; remove or rename it");
        else if (st.st_mode & S_IWOTH)
                buf_put_str(b, "everybody may write to it, and so run code in the engine; chmod o-w");
        else
                return 0;
        return -EINVAL;
}

static int load(PluginSet *set, Plugin *p, Buf *b) {
        _cleanup_(buf_deinit) Buf path = {0};
        buf_printf(&path, "%s/%s", set->dir, p->file);
        buf_put_char(&path, '\0');
        if (path.error)
                return path.error;
        int r = check_file(path.data, b);
        if (r < 0)
                return r;
        p->handle = dlopen(path.data, RTLD_NOW | RTLD_LOCAL);
        if (!p->handle) {
                const char *why = dlerror();
                buf_printf(b,
                           "it can't be loaded: %s; build it for this machine, and install the libraries it "
                           "needs",
                           why ? why : "?");
                return -EINVAL;
        }
        RunbookPluginEntry entry = NULL;
        *(void **)&entry = dlsym(p->handle, RUNBOOK_PLUGIN_ENTRY);
        if (!entry) {
                buf_put_str(b, "it exports no function " RUNBOOK_PLUGIN_ENTRY
                               "; define it with RUNBOOK_PLUGIN_EXPORT");
                return -EINVAL;
        }
        const RunbookPlugin *abi = entry();
        if (abi)
                return plugin_take_descriptor(p, abi, b);
        buf_put_str(b, "its " RUNBOOK_PLUGIN_ENTRY " returned NULL instead of a descriptor");
        return -EINVAL;
}

/** No two plugins may offer the same type. */
static int add_types(PluginSet *set, Plugin *p, Buf *b) {
        for (size_t i = 0; i < p->n_types; i++) {
                Slice name = slice_from_str(p->types[i].abi.type);
                const PluginType *other = map_get(&set->types, name);
                if (other) {
                        buf_printf(b, "the type \"%s\" is offered by %s already; remove one of the two",
                                   name.data, other->plugin->file);
                        return -EINVAL;
                }
                if (map_put(&set->types, name, &p->types[i]) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int init(Plugin *p, Buf *b) {
        int r = p->abi.init ? p->abi.init() : 0;
        p->is_ready = r == 0;
        if (r != 0)
                buf_printf(b, "its init returned %d: %s %s can't be used as things are", r, p->abi.name,
                           p->abi.version);
        return p->is_ready ? 0 : -EINVAL;
}

/* ---- the folder ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
        return strcmp(((const Plugin *)a)->file, ((const Plugin *)b)->file);
}

static int note_file(PluginSet *set, const char *name, Report *report) {
        if (set->n_plugins == PLUGIN_FILES_MAX)
                return report_set(report, RUNBOOK_LIMIT_EXCEEDED,
                                  "PLUGIN_DIR %s has more than the %d plugins allowed", set->dir,
                                  PLUGIN_FILES_MAX);
        Plugin *plugins = reallocarray(set->plugins, set->n_plugins + 1, sizeof(*plugins));
        if (!plugins)
                return -ENOMEM;
        set->plugins = plugins;
        plugins[set->n_plugins] = (Plugin){.file = strdup(name)};
        return plugins[set->n_plugins++].file ? 0 : -ENOMEM;
}

static int list_files(PluginSet *set, Report *report) {
        struct stat st;
        DIR *folder = opendir(set->dir);
        if (!folder || fstat(dirfd(folder), &st) < 0) {
                int error = errno;
                if (folder)
                        closedir(folder);
                return report_set(report, RUNBOOK_INVALID_REQUEST, "PLUGIN_DIR %s can't be read: %s",
                                  set->dir, strerror(error));
        }
        int r = 0;
        if (st.st_mode & S_IWOTH)
                r = report_set(report, RUNBOOK_INVALID_REQUEST,
                               "PLUGIN_DIR %s: everybody may write there, and so run code in the engine; "
                               "chmod o-w",
                               set->dir);
        for (struct dirent *d; r == 0 && (d = readdir(folder));)
                if (is_plugin_name(slice_from_str(d->d_name)))
                        r = note_file(set, d->d_name, report);
        closedir(folder);
        if (r == 0 && set->n_plugins > 0)
                qsort(set->plugins, set->n_plugins, sizeof(*set->plugins), by_name);
        return r;
}

/** All faults in one sentence for people who see only that, and one by one as details. */
static int report_faults(const PluginSet *set, size_t n_faults, const Buf *all, Report *report) {
        if (all->error)
                return all->error;
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "PLUGIN_DIR %s: %zu of %zu plugins can't be used. %.*s", set->dir, n_faults,
                          set->n_plugins, SLICE_ARG(buf_slice(all)));
}

int plugin_set_load(PluginSet *set, const char *dir, uint64_t seed0, uint64_t seed1, Report *report) {
        _cleanup_(buf_deinit) Buf all = {0};
        size_t n_faults = 0;
        map_init(&set->types, seed0, seed1);
        set->dir = strdup(dir ? dir : "");
        if (!set->dir)
                return -ENOMEM;
        int r = *set->dir ? list_files(set, report) : 0;
        for (size_t i = 0; r == 0 && i < set->n_plugins; i++) {
                _cleanup_(buf_deinit) Buf fault = {0};
                Plugin *p = &set->plugins[i];
                r = load(set, p, &fault);
                r = r ? r : add_types(set, p, &fault);
                r = r ? r : init(p, &fault);
                if (r == -EINVAL) {
                        n_faults++;
                        report_detail(report, p->file, "%.*s", SLICE_ARG(buf_slice(&fault)));
                        buf_printf(&all, "%s%s: %.*s.", all.n ? " " : "", p->file,
                                   SLICE_ARG(buf_slice(&fault)));
                        r = fault.error;
                }
        }
        return r == 0 && n_faults > 0 ? report_faults(set, n_faults, &all, report) : r;
}

void plugin_set_unload(PluginSet *set) {
        map_deinit(&set->types);
        for (size_t i = set->n_plugins; i-- > 0;) {
                Plugin *p = &set->plugins[i];
                if (p->is_ready && p->abi.fini)
                        p->abi.fini();
                for (size_t k = 0; k < p->n_types; k++)
                        schema_unref(p->types[k].config_schema);
                free(p->types);
                if (p->handle)
                        dlclose(p->handle);
                free(p->file);
        }
        free(set->plugins);
        free(set->dir);
        *set = (PluginSet){0};
}

PluginType *plugin_set_find(const PluginSet *set, Slice type_name) { return map_get(&set->types, type_name); }
