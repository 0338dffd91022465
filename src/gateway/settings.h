#pragma once
/* What runbook-gateway is told: environment variables, and options of the same names. */

#include "gateway/gateway.h"

#define SETTINGS_COUNT 25

typedef struct Settings {
        const char *values[SETTINGS_COUNT]; /* in the order of the table; NULL: not given */
        const char *origins[GATEWAY_ORIGINS_MAX + 1];
        char *origins_text; /* owned: where they live */
        bool show_help, show_version, check_only;
        int64_t drain_timeout_ms;
        int log_level; /* a LogLevel */
} Settings;

/** 0 and @ret_gateway (whose strings @s holds), or -EINVAL with a sentence that names the wrong value. */
int settings_load(Settings *s, int argc, char *const *argv, GatewaySettings *ret_gateway, Report *report);
void settings_deinit(Settings *s);
void settings_put_help(Buf *b);
/** One "NAME=value" a line, secrets masked. */
void settings_put_values(const Settings *s, Buf *b);
