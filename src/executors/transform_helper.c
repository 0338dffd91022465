/*
 * Where runbook-jq is
 *
 * The setting if there is one; else beside the running program, so that a build tree and a moved installation
 * work; else where it was to be installed.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executors/transform_internal.h"

#ifndef RUNBOOK_JQ_INSTALLED
#error "RUNBOOK_JQ_INSTALLED: where runbook-jq will be installed"
#endif

/** NULL: it can be run. Else why not. */
static const char *refuses(const char *path) {
        struct stat st;
        if (stat(path, &st) < 0 || access(path, X_OK) < 0)
                return strerror(errno);
        return S_ISREG(st.st_mode) ? NULL : "not a plain file";
}

/** The folder of the running program, without a slash at its end; "" if it can't be told. */
static void own_folder(char ret[PATH_MAX]) {
        ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
        ret[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(ret, '/');
        if (slash)
                *slash = '\0';
}

static int take(TransformEngine *e, const char *path) {
        int n = snprintf(e->helper, sizeof(e->helper), "%s", path);
        return n > 0 && (size_t)n < sizeof(e->helper) ? 0 : -ENAMETOOLONG;
}

int transform_helper_find(TransformEngine *e, const char *wanted, Report *report) {
        static const char *const beside[] = {"", "/../libexec", "/../executors"};
        char folder[PATH_MAX], path[PATH_MAX + 64];
        if (wanted && *wanted) {
                const char *why = refuses(wanted);
                return why ? report_set(report, RUNBOOK_INVALID_REQUEST,
                                        "RUNBOOK_JQ_PATH: %s can't be run: %s", wanted, why)
                           : take(e, wanted);
        }
        own_folder(folder);
        for (size_t i = 0; *folder && i < N_ELEMENTS(beside); i++) {
                snprintf(path, sizeof(path), "%s%s/runbook-jq", folder, beside[i]);
                if (!refuses(path))
                        return take(e, path);
        }
        if (!refuses(RUNBOOK_JQ_INSTALLED))
                return take(e, RUNBOOK_JQ_INSTALLED);
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "the helper program of transform steps, runbook-jq, is neither beside this program "
                          "(%s) "
                          "nor at %s; install it or say in RUNBOOK_JQ_PATH where it is",
                          *folder ? folder : "?", RUNBOOK_JQ_INSTALLED);
}
