#pragma once
/*
 * Text for terminals: what others wrote is never sent raw (control characters could move the cursor or
 * worse), columns are counted as they are shown, times and durations are written for people.
 */

#include "base/buf.h"
#include "cli/cli.h"

typedef enum TextColor {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_DIM,
        COLOR_RED,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_BLUE,
        COLOR_MAGENTA,
        COLOR_CYAN,
        N_COLORS
} TextColor;

#define TEXT_ANY_WIDTH 0

/**
 * Append @s safe for the terminal: control and direction-changing characters and what is not UTF-8 as '?',
 * line breaks as blanks, what the terminal's character set lacks as '?'. Cut with "…" ("..." without UTF-8)
 * to @width columns unless that is TEXT_ANY_WIDTH. Returns the columns used.
 */
int text_put(Buf *b, const CliTerm *term, Slice s, int width);
static inline int text_put_str(Buf *b, const CliTerm *term, const char *s, int width) {
        return text_put(b, term, slice_from_str(s), width);
}
/** The same, keeping line breaks, each line indented by @indent blanks. */
void text_put_lines(Buf *b, const CliTerm *term, Slice s, int indent);
/** Columns that text_put would use. */
int text_width(const CliTerm *term, Slice s);
/** Blanks. */
void text_pad(Buf *b, int n);
/** Start and end of a colour; nothing when the terminal has none. */
void text_color(Buf *b, const CliTerm *term, TextColor color);
void text_plain(Buf *b, const CliTerm *term);

/** A line of @name, dim and @name_width columns wide, and @value; nothing for an empty value. */
void text_put_property(Buf *b, const CliTerm *term, int name_width, const char *name, const char *value);

/** "0.4s", "12.0s", "3:05", "2:03:04", "5d 02:03". */
void text_put_duration(Buf *b, int64_t ms);
/** Local time: "14:03:22" today, else "2026-01-02 14:03:22". @now_ms tells today. */
void text_put_time(Buf *b, int64_t unix_ms, int64_t now_ms);
/** "30s", "5m", "1h30m", "250ms", "2d"; a bare number is seconds. False if it is none, or over ten years. */
bool text_parse_duration(Slice s, int64_t *ret_ms);
/** An RFC 3339 time, a date (local midnight), or a duration ago. */
bool text_parse_time(Slice s, int64_t now_ms, int64_t *ret_unix_ms);

/** Append @s as one word of a POSIX shell, quoted if need be. */
void text_put_shell(Buf *b, Slice s);
