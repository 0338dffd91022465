#pragma once
/* call-service over gRPC: what others than the executor of HTTP, which makes the calls, need to know. */

#include "json/json_read.h"
#include "model/runbook.h"

/**
 * Check the config of a step as it stands in a definition: descriptors, service, method, and a body without templates.
 * Steps that are no gRPC calls are fine. In a build without gRPC every gRPC call is a fault. 0; -EINVAL with the faults
 * reported at @config; -ENOMEM. Any thread.
 */
int grpc_config_check(const RunbookStep *step, const JsonAt *config);
