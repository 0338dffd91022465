/* The lists that one input's consequences are collected in; reused, so a busy writer allocates nothing here. */

#include <stdlib.h>

#include "model/update.h"

static void effect_deinit(Effect *e) {
        value_unref(e->value);
        value_unref(e->input);
        *e = (Effect){0};
}

void update_reset(Update *u) {
        for (size_t i = 0; i < u->n_effects; i++)
                effect_deinit(&u->effects[i]);
        effect_deinit(&u->scratch);
        u->n_effects = u->n_facts = 0;
        buf_reset(&u->events);
        buf_reset(&u->logs);
        buf_reset(&u->evidence);
        buf_reset(&u->reply);
        u->n_events = u->n_logs = u->n_evidence = 0;
        u->first_seq = 0;
        report_deinit(&u->refusal);
        u->refusal = (Report){0};
        u->applied = u->oom = false;
}

void update_deinit(Update *u) {
        update_reset(u);
        free(u->effects);
        free(u->facts);
        buf_deinit(&u->events);
        buf_deinit(&u->logs);
        buf_deinit(&u->evidence);
        buf_deinit(&u->reply);
        *u = (Update){0};
}

Effect *update_effect(Update *u, EffectKind kind, uint32_t instance) {
        if (u->n_effects == u->cap_effects) {
                size_t cap = u->cap_effects ? u->cap_effects * 2 : 16;
                Effect *bigger = realloc(u->effects, cap * sizeof(*bigger));
                if (!bigger) {
                        /* Nothing will look at this effect: an update that ran out of memory is dropped whole. */
                        u->oom = true;
                        effect_deinit(&u->scratch);
                        u->scratch = (Effect){.kind = kind, .instance = instance};
                        return &u->scratch;
                }
                u->effects = bigger;
                u->cap_effects = cap;
        }
        Effect *e = &u->effects[u->n_effects++];
        *e = (Effect){.kind = kind, .instance = instance};
        return e;
}

void update_fact(Update *u, const UpdateFact *fact) {
        if (u->n_facts == u->cap_facts) {
                size_t cap = u->cap_facts ? u->cap_facts * 2 : 16;
                UpdateFact *bigger = realloc(u->facts, cap * sizeof(*bigger));
                if (!bigger) {
                        u->oom = true;
                        return;
                }
                u->facts = bigger;
                u->cap_facts = cap;
        }
        u->facts[u->n_facts++] = *fact;
}

bool frame_next(Slice frames, size_t *offset, Slice *ret_type, Slice *ret_json) {
        if (*offset >= frames.n)
                return false;
        Reader r = reader_from_slice((Slice){frames.data + *offset, frames.n - *offset});
        uint32_t n = reader_u32(&r);
        uint8_t n_type = reader_u8(&r);
        Slice type = reader_take(&r, n_type);
        if (r.failed || n < 1u + n_type)
                return false;
        Slice json = reader_take(&r, n - 1u - n_type);
        if (r.failed)
                return false;
        *offset += 4u + n;
        *ret_type = type;
        *ret_json = json;
        return true;
}

size_t frame_begin(Buf *b, Slice type) {
        size_t offset = b->n;
        buf_put_u32(b, 0);
        buf_put_u8(b, (uint8_t)type.n);
        buf_put_slice(b, type);
        return offset;
}

void frame_end(Buf *b, size_t offset) {
        if (b->error)
                return;
        uint32_t n = (uint32_t)(b->n - offset - 4);
        for (int i = 0; i < 4; i++)
                b->data[offset + (size_t)i] = (char)(n >> (24 - 8 * i));
}
