/*
 * A small HTTP service for the quickstart: the alert store, the agents' console and the chat room of an
 * incident, in one program. It shows what a receiver owes the engine: the same Idempotency-Key gets the same
 * answer, and its effect happens once, however often the call arrives.
 *
 *     POST /alerts/<id>/enrich    what is known about an alert
 *     POST /alerts/<id>/close
 *     POST /hosts/<host>/isolate  a ticket; the same key gets the same ticket
 *     POST /notify                204
 *     GET  /calls                 what was called so far, one line each
 *
 * One thread per connection, a fixed number of them; everything has a cap. It listens on the loopback address
 * only, on the port given (0: any), and prints the port that it has.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX   32
#define REQUEST_BYTES_MAX 65536
#define ANSWER_BYTES_MAX  65536
#define CALLS_MAX         256
#define NAME_MAX_BYTES    64
#define KEY_MAX_BYTES     128
#define IDLE_SECONDS      120

typedef struct Call {
        char line[NAME_MAX_BYTES * 2];
        char key[KEY_MAX_BYTES];
        unsigned n_times;
} Call;

typedef struct Service {
        int listener;
        pthread_mutex_t lock;
        Call calls[CALLS_MAX];
        size_t n_calls;
} Service;

typedef struct Request {
        char buffer[REQUEST_BYTES_MAX + 1];
        size_t n;         /* bytes in buffer */
        size_t n_request; /* bytes of the first whole request in it */
        char method[8];
        char path[NAME_MAX_BYTES * 2];
        char key[KEY_MAX_BYTES];
        bool keep_alive;
} Request;

/* ---- what it answers ---------------------------------------------------------------------------------- */

/** Note the call. Returns its number (1…); a key seen before gets the number that it had. 0: no room left. */
static size_t note_call(Service *s, const Request *r) {
        size_t number = 0;

        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; r->key[0] && i < s->n_calls; i++)
                if (strcmp(s->calls[i].key, r->key) == 0)
                        number = i + 1;
        if (number == 0 && s->n_calls < CALLS_MAX) {
                Call *call = &s->calls[s->n_calls++];

                snprintf(call->line, sizeof call->line, "%s", r->path);
                snprintf(call->key, sizeof call->key, "%s", r->key);
                number = s->n_calls;
        }
        if (number > 0)
                s->calls[number - 1].n_times++;
        pthread_mutex_unlock(&s->lock);
        return number;
}

/** The middle of a path "/<collection>/<name>/<verb>"; false if it is another path or a name that needs
 * quoting. */
static bool match_path(const char *path, const char *collection, const char *verb, char ret[NAME_MAX_BYTES]) {
        size_t n_collection = strlen(collection), n_name;
        const char *name = path + n_collection, *slash;

        if (strncmp(path, collection, n_collection) != 0)
                return false;
        slash = strchr(name, '/');
        n_name = slash ? (size_t)(slash - name) : 0;
        if (n_name == 0 || n_name >= NAME_MAX_BYTES || strcmp(slash, verb) != 0)
                return false;
        memcpy(ret, name, n_name);
        ret[n_name] = 0;
        return strspn(ret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n_name;
}

static int list_calls(Service *s, char *body, size_t size) {
        size_t n = 0;

        body[0] = 0;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < s->n_calls && n < size; i++)
                n += (size_t)snprintf(body + n, size - n, "%s  (seen %u time%s)\n", s->calls[i].line,
                                      s->calls[i].n_times, s->calls[i].n_times == 1 ? "" : "s");
        pthread_mutex_unlock(&s->lock);
        return 200;
}

/** Fill @body and give the status. */
static int answer(Service *s, const Request *r, char *body, size_t size) {
        char name[NAME_MAX_BYTES];
        size_t number;

        body[0] = 0;
        if (strcmp(r->method, "GET") == 0 && strcmp(r->path, "/calls") == 0)
                return list_calls(s, body, size);
        if (strcmp(r->method, "POST") != 0)
                return 405;
        number = note_call(s, r);
        if (number == 0)
                return 503;
        if (match_path(r->path, "/alerts/", "/enrich", name)) {
                snprintf(body, size,
                         "{\"alertId\":\"%s\",\"host\":\"ws-0417\",\"user\":\"j.doe\",\"severity\":"
                         "\"critical\",\"score\":93,"
                         "\"indicators\":[\"credential dumping\",\"beacon every 60 s\"]}",
                         name);
                return 200;
        }
        if (match_path(r->path, "/hosts/", "/isolate", name)) {
                snprintf(body, size, "{\"ticket\":\"ISO-%04zu\",\"host\":\"%s\",\"state\":\"pending\"}",
                         number, name);
                return 202;
        }
        if (match_path(r->path, "/alerts/", "/close", name)) {
                snprintf(body, size, "{\"alertId\":\"%s\",\"state\":\"closed\"}", name);
                return 200;
        }
        return strcmp(r->path, "/notify") == 0 ? 204 : 404;
}

/* ---- HTTP, as much as it takes ------------------------------------------------------------------------ */

static bool header_is(const char *line, const char *name, const char **ret_value) {
        size_t n = strlen(name);

        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
                return false;
        *ret_value = line + n + 1 + strspn(line + n + 1, " \t");
        return true;
}

/** Take the request's head apart. -1: not HTTP, or more than we take. */
static int parse_head(Request *r, char *head_end) {
        size_t n_body = 0;
        char *line, *rest = NULL;

        *head_end = 0;
        if (sscanf(r->buffer, "%7s %127s", r->method, r->path) != 2)
                return -1;
        r->key[0] = 0;
        r->keep_alive = strstr(r->buffer, "HTTP/1.1") != NULL;
        strtok_r(r->buffer, "\r\n", &rest);
        while ((line = strtok_r(NULL, "\r\n", &rest))) {
                const char *value;

                if (header_is(line, "Content-Length", &value))
                        n_body = strtoul(value, NULL, 10);
                else if (header_is(line, "Idempotency-Key", &value))
                        snprintf(r->key, sizeof r->key, "%.*s", (int)sizeof r->key - 1, value);
                else if (header_is(line, "Connection", &value) && strncasecmp(value, "close", 5) == 0)
                        r->keep_alive = false;
                else if (header_is(line, "Transfer-Encoding", &value))
                        return -1;
        }
        r->n_request = (size_t)(head_end + 4 - r->buffer) + n_body;
        return n_body <= REQUEST_BYTES_MAX && r->n_request <= REQUEST_BYTES_MAX ? 0 : -1;
}

/** Read one whole request into @r. 1: there it is, 0: the connection has ended, -1: broken. */
static int read_request(int fd, Request *r) {
        bool has_head = false;

        r->n_request = 0;
        for (;;) {
                ssize_t got;

                r->buffer[r->n] = 0;
                if (!has_head) {
                        char *end = memmem(r->buffer, r->n, "\r\n\r\n", 4);

                        if (end && parse_head(r, end) < 0)
                                return -1;
                        has_head = end != NULL;
                }
                if (has_head && r->n >= r->n_request)
                        return 1;
                if (r->n == REQUEST_BYTES_MAX)
                        return -1;
                got = recv(fd, r->buffer + r->n, REQUEST_BYTES_MAX - r->n, 0);
                if (got <= 0)
                        return got < 0 || r->n > 0 ? -1 : 0;
                r->n += (size_t)got;
        }
}

static bool send_all(int fd, const char *data, size_t n) {
        while (n > 0) {
                ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

                if (sent <= 0)
                        return false;
                data += sent;
                n -= (size_t)sent;
        }
        return true;
}

static bool send_answer(int fd, const Request *r, int status, const char *body) {
        char text[ANSWER_BYTES_MAX + 512];
        int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", status, status < 300 ? "OK" : "Refused");

        if (status != 204)
                n += snprintf(text + n, sizeof text - (size_t)n,
                              "Content-Type: %s\r\nContent-Length: %zu\r\n",
                              body[0] == '{' ? "application/json" : "text/plain", strlen(body));
        n += snprintf(text + n, sizeof text - (size_t)n, "Connection: %s\r\n\r\n%s",
                      r->keep_alive ? "keep-alive" : "close", status == 204 ? "" : body);
        return (size_t)n < sizeof text && send_all(fd, text, (size_t)n);
}

static void serve(Service *s, int fd) {
        Request *r = calloc(1, sizeof *r);
        char *body = malloc(ANSWER_BYTES_MAX);
        struct timeval idle = {.tv_sec = IDLE_SECONDS};

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
        while (r && body && read_request(fd, r) == 1) {
                int status = answer(s, r, body, ANSWER_BYTES_MAX);

                if (!send_answer(fd, r, status, body) || !r->keep_alive)
                        break;
                r->n -= r->n_request;
                memmove(r->buffer, r->buffer + r->n_request, r->n);
        }
        free(body);
        free(r);
        close(fd);
}

static void *work(void *userdata) {
        Service *s = userdata;

        for (;;) {
                int fd = accept(s->listener, NULL, NULL);

                if (fd >= 0)
                        serve(s, fd);
                else if (errno != EINTR && errno != ECONNABORTED)
                        return NULL;
        }
}

int main(int argc, char **argv) {
        static Service service = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n_address = sizeof address;
        pthread_t threads[CONNECTIONS_MAX];
        size_t n_threads = 0;

        if (argc != 2) {
                fprintf(stderr, "usage: %s PORT   (0: any free one)\n", argv[0]);
                return 2;
        }
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* the quickstart's end is its end */
        address.sin_port = htons((uint16_t)atoi(argv[1]));
        service.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (service.listener < 0 || bind(service.listener, (struct sockaddr *)&address, sizeof address) < 0 ||
            listen(service.listener, CONNECTIONS_MAX) < 0 ||
            getsockname(service.listener, (struct sockaddr *)&address, &n_address) < 0) {
                fprintf(stderr, "%s: cannot listen on port %s: %s\n", argv[0], argv[1], strerror(errno));
                return 1;
        }
        printf("%u\n", ntohs(address.sin_port));
        fflush(stdout);
        while (n_threads < CONNECTIONS_MAX && pthread_create(&threads[n_threads], NULL, work, &service) == 0)
                n_threads++;
        for (size_t i = 0; i < n_threads; i++)
                pthread_join(threads[i], NULL);
        return 1;
}
