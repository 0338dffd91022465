#pragma once
/*
 * A runbook being compiled; what the files runbook_*.c share, and nobody else.
 *
 * Compiling goes in passes, so that each can look at all steps: ids → links (who waits for whom, who owns
 * whom) → order and cycles → regions → everything else of each step, with every path checked against the
 * graph. Each pass notes all faults and goes on; a runbook comes out only if there is none.
 */

#include "base/map.h"
#include "expr/expr.h"
#include "model/runbook.h"

/** How an edge was written; EDGE_BODY orders a loop before its body and is not an edge of the runbook. */
typedef enum DraftEdgeKind { DRAFT_DEPENDENCY, DRAFT_TRUE, DRAFT_FALSE, DRAFT_BODY } DraftEdgeKind;

#define DRAFT_NO_INDEX UINT32_MAX

typedef struct DraftEdge {
        uint32_t from, to;
        uint32_t index; /* within dependsOn or a list of targets; DRAFT_NO_INDEX: a single string */
        uint8_t kind;   /* DraftEdgeKind */
        bool dropped;   /* faulty or folded into another one: not part of the graph */
} DraftEdge;

/** What the passes know of a step beside what the runbook keeps. */
typedef struct DraftStep {
        uint32_t body_of;          /* the loop whose body it is; STEP_NONE */
        uint32_t body;             /* of a loop; STEP_NONE */
        uint32_t region;           /* the region that it runs, if it is a loop */
        uint32_t position;         /* in topological order; STEP_NONE: on or behind a cycle */
        uint32_t first_in, n_in;   /* into Draft.in */
        uint32_t first_out, n_out; /* into Draft.out */
        uint32_t tree_parent, tree_first, tree_size,
                        tree_next; /* spanning forest: below it are first…first+size-1 */
        uint32_t mark;             /* scratch of whichever pass is at work */
        uint32_t visited;          /* search number of the ancestry search */
        bool uncertain;            /* it or a step before it has faulty links: what it can see is not known */
        bool compensates_outside;  /* some step that it compensates is in no loop */
} DraftStep;

/** Memory of the runbook outside of its arena; the nodes live in the arena. */
typedef struct RunbookForeign {
        struct RunbookForeign *next;
        void (*release)(void *p);
        void *p;
} RunbookForeign;

/** Behind Runbook.step_ids. */
typedef struct RunbookIndex {
        Map by_id;          /* id → RunbookStep */
        const char **names; /* of all steps that have one, for "did you mean" */
        size_t n_names;
        RunbookForeign *foreign;
} RunbookIndex;

typedef struct Draft {
        Runbook *runbook;
        RunbookIndex *index;
        Arena *arena;  /* the runbook's */
        Arena scratch; /* gone when compiling ends */
        Report *report;
        const RunbookDefaults *defaults;
        JsonAt root, list; /* the document, its steps */
        RunbookStep *steps;
        DraftStep *more;
        uint32_t n_steps;
        RetryPolicy retry; /* of steps that don't say */

        DraftEdge *edges;
        size_t n_edges, cap_edges;
        bool too_many_edges;
        uint32_t *in, *out; /* edge numbers by target, by source */
        uint32_t *order;    /* steps in topological order */
        uint32_t n_ordered;
        uint32_t *region_parent, *region_depth, *region_loop;

        uint32_t *stack; /* of the ancestry search; a step is pushed at most once a search */
        uint32_t n_searches;
        uint64_t n_visits;
        size_t n_compared; /* names compared for "did you mean" */
        size_t n_limits;   /* faults that are a limit passed rather than a mistake */
        bool oom;
} Draft;

/* runbook_parse.c: the document and what all steps have */
int draft_begin(Draft *d, const json_t *definition); /* 0: there are steps to go on with; -EINVAL, -ENOMEM */
void draft_finish(Draft *d);
static inline JsonAt draft_step_at(Draft *d, uint32_t step) { return json_at_index(&d->list, step); }

/* runbook_link.c: who waits for whom */
void draft_link(Draft *d);
/** Report at the place in the definition that @edge comes from. */
int draft_edge_error(Draft *d, const DraftEdge *edge, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

/* runbook_order.c: adjacency, topological order, cycles */
void draft_order(Draft *d);

/* runbook_region.c: which loop runs what */
void draft_regions(Draft *d);

/* runbook_ancestry.c: who has ended before whom */
void draft_ancestry(Draft *d);
/**
 * Does @ancestor end before @step begins, in its own region or around it? True also where it can't be told:
 * behind faulty links, and past LIMIT_ANCESTRY_VISITS (reported once, at @at).
 */
bool draft_sees(Draft *d, uint32_t step, uint32_t ancestor, const JsonAt *at);
/** Count one edge walked for a reference; true when they are too many (reported once, at @at). */
bool draft_visit(Draft *d, const JsonAt *at);

/* runbook_check.c: expressions, and where their paths may lead */

/** Where an expression stands, which decides what its paths may name. */
typedef enum DraftPlace {
        PLACE_STEP,
        PLACE_EVIDENCE, /* evaluated after the step: it sees its own output */
        PLACE_WHILE,    /* continueWhile: it sees the loop's steps too */
        PLACE_OUTPUT    /* the runbook's output: @step is ignored */
} DraftPlace;

const ExprTemplate *draft_template(Draft *d, const JsonAt *at, uint32_t step, DraftPlace place);
const ExprCondition *draft_condition(Draft *d, const JsonAt *at, uint32_t step, DraftPlace place);
const ExprPath *draft_path(Draft *d, Slice text, const JsonAt *at, uint32_t step, DraftPlace place);
/** The template in member @key; NULL if absent or reported. */
const ExprTemplate *draft_template_member(Draft *d, const JsonAt *object, const char *key, uint32_t step,
                                          DraftPlace place);
/** Call before compiling expressions of @step: makes looking up its direct dependencies O(1). */
void draft_check_begin(Draft *d, uint32_t step);

/* runbook_config.c, runbook_flow.c, runbook_call.c: `config`, `approvalConfig`, `loopConfig` by type */
void draft_config(Draft *d, RunbookStep *step, const JsonAt *at);
void draft_human_approval(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config);
void draft_loop(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config);
void draft_call_service(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config);
/** `circuitBreaker`, `concurrency` and `rateLimit` of a config (runbook_limits.c). */
void draft_target_limits(Draft *d, const JsonAt *config);
/** A string that may hold templates: false if absent or reported; *ret_constant: it holds none. */
bool draft_config_text(const JsonAt *config, const char *key, bool required, Slice *ret, bool *ret_constant);
bool step_type_is_retried(StepType type);
bool step_type_compensates(StepType type);
/** The type that @name is, N_STEP_TYPES if it is none (reported at @at). */
StepType step_type_from_name(Slice name, const JsonAt *at);

/* runbook_draft.c: helpers */

/** Count a fault that is a limit: `return draft_limit(d, json_at_error(…))`. */
static inline int draft_limit(Draft *d, int r) {
        d->n_limits++;
        return r;
}
int draft_oom(Draft *d); /* -ENOMEM */
/** Hand @p to the runbook (also on failure, when it is released at once). */
bool draft_own(Draft *d, void (*release)(void *p), void *p);
/** The step called @id, STEP_NONE if there is none. */
uint32_t draft_find_step(const Draft *d, Slice id);
/** The nearest step id; NULL when there is none, or enough names were compared already. */
const char *draft_nearest_step(Draft *d, Slice id);

/** A string of at most @max bytes; false if absent or reported. */
bool draft_text(Draft *d, const JsonAt *object, const char *key, size_t max, const char *limit, Slice *ret);
/** An id: letters, digits, `_ - . :`, beginning with a letter, a digit or `_`; @extra: more characters that
 * are fine. */
bool draft_id_is_valid(const JsonAt *at, Slice id, const char *extra);
/** One of @names; false if absent or reported. */
bool draft_enum(const JsonAt *object, const char *key, const char *const *names, unsigned n_names,
                unsigned *ret);
/** A duration in whole milliseconds of at least @min. */
bool draft_duration(const JsonAt *object, const char *key, int64_t min, int64_t *ret);

typedef struct DraftList {
        size_t max;                                  /* entries */
        const char *limit;                           /* name of that cap */
        bool distinct;                               /* twice the same is an error */
        bool (*check)(const JsonAt *at, Slice text); /* NULL: any text that isn't empty */
} DraftList;
/** An array of strings; false if absent or reported. */
bool draft_strings(Draft *d, const JsonAt *object, const char *key, const DraftList *list, const Slice **ret,
                   size_t *ret_n);
