/*
 * Secrets
 *
 * Read from their files each time they are needed, so a changed file counts from the next call on and
 * nothing lies around in memory. Symbolic links are followed: that is how mounted secrets are swapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/secrets.h"
#include "subjects/names.h"

static bool is_name(Slice name) {
        if (name.n == 0 || name.n > SECRET_NAME_MAX || name.data[0] == '.')
                return false;
        for (size_t i = 0; i < name.n; i++) {
                char c = name.data[i];
                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.'))
                        return false;
        }
        return true;
}

char *secret_read(const char *path) {
        struct stat st;
        char *text = NULL;
        size_t n = 0;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return NULL;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SECRET_BYTES_MAX)
                text = calloc(1, (size_t)st.st_size + 1);
        else
                errno = EINVAL;
        while (text && n < (size_t)st.st_size) {
                ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
                if (got <= 0)
                        break;
                n += (size_t)got;
        }
        close(fd);
        if (text && n > 0 && text[n - 1] == '\n')
                text[n - 1] = 0;
        return text;
}

char *secrets_get(void *userdata, Slice tenant, Slice name) {
        const char *dir = userdata;
        _cleanup_(buf_deinit) Buf path = {0};
        if (!dir || !is_name(name))
                return NULL;
        for (int shared = 0; shared < 2; shared++) {
                buf_reset(&path);
                buf_put_str(&path, dir);
                buf_put_char(&path, '/');
                if (!shared) {
                        if (is_name(tenant))
                                buf_put_slice(&path, tenant);
                        else
                                name_put_token(&path, tenant);
                        buf_put_char(&path, '/');
                }
                buf_put_slice(&path, name);
                buf_put_char(&path, 0);
                if (path.error)
                        return NULL;
                char *text = secret_read(path.data);
                if (text)
                        return text;
                if (errno != ENOENT && errno != ENOTDIR)
                        log_event(LOG_ERROR, "a secret can't be read", "file", path.data, "error",
                                  strerror(errno), NULL);
        }
        return NULL;
}
