#pragma once
/* Reading the audit stream from a place on, as fast as there is room: a JetStream pull consumer. */

#include "gateway/internal.h"

#define PULLER_BATCH 64
#define PULLER_NEW   (-1) /* at_ms: what comes from now on */

/** A place in the stream: the last message that was taken. */
typedef struct PullerPlace {
        uint64_t seq;  /* 0: none */
        int64_t at_ms; /* when the stream stored it; without seq: from when on; 0: from its beginning */
} PullerPlace;

typedef struct PullerMessage {
        PullerPlace place;
        bool is_last; /* of what the stream holds so far */
        const LinkDelivery *delivery;
} PullerMessage;

typedef struct Puller Puller;

/** On NATS's threads, no lock held. */
typedef struct PullerHandler {
        /** The first consumer is there, or can't be had: @sentence. Once. */
        void (*opened)(void *userdata, bool is_open, const char *sentence);
        /** There is (@is_behind), or is not, more to come at once. */
        void (*position)(void *userdata, bool is_behind);
        void (*message)(void *userdata, const PullerMessage *m);
        /** What lies between the place and here has expired from the stream. */
        void (*gap)(void *userdata);
        /** The puller holds no reference to @userdata any more. */
        void (*released)(void *userdata);
} PullerHandler;

/**
 * Read what @filter matches behind @place. NULL: out of memory or no
 * subscription. Nothing is read until puller_pump.
 */
Puller *puller_new(Link *link, const char *stream, const char *filter, PullerPlace place,
                   const PullerHandler *handler, void *userdata);
/** Go on: @has_room says whether a batch may come. Now and then, and when there is room again. */
void puller_pump(Puller *p, int64_t now_ms, bool has_room);
/** The place of the last message that came, or where it begins. */
PullerPlace puller_place(Puller *p);
/** Messages may have been lost on the way. */
void puller_distrust(Puller *p);
/** No more calls are begun; `released` comes when the last has ended. */
void puller_close(Puller *p);
