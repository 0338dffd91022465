/*
 * Programs
 *
 * libjq compiles the whole of its library with each program, in 17 ms; a run is a matter of microseconds. The
 * compiled form, a jq_state, can be run again and again, so the latest are kept, the longest unused goes
 * first. One that did not come to its end keeps the values of its unfinished run, so it is not kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executors/jq_child/program.h"
#include "executors/jq_child/text.h"

void out_of_memory(void *userdata) { _exit(JQ_EXIT_MEMORY); }

static void forget(Programs *p, Program *program) {
        p->n_bytes -= program->n_text;
        jq_teardown(&program->jq);
        free(program->text);
        *program = (Program){0};
}

void programs_clear(Programs *p) {
        for (size_t i = 0; i < PROGRAMS_MAX; i++)
                if (p->all[i].text)
                        forget(p, &p->all[i]);
}

static Program *find(Programs *p, Slice text) {
        for (size_t i = 0; i < PROGRAMS_MAX; i++)
                if (p->all[i].text && slice_eq(text, (Slice){p->all[i].text, p->all[i].n_text}))
                        return &p->all[i];
        return NULL;
}

/** A free place, made free if need be. */
static Program *make_room(Programs *p, size_t n_text) {
        for (;;) {
                Program *oldest = NULL, *free_one = NULL;
                for (size_t i = 0; i < PROGRAMS_MAX; i++) {
                        Program *at = &p->all[i];
                        if (!at->text)
                                free_one = at;
                        else if (!oldest || at->used < oldest->used)
                                oldest = at;
                }
                if (free_one && (!oldest || p->n_bytes + n_text <= PROGRAMS_BYTES_MAX))
                        return free_one;
                forget(p, oldest);
        }
}

/* ---- compiling ----------------------------------------------------------------------------------------- */

/** jq says "jq: error: what is wrong …" for each fault, then "jq: 2 compile errors". */
static void on_compile_error(void *complaint, jv message) {
        static const Slice prefixes[] = {{"jq: error: ", 11}, {"jq: ", 4}};
        Buf *text = complaint;
        message = jq_format_error(message);
        Slice s = {jv_string_value(message), (size_t)jv_string_length_bytes(jv_copy(message))};
        for (size_t i = 0; i < N_ELEMENTS(prefixes); i++)
                if (slice_starts_with(s, prefixes[i]))
                        s = (Slice){s.data + prefixes[i].n, s.n - prefixes[i].n};
        while (s.n > 0 && strchr(" \n", s.data[s.n - 1]))
                s.n--;
        bool is_count = s.n > 0 && s.data[0] >= '0' && s.data[0] <= '9';
        if (!is_count && text->n > 0)
                buf_put_str(text, "; ");
        if (!is_count)
                buf_put_slice(text, s);
        jv_free(message);
}

/** There is only one input. */
static jv on_input(jq_state *jq, void *userdata) { return jv_invalid(); }

static void ignore(void *userdata, jv message) { jv_free(message); }

/** NULL: it does not compile, and why is in @out. */
static Program *compile(Programs *p, Slice text, Buf *out) {
        Buf complaint = {.limit = JQ_TEXT_MAX};
        jq_state *jq = jq_init();
        if (!jq)
                out_of_memory(NULL);
        jq_set_nomem_handler(jq, out_of_memory, NULL);
        jq_set_error_cb(jq, on_compile_error, &complaint);
        if (!jq_compile(jq, text.data)) {
                jq_teardown(&jq);
                buf_put_slice(out, buf_slice(&complaint));
                if (complaint.n == 0)
                        buf_put_str(out, "the program does not compile");
                buf_deinit(&complaint);
                return NULL;
        }
        buf_deinit(&complaint);
        jq_set_error_cb(jq, ignore, NULL);
        jq_set_input_cb(jq, on_input, NULL);
        Program *program = make_room(p, text.n);
        *program = (Program){.text = slice_dup(text), .n_text = text.n, .jq = jq};
        if (!program->text)
                out_of_memory(NULL);
        p->n_bytes += text.n;
        return program;
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void on_debug(void *sink, jv message) {
        const RunSink *s = sink;
        Buf text = {.limit = JQ_TEXT_MAX};
        const char *why = text_put(&text, message);
        if (why || text.error) { /* shown as far as it goes */
                text.limit = 0;
                text.error = 0;
                buf_put_str(&text, "…");
        }
        s->debug(s->userdata, buf_slice(&text));
        buf_deinit(&text);
        jv_free(message);
}

/** An error: its sentence, and the value if it is none. @message is taken. */
static JqFrameKind put_error(Buf *out, jv message) {
        Buf sentence = {.limit = JQ_TEXT_MAX}, value = {.limit = JQ_TEXT_MAX};
        if (jv_get_kind(message) == JV_KIND_STRING) {
                Slice s = {jv_string_value(message), (size_t)jv_string_length_bytes(jv_copy(message))};
                buf_put_slice(&sentence, slice_cut_utf8(s, JQ_TEXT_MAX));
        } else if (text_put(&value, message) == NULL && !value.error) {
                buf_put_str(&sentence, "error ");
                buf_put_slice(&sentence, slice_cut_utf8(buf_slice(&value), JQ_TEXT_MAX - 16));
        } else {
                buf_reset(&value);
                buf_put_str(&sentence, "error with a value that is too large or too deep to be shown");
        }
        buf_reset(out);
        buf_put(out, &(JqErrorHead){.n_message = (uint32_t)sentence.n}, sizeof(JqErrorHead));
        buf_put_slice(out, buf_slice(&sentence));
        buf_put_slice(out, buf_slice(&value));
        buf_deinit(&sentence);
        buf_deinit(&value);
        jv_free(message);
        return JQ_FRAME_ERROR;
}

/** After the last result. @last is taken. */
static JqFrameKind end(jq_state *jq, jv last, Buf *out, bool *ret_is_error) {
        *ret_is_error = true;
        if (jq_halted(jq)) {
                jv code = jq_get_exit_code(jq);
                bool is_fine = jv_get_kind(code) != JV_KIND_NUMBER || jv_number_value(code) == 0;
                jv_free(code);
                jv_free(last);
                if (!is_fine)
                        return put_error(out, jq_get_error_message(jq));
        } else if (jv_invalid_has_msg(jv_copy(last))) {
                return put_error(out, jv_invalid_get_msg(last));
        } else {
                jv_free(last);
        }
        *ret_is_error = false;
        return JQ_FRAME_OUTPUT;
}

/** One result is the output, several are a list, none is null. */
static JqFrameKind collect(jq_state *jq, uint32_t output_max, Buf *out, bool *ret_finished) {
        size_t n_results = 0;
        bool is_error;
        jv result;
        /* Room for the brackets is kept; the first bracket comes before it is known whether it is needed. */
        out->limit = (size_t)output_max + 2;
        buf_put_char(out, '[');
        for (; jv_is_valid(result = jq_next(jq)); jv_free(result)) {
                if (n_results++ > 0)
                        buf_put_char(out, ',');
                const char *why = text_put(out, result);
                if (out->error == -ENOMEM)
                        out_of_memory(NULL);
                if (!why && !out->error)
                        continue;
                jv_free(result);
                *ret_finished = false;
                JqFrameKind kind = out->error ? JQ_FRAME_TOO_LARGE : JQ_FRAME_UNFIT;
                buf_reset(out);
                out->limit = 0;
                if (kind == JQ_FRAME_UNFIT)
                        buf_put_str(out, why);
                return kind;
        }
        out->limit = 0;
        *ret_finished = true;
        JqFrameKind kind = end(jq, result, out, &is_error);
        if (is_error)
                return kind;
        if (n_results > 1) {
                buf_put_char(out, ']');
        } else if (n_results == 1) {
                memmove(out->data, out->data + 1, --out->n);
        } else {
                buf_reset(out);
                buf_put_str(out, "null");
        }
        return kind;
}

JqFrameKind programs_run(Programs *p, Slice text, jv input, uint32_t output_max, const RunSink *sink,
                         Buf *out) {
        bool finished;
        buf_reset(out);
        Program *program = find(p, text);
        if (!program)
                program = compile(p, text, out);
        if (!program) {
                jv_free(input);
                return JQ_FRAME_COMPILE;
        }
        program->used = ++p->n_runs;
        jq_set_debug_cb(program->jq, on_debug, (void *)sink);
        jq_start(program->jq, input, 0);
        JqFrameKind kind = collect(program->jq, output_max, out, &finished);
        if (!finished || jq_halted(program->jq))
                forget(p, program);
        return kind;
}
