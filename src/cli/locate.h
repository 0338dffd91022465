#pragma once
/* From a JSON pointer to a line of the file that a person edits. */

#include "base/slice.h"

typedef struct Location {
        int line, column; /* from 1; 0: unknown */
} Location;

/**
 * Where @pointer's key (in an array: item) stands in @text, JSON or YAML (told apart by the first significant
 * byte). What is missing, or lies inside a YAML flow collection or alias, gives its nearest ancestor that can
 * be found.
 */
Location locate(Slice text, const char *pointer);
