#include "../leaks.h"
#include "base/list.h"

TestSuite(list, .fini = check_leaks);

typedef struct Item {
        int id;
        List node;
} Item;

Test(list, keeps_order_and_lets_go) {
        List head = LIST_INIT(head);
        Item items[5];
        cr_assert(list_is_empty(&head));
        for (int i = 0; i < 5; i++) {
                items[i].id = i;
                if (i % 2)
                        list_push_front(&head, &items[i].node);
                else
                        list_push_back(&head, &items[i].node);
        }
        const int want[] = {3, 1, 0, 2, 4};
        int n = 0;
        LIST_FOREACH(node, &head)
                cr_assert_eq(LIST_ENTRY(node, Item, node)->id, want[n++]);
        cr_assert_eq(n, 5);
        LIST_FOREACH_SAFE(node, next, &head)
                if (LIST_ENTRY(node, Item, node)->id != 2)
                        list_remove(node);
        cr_assert_eq(head.next, &items[2].node);
        list_remove(&items[2].node);
        list_remove(&items[2].node); /* twice does no harm */
        cr_assert(list_is_empty(&head));
}

Test(list, moves_all_behind_another) {
        List to = LIST_INIT(to), from = LIST_INIT(from);
        Item items[4];
        list_splice_back(&to, &from);
        cr_assert(list_is_empty(&to));
        for (int i = 0; i < 4; i++) {
                items[i].id = i;
                list_push_back(i < 2 ? &to : &from, &items[i].node);
        }
        list_splice_back(&to, &from);
        cr_assert(list_is_empty(&from));
        int n = 0;
        LIST_FOREACH(node, &to)
                cr_assert_eq(LIST_ENTRY(node, Item, node)->id, n++);
        cr_assert_eq(n, 4);
        for (List *node = to.prev; node != &to; node = node->prev)
                cr_assert_eq(LIST_ENTRY(node, Item, node)->id, --n);
        list_splice_back(&from, &to);
        cr_assert_eq(from.next, &items[0].node);
        cr_assert_eq(from.prev, &items[3].node);
}
