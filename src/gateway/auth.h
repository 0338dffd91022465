#pragma once
/* Who is asking: from the headers of a request to a user and a tenant. */

#include "gateway/request.h"

int auth_new(const GatewaySettings *settings, Report *report, Auth **ret);
void auth_free(Auth *a);

/** 0: @ret is who asks; AUTH_NEEDS_BODY: auth_from_body tells; -EINVAL with @report (401); -ENOMEM. */
#define AUTH_NEEDS_BODY 1
int auth_from_headers(Auth *a, const Request *r, Identity *ret, Report *report);
/** AUTH_NONE only: what the headers left open is in the body, or has its default. The same results. */
int auth_from_body(const Request *r, Identity *ret, Report *report);
/** Look whether the key files have changed. Now and then, on one thread. */
void auth_refresh(Auth *a);
/** Take @name as a user's or tenant's: 1 to IDENTITY_BYTES_MAX bytes of UTF-8 without control characters. */
bool auth_take_name(Slice name, char ret[IDENTITY_BYTES_MAX + 1]);
