#pragma once
/* YAML 1.1 documents as JSON trees, through libyaml (the only file that includes <yaml.h> is yaml.c). */

#include <jansson.h>
#include "base/report.h"

#define YAML_ALIASES_MAX 1000      /* alias nodes expanded in one document */
#define YAML_NODES_MAX 4000000     /* nodes after expansion: stops "billion laughs" */
#define YAML_ANCHORS_MAX 10000     /* anchors defined in one document */
#define YAML_BYTES_MAX (64 << 20)  /* bytes of scalars and keys after expansion */

/**
 * One document, at most @size_max bytes, JSON_DEPTH_MAX deep. Core schema scalars: null/~/empty, true/false,
 * decimal integers and floats; everything else, and everything quoted, is a string (0123 too: YAML's versions
 * disagree on it). Duplicate keys, anchors that contain themselves, several documents, merge keys, other tags
 * and keys that are not strings are errors with line and column (INVALID_REQUEST, TOO_DEEP, TOO_LARGE,
 * LIMIT_EXCEEDED). An owned reference, or NULL with @report set. Subtrees behind aliases are shared: the tree is
 * not to be changed.
 */
json_t *yaml_parse(Slice text, size_t size_max, Report *report);
