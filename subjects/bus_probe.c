/*
 * Does this nats-server ask who its clients are?
 *
 * Subjects prove identity only where the server checks them. The server says so in the INFO line that it
 * sends to every new connection, before TLS; the NATS library does not show it. So we look ourselves:
 * connect, read one line, leave.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/url.h"
#include "json/json_read.h"
#include "subjects/bus_probe.h"

#define PROBE_TIMEOUT_MS 2000
#define INFO_BYTES_MAX   (64 * 1024)
#define URL_BYTES_MAX    1024

/** Host and port of @url into @buf. */
static bool split_url(const char *url, char buf[URL_BYTES_MAX], char **ret_host, char **ret_port) {
        url_without_secrets(url, buf, URL_BYTES_MAX);
        char *host = strstr(buf, "://");
        host = host ? host + 3 : buf;
        char *port = strrchr(host, ':');
        if (!port || port == host)
                return false;
        *port++ = 0;
        if (host[0] == '[' && port - host >= 3 && port[-2] == ']') { /* [::1] */
                port[-2] = 0;
                host++;
        }
        *ret_host = host;
        *ret_port = port;
        return true;
}

static int dial(const char *host, const char *port) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
        struct timeval timeout = {.tv_sec = PROBE_TIMEOUT_MS / 1000};
        int fd = -1;
        if (getaddrinfo(host, port, &hints, &list))
                return -EHOSTUNREACH;
        for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
                fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
                if (fd < 0)
                        continue;
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
                setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)); /* bounds connect too */
                if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
                        close(fd);
                        fd = -1;
                }
        }
        freeaddrinfo(list);
        return fd < 0 ? -EHOSTUNREACH : fd;
}

/** The first line that @fd brings. */
static int read_line(int fd, Buf *line) {
        while (line->n < INFO_BYTES_MAX && !(line->n > 0 && memchr(line->data, '\n', line->n))) {
                char *room = buf_extend(line, 4096);
                if (!room)
                        return -ENOMEM;
                ssize_t n = recv(fd, room, 4096, 0);
                line->n -= 4096 - (n > 0 ? (size_t)n : 0);
                if (n <= 0)
                        return -EPROTO;
        }
        return 0;
}

int probe_auth_required(const char *url) {
        char buf[URL_BYTES_MAX], *host, *port;
        _cleanup_(buf_deinit) Buf line = {0};
        if (!split_url(url, buf, &host, &port))
                return -EINVAL;
        int fd = dial(host, port);
        if (fd < 0)
                return fd;
        int r = read_line(fd, &line);
        close(fd);
        if (r < 0)
                return r;
        const char *end = memchr(line.data, '\n', line.n);
        if (!end || line.n < 5 || memcmp(line.data, "INFO ", 5) != 0)
                return -EPROTO;
        json_t *info = json_parse_own((Slice){line.data + 5, (size_t)(end - line.data) - 5});
        r = info ? json_is_true(json_object_get(info, "auth_required")) : -EPROTO;
        json_decref(info);
        return r;
}
