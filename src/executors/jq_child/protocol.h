#pragma once
/*
 * What the transform executor and runbook-jq say to each other over a socket: one request, then frames of
 * which the last is the answer. Both ends are built together and run on one machine, so numbers are the
 * machine's own.
 */

#include <stdint.h>

#define JQ_PROTOCOL_VERSION 1
#define JQ_DEPTH_MAX        64         /* nesting of a result; what values may have */
#define JQ_MESSAGES_MAX     100        /* debug messages and warnings of one run */
#define JQ_TEXT_MAX         4096       /* bytes of one of them, or of an error's sentence */
#define JQ_INPUT_MAX        (64 << 20) /* bytes of an input */
#define JQ_PROGRAM_MAX      (1 << 20)  /* bytes of a program */
#define JQ_EXIT_MEMORY      70         /* exit status: there was no more memory */

/** Followed by the program's and the input's bytes. */
typedef struct JqRequest {
        uint32_t n_program, n_input;
        uint32_t output_max; /* bytes of the results' text */
        uint32_t cpu_ms;     /* the process is ended by SIGPROF when the run has used so much */
} JqRequest;

typedef enum JqFrameKind {
        JQ_FRAME_READY = 1, /* JqReady; once, at the start */
        JQ_FRAME_DEBUG,     /* JSON (maybe cut) that the program gave to `debug` */
        JQ_FRAME_WARNING,   /* a sentence */
        /* Answers: */
        JQ_FRAME_OUTPUT,    /* JSON */
        JQ_FRAME_COMPILE,   /* the program is wrong: jq's message */
        JQ_FRAME_ERROR,     /* it ended in an error: JqErrorHead, the message, then JSON or nothing */
        JQ_FRAME_INPUT,     /* the input can't be read: a sentence */
        JQ_FRAME_TOO_LARGE, /* the results passed output_max */
        JQ_FRAME_UNFIT      /* a result is no value for us: a sentence's end ("is nested …") */
} JqFrameKind;

/** Before each frame's @n bytes. */
typedef struct JqFrameHead {
        uint32_t n, kind;
} JqFrameHead;

typedef struct JqReady {
        uint32_t version;     /* JQ_PROTOCOL_VERSION */
        uint32_t has_seccomp; /* system calls are filtered */
} JqReady;

typedef struct JqErrorHead {
        uint32_t n_message;
} JqErrorHead;
