#pragma once
/* The process's own log: JSON lines on stderr. Only floors 4 and up log. */

#include "base/slice.h"

#define LOG_VALUE_MAX 4096      /* bytes of one value */
#define LOG_LINE_MAX (64 << 10) /* bytes of a line; pairs that would pass it are left out */

typedef enum LogLevel { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG } LogLevel;

/**
 * To be called first in main: a program that is started with a closed stdin, stdout or stderr would get its place for
 * the first file or socket that it opens, and then read from that or write messages into it. What is closed becomes
 * a descriptor that every use of fails. 0 or negative errno.
 */
int log_claim_streams(void);
/** Lines above @level are dropped. Default LOG_INFO. Process-wide, set once at start. */
void log_set_level(LogLevel level);
/** The same by its name: "error", "warn", "info", "debug"; others change nothing. */
void log_set_level_name(const char *name);
LogLevel log_level(void);
/**
 * One JSON line: "time", "level", "message", then the pairs. Thread-safe, one write(2); keeps errno.
 * Values are cut at LOG_VALUE_MAX bytes, a line at LOG_LINE_MAX; bytes that are not UTF-8 show as U+FFFD.
 */
void log_event(LogLevel level, const char *message, ...) __attribute__((sentinel));
/* Pairs are (const char *key, const char *value)…, NULL:
 * log_event(LOG_WARN, "nats is away", "url", url, NULL);
 * log_event(LOG_INFO, "started", NULL) has no pairs. A NULL value is written as null. */
void log_printf(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));
