#pragma once
/* A definition's steps as a picture: a tree for the terminal, DOT, Mermaid. Pure: text out of data. */

#include <jansson.h>
#include "cli/text.h"

/** Tree with shared steps shown once and referred to elsewhere, for a terminal of @width columns. -EINVAL
 * when the definition has no steps, -ENOMEM. */
int graph_tree(const json_t *definition, const CliTerm *term, int width, Buf *out);
int graph_dot(const json_t *definition, Buf *out);
int graph_mermaid(const json_t *definition, Buf *out);
