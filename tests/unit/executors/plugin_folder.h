#pragma once
/* A folder with chosen plugins in it, for tests. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN_FOLDER_FILES_MAX 32

typedef struct PluginFolder {
        char path[64];
        char files[PLUGIN_FOLDER_FILES_MAX][64];
        size_t n_files;
} PluginFolder;

static inline bool plugin_folder_make(PluginFolder *f) {
        *f = (PluginFolder){.path = "/tmp/runbook-plugins-XXXXXX"};
        return mkdtemp(f->path) != NULL;
}

/** Put @module there, by a link, under @name. */
static inline bool plugin_folder_add(PluginFolder *f, const char *module, const char *name) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", f->path, name);
        snprintf(f->files[f->n_files++], sizeof(f->files[0]), "%s", name);
        return symlink(module, path) == 0;
}

static inline void plugin_folder_remove(PluginFolder *f) {
        char path[256];
        for (size_t i = 0; i < f->n_files; i++) {
                snprintf(path, sizeof(path), "%s/%s", f->path, f->files[i]);
                unlink(path);
        }
        rmdir(f->path);
}
