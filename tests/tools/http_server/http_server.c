/*
 * A misbehaving HTTP server
 *
 * One thread, epoll, HTTP/1.1 with keep-alive and pipelining. What it does wrong is asked for by the path
 * (behaviours.c), so that one server serves tests, demonstrations and measurements alike. It binds to the
 * loopback interface and ends with its parent (--die-with-parent), at SIGTERM, or when asked with /exit.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define EVENTS_MAX 512
#define READ_CHUNK 16384
#define MORE_MAX 16          /* helpings in a row to one connection */
#define OUT_KEPT (64 << 10) /* larger buffers are given back after use */

static int64_t now_ms(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void conn_close(Conn *c, bool reset) {
        if (reset)
                setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                           sizeof(struct linger));
        close(c->fd);
        list_remove(&c->timer);
        buf_deinit(&c->in);
        buf_deinit(&c->out);
        c->server->n_open--;
        free(c);
}

static void conn_watch(Conn *c, uint32_t events) {
        if (c->events == events)
                return;
        c->events = events;
        epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd,
                  &(struct epoll_event){.events = events, .data.ptr = c});
}

void conn_arm(Conn *c, int64_t delay_ms) {
        c->due_ms = now_ms() + (delay_ms > 0 ? delay_ms : 1);
        list_remove(&c->timer);
        List *after = c->server->timers.prev; /* most delays are equal, so its place is near the end */
        while (after != &c->server->timers && LIST_ENTRY(after, Conn, timer)->due_ms > c->due_ms)
                after = after->prev;
        list_push_front(after, &c->timer);
}

Slice request_header(const Request *r, const char *name) {
        size_t n = strlen(name);
        if (r->head.n == 0)
                return SLICE_NULL;
        const char *p = r->head.data, *end = p + r->head.n;
        while (p < end) {
                const char *eol = memchr(p, '\r', (size_t)(end - p));
                if (!eol)
                        eol = end;
                if ((size_t)(eol - p) > n && p[n] == ':' && !strncasecmp(p, name, n)) {
                        p += n + 1;
                        while (p < eol && *p == ' ')
                                p++;
                        return (Slice){p, (size_t)(eol - p)};
                }
                p = eol + 2;
        }
        return SLICE_NULL;
}

/** 1: a whole request, 0: more is needed, -1: not HTTP or too large. */
static int request_parse(Conn *c, Request *r) {
        char *end = memmem(c->in.data, c->in.n, "\r\n\r\n", 4);
        if (c->in.data[0] < 'A' || c->in.data[0] > 'Z') /* TLS, say */
                return -1;
        if (!end)
                return c->in.n > REQUEST_BYTES_MAX ? -1 : 0;
        char *eol = memmem(c->in.data, c->in.n, "\r\n", 2);
        char *target = memchr(c->in.data, ' ', (size_t)(eol - c->in.data));
        char *version = target ? memchr(target + 1, ' ', (size_t)(eol - target - 1)) : NULL;
        if (!version)
                return -1;
        *r = (Request){.method = {c->in.data, (size_t)(target - c->in.data)},
                       .path = {target + 1, (size_t)(version - target - 1)}};
        if (eol < end)
                r->head = (Slice){eol + 2, (size_t)(end - eol - 2)};
        char *mark = memchr(r->path.data, '?', r->path.n);
        if (mark) {
                r->query = (Slice){mark + 1, (size_t)(r->path.data + r->path.n - mark - 1)};
                r->path.n = (size_t)(mark - r->path.data);
        }
        uint64_t n_body = 0;
        Slice length = request_header(r, "content-length");
        if (length.n > 0 && (!slice_to_u64(length, &n_body) || n_body > REQUEST_BYTES_MAX))
                return -1;
        size_t n_head = (size_t)(end - c->in.data) + 4;
        if (c->in.n - n_head < n_body)
                return 0;
        r->body = (Slice){c->in.data + n_head, n_body};
        r->idempotency_key = request_header(r, "idempotency-key");
        c->n_consumed = n_head + n_body;
        return 1;
}

/** Send what is there, take what comes next. The connection may be gone afterwards. */
static void conn_pump(Conn *c) {
        for (int n_more = 0;;) {
                while (c->n_sent < c->out.n) {
                        ssize_t n = send(c->fd, c->out.data + c->n_sent, c->out.n - c->n_sent, MSG_NOSIGNAL);
                        if (n < 0 && errno == EAGAIN) {
                                conn_watch(c, EPOLLOUT);
                                return;
                        }
                        if (n < 0) {
                                conn_close(c, false);
                                return;
                        }
                        c->n_sent += (size_t)n;
                }
                buf_reset(&c->out);
                c->n_sent = 0;
                if (c->out.cap > OUT_KEPT)
                        buf_deinit(&c->out);
                conn_watch(c, EPOLLIN | EPOLLRDHUP);
                if (c->due_ms)
                        return; /* the timer goes on with it */
                if (c->more && n_more++ == MORE_MAX) { /* let the others have a turn */
                        conn_watch(c, EPOLLOUT);
                        return;
                }
                if (c->more) {
                        c->more(c);
                        continue;
                }
                if (c->close_after || c->reset_after) {
                        conn_close(c, c->reset_after);
                        return;
                }
                if (c->busy) { /* answered: forget the request */
                        memmove(c->in.data, c->in.data + c->n_consumed, c->in.n - c->n_consumed);
                        c->in.n -= c->n_consumed;
                        c->busy = false;
                }
                if (c->in.n == 0)
                        return;
                Request r;
                int got = request_parse(c, &r);
                if (got < 0) {
                        conn_close(c, false);
                        return;
                }
                if (got == 0)
                        return;
                c->busy = true;
                c->n_requests++;
                c->server->n_requests++;
                behave(c, &r);
        }
}

static void conn_readable(Conn *c) {
        char *room = buf_reserve(&c->in, READ_CHUNK) < 0 ? NULL : c->in.data + c->in.n;
        ssize_t n = room && c->in.n <= 2 * REQUEST_BYTES_MAX ? recv(c->fd, room, READ_CHUNK, 0) : 0;
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                conn_close(c, false);
                return;
        }
        c->in.n += (size_t)n;
        if (!c->busy)
                conn_pump(c);
}

static void server_accept(Server *s) {
        for (;;) {
                int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0)
                        return;
                Conn *c = calloc(1, sizeof(*c));
                if (!c) {
                        close(fd);
                        return;
                }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                *c = (Conn){.server = s, .fd = fd, .id = ++s->n_connections, .events = EPOLLIN | EPOLLRDHUP};
                list_init(&c->timer);
                s->n_open++;
                epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd,
                          &(struct epoll_event){.events = c->events, .data.ptr = c});
        }
}

static void server_timers(Server *s) {
        int64_t now = now_ms();
        while (!list_is_empty(&s->timers)) {
                Conn *c = LIST_ENTRY(s->timers.next, Conn, timer);
                if (c->due_ms > now)
                        return;
                list_remove(&c->timer);
                c->due_ms = 0;
                conn_pump(c);
        }
}

static int server_wait_ms(const Server *s) {
        if (list_is_empty(&s->timers))
                return -1;
        int64_t wait = LIST_ENTRY(s->timers.next, Conn, timer)->due_ms - now_ms();
        return wait < 0 ? 0 : (int)wait;
}

static void server_run(Server *s) {
        struct epoll_event events[EVENTS_MAX];
        while (!s->stop) {
                int n = epoll_wait(s->epoll, events, EVENTS_MAX, server_wait_ms(s));
                for (int i = 0; i < n; i++) {
                        Conn *c = events[i].data.ptr;
                        if (!c)
                                server_accept(s);
                        else if (events[i].events & EPOLLOUT)
                                conn_pump(c);
                        else
                                conn_readable(c);
                }
                server_timers(s);
        }
}

static int server_listen(Server *s, const char *host, uint16_t port, uint16_t *ret_port) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
        socklen_t n = sizeof(a);
        if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
                return -EINVAL;
        s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (s->listener < 0 || s->epoll < 0)
                return -errno;
        setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(s->listener, (struct sockaddr *)&a, n) < 0 || listen(s->listener, 8192) < 0 ||
            getsockname(s->listener, (struct sockaddr *)&a, &n) < 0)
                return -errno;
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &(struct epoll_event){.events = EPOLLIN});
        *ret_port = ntohs(a.sin_port);
        return 0;
}

int main(int argc, char **argv) {
        static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                                {"port", required_argument, NULL, 'p'},
                                                {"die-with-parent", no_argument, NULL, 'd'},
                                                {0}};
        const char *host = "127.0.0.1";
        uint64_t port = 0;
        for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
                if (o == 'h') {
                        host = optarg;
                } else if (o == 'd') {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                } else if (o != 'p' || !slice_to_u64(slice_from_str(optarg), &port) || port > UINT16_MAX) {
                        fprintf(stderr, "usage: %s [--host 127.0.0.1] [--port 0] [--die-with-parent]\n",
                                argv[0]);
                        return 2;
                }
        }
        struct rlimit files;
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        Server s = {0};
        list_init(&s.timers);
        uint16_t bound = 0;
        int r = server_listen(&s, host, (uint16_t)port, &bound);
        if (r < 0) {
                fprintf(stderr, "cannot listen on %s:%d: %s\n", host, (int)port, strerror(-r));
                return 1;
        }
        printf("%u\n", bound);
        fflush(stdout);
        server_run(&s);
        keys_forget(&s);
        map_deinit(&s.keys);
        return 0;
}
