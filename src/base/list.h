#pragma once
/* Intrusive doubly linked list with a sentinel head. */

#include <stdbool.h>
#include <stddef.h>

typedef struct List { struct List *prev, *next; } List;

#define LIST_INIT(name) {&(name), &(name)}
#define LIST_ENTRY(node, T, member) ((T *)((char *)(node) - offsetof(T, member)))
#define LIST_FOREACH(node, head) for (List *node = (head)->next; node != (head); node = node->next)
#define LIST_FOREACH_SAFE(node, tmp, head) \
        for (List *node = (head)->next, *tmp = node->next; node != (head); node = tmp, tmp = node->next)

static inline void list_init(List *l) { l->prev = l->next = l; }
static inline bool list_is_empty(const List *l) { return l->next == l; }
static inline void list_push_back(List *head, List *node) {
        node->prev = head->prev; node->next = head; head->prev->next = node; head->prev = node;
}
static inline void list_push_front(List *head, List *node) {
        node->next = head->next; node->prev = head; head->next->prev = node; head->next = node;
}
/** Move all of @from to the end of @to. */
static inline void list_splice_back(List *to, List *from) {
        if (list_is_empty(from))
                return;
        from->next->prev = to->prev; from->prev->next = to;
        to->prev->next = from->next; to->prev = from->prev;
        list_init(from);
}
/** Unlink; safe on an initialised, unlinked node. */
static inline void list_remove(List *node) {
        node->prev->next = node->next; node->next->prev = node->prev; list_init(node);
}
