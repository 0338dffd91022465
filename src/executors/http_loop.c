/*
 * epoll around curl_multi
 *
 * curl asks to watch a socket when a transfer starts to wait on it and to forget it when the transfer is
 * over, which for kept-alive connections would be two system calls a request. So sockets of our own stay
 * registered for reading until they are closed: a quiet idle connection costs nothing, and one that the
 * server closes wakes us once and is taken out then. Sockets that curl makes by itself (its resolver's) may
 * be closed without a word, and their numbers used again: those follow curl's wishes strictly.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "executors/http_internal.h"

#define EVENTS_MAX 256
#define NS_PER_MS 1000000LL
#define WAIT_MS_MAX 60000 /* of one epoll_wait; then we look again */

int64_t http_now_ns(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- sockets ------------------------------------------------------------------------------------------- */

static HttpSocket *socket_at(HttpLoop *l, int fd) {
        assert(fd >= 0);
        if ((size_t)fd >= l->n_sockets) {
                size_t n = l->n_sockets ? l->n_sockets * 2 : 256;
                while (n <= (size_t)fd)
                        n *= 2;
                HttpSocket *sockets = reallocarray(l->sockets, n, sizeof(*sockets));
                if (!sockets)
                        return NULL;
                memset(sockets + l->n_sockets, 0, (n - l->n_sockets) * sizeof(*sockets));
                l->sockets = sockets;
                l->n_sockets = n;
        }
        return &l->sockets[fd];
}

static void socket_register(HttpLoop *l, int fd, HttpSocket *s, uint8_t mask) {
        if (s->registered == mask)
                return;
        struct epoll_event event = {.events = (mask & CURL_POLL_IN ? EPOLLIN : 0u) |
                                              (mask & CURL_POLL_OUT ? EPOLLOUT : 0u),
                                    .data.fd = fd};
        int op = mask == 0 ? EPOLL_CTL_DEL : s->registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        int r = epoll_ctl(l->epoll, op, fd, &event);
        if (r < 0 && errno == EEXIST)
                r = epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &event);
        else if (r < 0 && errno == ENOENT && mask != 0)
                r = epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
        s->registered = r == 0 ? mask : 0; /* if it failed the attempt's timeout ends the wait */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *engine, void *unused) {
        HttpLoop *l = &((HttpEngine *)engine)->loop;
        HttpSocket *s = socket_at(l, fd);
        if (!s)
                return 0;
        s->wanted = what == CURL_POLL_REMOVE ? 0 : (uint8_t)what;
        uint8_t lazy = s->ours ? s->registered & CURL_POLL_IN : 0;
        if (!s->ours && s->wanted != 0)
                s->registered = 0; /* the number may stand for another socket by now: ask epoll */
        socket_register(l, fd, s, s->wanted | lazy);
        return 0;
}

curl_socket_t http_loop_socket_opened(HttpLoop *l, int fd) {
        HttpSocket *s = fd < 0 ? NULL : socket_at(l, fd);
        if (!s) {
                if (fd >= 0)
                        close(fd);
                return CURL_SOCKET_BAD;
        }
        *s = (HttpSocket){.ours = true};
        return fd;
}

void http_loop_socket_closed(HttpLoop *l, int fd) {
        if ((size_t)fd < l->n_sockets)
                l->sockets[fd] = (HttpSocket){0};
        close(fd);
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static int on_timer(CURLM *multi, long timeout_ms, void *engine) {
        HttpEngine *e = engine;
        e->loop.timer_ns = timeout_ms < 0 ? -1 : timeout_ms == 0 ? 0 : http_now_ns() + timeout_ms * NS_PER_MS;
        return 0;
}

int http_loop_init(HttpEngine *e) {
        HttpLoop *l = &e->loop;
        l->timer_ns = -1;
        l->epoll = epoll_create1(EPOLL_CLOEXEC);
        l->multi = curl_multi_init();
        if (l->epoll < 0)
                return -errno;
        if (!l->multi)
                return -ENOMEM;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = e->intake.wakeup};
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, e->intake.wakeup, &event) < 0)
                return -errno;
        curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, e);
        curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, e);
        curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)e->settings.in_flight_max);
        curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
        return 0;
}

void http_loop_deinit(HttpLoop *l) {
        if (l->multi)
                curl_multi_cleanup(l->multi);
        if (l->epoll >= 0)
                close(l->epoll);
        free(l->sockets);
        *l = (HttpLoop){.epoll = -1};
}

static void socket_event(HttpEngine *e, int fd, uint32_t events) {
        HttpLoop *l = &e->loop;
        HttpSocket *s = socket_at(l, fd);
        if (!s)
                return;
        if (s->wanted == 0) {
                /* An idle connection was closed, or talks out of turn: curl looks at it when it wants to
                 * use it. */
                socket_register(l, fd, s, 0);
                return;
        }
        int mask = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                   (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
        if ((mask & s->wanted) == 0 && (events & (EPOLLERR | EPOLLHUP)) == 0)
                socket_register(l, fd, s, s->wanted);
        int n_running;
        curl_multi_socket_action(l->multi, fd, mask, &n_running);
}

static int wait_ms(const HttpEngine *e, int64_t until_ns) {
        int64_t timer_ns = e->loop.timer_ns;
        if (timer_ns >= 0 && (until_ns < 0 || timer_ns < until_ns))
                until_ns = timer_ns;
        if (until_ns < 0)
                return WAIT_MS_MAX;
        int64_t left_ns = until_ns - http_now_ns();
        if (left_ns <= 0)
                return 0;
        int64_t left_ms = (left_ns + NS_PER_MS - 1) / NS_PER_MS; /* up: never too early */
        return left_ms < WAIT_MS_MAX ? (int)left_ms : WAIT_MS_MAX;
}

void http_loop_turn(HttpEngine *e, int64_t until_ns) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(e->loop.epoll, events, EVENTS_MAX, wait_ms(e, until_ns));
        e->now_ns = http_now_ns();
        bool rung = false;
        for (int i = 0; i < n; i++)
                rung |= events[i].data.fd == e->intake.wakeup;
        intake_awake(&e->intake, rung);
        for (int i = 0; i < n; i++)
                if (events[i].data.fd != e->intake.wakeup)
                        socket_event(e, events[i].data.fd, events[i].events);
        if (e->loop.timer_ns >= 0 && e->loop.timer_ns <= e->now_ns) {
                int n_running;
                e->loop.timer_ns = -1;
                curl_multi_socket_action(e->loop.multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
        }
}
