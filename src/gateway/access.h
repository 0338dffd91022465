#pragma once
/* Who may read which execution: what the engine has said about it, remembered. */

#include "base/uuid.h"
#include "gateway/request.h"

typedef enum Access { ACCESS_UNKNOWN, ACCESS_ALLOWED, ACCESS_DENIED } Access;

AccessTable *access_table_new(void);
void access_table_free(AccessTable *t);
Access access_look_up(AccessTable *t, const Identity *who, Uuid execution);
void access_remember(AccessTable *t, const Identity *who, Uuid execution, bool allowed);
