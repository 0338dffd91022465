/*
 * runbook-jq: runs jq programs for the engine
 *
 * The engine starts a few of these and gives them one program and one input at a time over the socket on
 * descriptor 0. It is a process of its own so that it can be limited and killed; see README.md.
 */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "executors/jq_child/program.h"
#include "executors/jq_child/sandbox.h"
#include "executors/jq_child/text.h"

#define MEMORY_MB_MIN 16
#define MEMORY_MB_MAX (1 << 20)
#define SHOWN_MAX     512 /* bytes of a parser's complaint */

typedef struct Child {
        Programs programs;
        Buf request, out;
        uint32_t n_messages; /* of this run */
        size_t memory_bytes;
        bool keeps_integers;
} Child;

/** Exactly @n bytes. The socket's end is ours, too. */
static void read_all(void *p, size_t n) {
        for (size_t got = 0; got < n;) {
                ssize_t r = read(0, (char *)p + got, n - got);
                if (r == 0 || (r < 0 && errno != EINTR))
                        _exit(r == 0 && got == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
                got += r > 0 ? (size_t)r : 0;
        }
}

static void write_all(const void *p, size_t n) {
        for (size_t put = 0; put < n;) {
                ssize_t r = write(0, (const char *)p + put, n - put);
                if (r < 0 && errno != EINTR)
                        _exit(EXIT_FAILURE);
                put += r > 0 ? (size_t)r : 0;
        }
}

static void send_frame(JqFrameKind kind, Slice payload) {
        JqFrameHead head = {.n = (uint32_t)payload.n, .kind = kind};
        write_all(&head, sizeof(head));
        write_all(payload.data, payload.n);
}

static_assert(JQ_MESSAGES_MAX == 100, "the sentence says so");
static void send_message(Child *c, JqFrameKind kind, Slice text) {
        c->n_messages++;
        if (c->n_messages <= JQ_MESSAGES_MAX)
                send_frame(kind, text);
        else if (c->n_messages == JQ_MESSAGES_MAX + 1)
                send_frame(JQ_FRAME_WARNING,
                           SLICE("further messages of this run are dropped (100 are kept, JQ_MESSAGES_MAX)"));
}

static void on_debug(void *child, Slice text) { send_message(child, JQ_FRAME_DEBUG, text); }

/**
 * CPU time, not clock time: what the machine does besides is no fault of the program. 0: no limit any more.
 */
static void limit_cpu(uint32_t ms) {
        struct itimerval t = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
        if (setitimer(ITIMER_PROF, &t, NULL) < 0)
                _exit(EXIT_FAILURE);
}

/** jv_parse quotes the whole text in its complaint; only what is before that is kept. */
static void put_parse_fault(Buf *b, jv invalid) {
        jv message = jv_invalid_get_msg(invalid);
        const char *text =
                        jv_get_kind(message) == JV_KIND_STRING ? jv_string_value(message) : "it is no JSON";
        const char *quote = strstr(text, " (while parsing");
        Slice s = {text, quote ? (size_t)(quote - text) : strlen(text)};
        buf_put_slice(b, slice_cut_utf8(s, SHOWN_MAX));
        jv_free(message);
}

static void warn_of_lost_digits(Child *c, Slice input) {
        Slice integer = c->keeps_integers ? SLICE_NULL : text_inexact_integer(input);
        if (!integer.data)
                return;
        char text[160];
        snprintf(text, sizeof(text),
                 "jq's numbers hold integers up to 2^53 exactly; %.*s in the input was rounded to the "
                 "nearest it "
                 "can hold",
                 SLICE_ARG(integer));
        send_message(c, JQ_FRAME_WARNING, slice_from_str(text));
}

static JqFrameKind run(Child *c, Slice program, Slice input, uint32_t output_max) {
        jv value = jv_parse_sized(input.data, (int)input.n);
        if (!jv_is_valid(value)) {
                buf_reset(&c->out);
                put_parse_fault(&c->out, value);
                return JQ_FRAME_INPUT;
        }
        warn_of_lost_digits(c, input);
        RunSink sink = {.debug = on_debug, .userdata = c};
        return programs_run(&c->programs, program, value, output_max, &sink, &c->out);
}

/**
 * A program that took much leaves its stack at that size: give it back, so that every run finds the same
 * room.
 */
static void give_memory_back(Child *c) {
        struct mallinfo2 m = mallinfo2();
        if (m.arena + m.hblkhd < c->memory_bytes / 4)
                return;
        programs_clear(&c->programs);
        buf_deinit(&c->request);
        buf_deinit(&c->out);
        malloc_trim(0);
}

static void serve_one(Child *c) {
        JqRequest r;
        read_all(&r, sizeof(r));
        if (r.n_program > JQ_PROGRAM_MAX || r.n_input > JQ_INPUT_MAX)
                _exit(EXIT_FAILURE);
        buf_reset(&c->request);
        char *program = buf_extend(&c->request, (size_t)r.n_program + 1 + r.n_input + 1);
        if (!program)
                out_of_memory(NULL);
        char *input = program + r.n_program + 1;
        read_all(program, r.n_program);
        program[r.n_program] = '\0';
        read_all(input, r.n_input);
        input[r.n_input] = '\0';
        c->n_messages = 0;
        limit_cpu(r.cpu_ms);
        JqFrameKind kind = run(c, (Slice){program, r.n_program}, (Slice){input, r.n_input}, r.output_max);
        limit_cpu(0);
        if (c->out.error)
                out_of_memory(NULL);
        send_frame(kind, buf_slice(&c->out));
        give_memory_back(c);
}

int main(int argc, char **argv) {
        static Child child;
        uint64_t memory_mb = 0;
        bool has_seccomp = false;
        if (argc != 2 || !slice_to_u64(slice_from_str(argv[1]), &memory_mb) || memory_mb < MEMORY_MB_MIN ||
            memory_mb > MEMORY_MB_MAX || isatty(0)) {
                fprintf(stderr, "runbook-jq runs the jq programs of transform steps; runbookd starts it.\n");
                return EXIT_FAILURE;
        }
        child.memory_bytes = (size_t)memory_mb << 20;
        int r = sandbox_enter(child.memory_bytes, &has_seccomp);
        if (r < 0)
                return EXIT_FAILURE;
        jq_state *jq = jq_init();
        if (!jq)
                return JQ_EXIT_MEMORY;
        jq_set_nomem_handler(jq, out_of_memory, NULL); /* holds for the thread, not only for this state */
        jq_teardown(&jq);
        child.keeps_integers = text_keeps_integers();
        JqReady ready = {.version = JQ_PROTOCOL_VERSION, .has_seccomp = has_seccomp};
        send_frame(JQ_FRAME_READY, slice_from_bytes(&ready, sizeof(ready)));
        for (;;)
                serve_one(&child);
}
