#pragma once
/*
 * A small engine for testing clients: speaks the protocol over a real NATS server, keeps everything in
 * memory, and runs the steps of a definition one after the other: `human-approval`, `wait-for-event` and
 * `wait` wait, a step whose config has "fail": true fails, everything else completes at once.
 */

#include <stddef.h>

typedef struct FakeEngine FakeEngine;

FakeEngine *fake_engine_start(const char *url);
void fake_engine_stop(FakeEngine *f);
/** Swallow the answers to the next @n requests, after having carried them out. */
void fake_engine_swallow(FakeEngine *f, int n);
/** Commands carried out, repetitions of an id not counted. */
int fake_engine_applied(FakeEngine *f);
/** Requests received, repetitions included. */
int fake_engine_received(FakeEngine *f);
/** The body of the last request, copied into @ret. */
void fake_engine_last(FakeEngine *f, char *ret_subject, size_t subject_size, char *ret_body,
                      size_t body_size);
/** Answer the next request with these bytes instead. */
void fake_engine_answer_next(FakeEngine *f, const char *body);
