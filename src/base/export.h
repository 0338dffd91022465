#pragma once
/* What include/runbook/ declares is visible outside a shared library; everything else is hidden. */

#define RUNBOOK_EXPORT __attribute__((visibility("default")))
