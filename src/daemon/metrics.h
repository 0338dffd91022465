#pragma once
/* The page that Prometheus scrapes. */

#include "executors/http.h"
#include "executors/otlp.h"
#include "runtime/runtime.h"
#include "subjects/subjects.h"

#define METRICS_TARGETS_MAX 100 /* (target, tenant) pairs with series of their own */

/** What the page is made of; borrowed. */
typedef struct MetricsSources {
        Runtime *runtime;
        Subjects *subjects;
        Executor *http;      /* whose targets are told; NULL: none */
        Otlp *otlp;          /* NULL: none */
        const char *version; /* of the program */
        struct {
                const char *name;
                Executor *executor; /* NULL: this engine has none */
        } executors[8];
        size_t n_executors;
} MetricsSources;

/** Append the page to @b. Any thread, while the sources live. */
void metrics_page_put(const MetricsSources *sources, Buf *b);
