/*
 * custom:wordcount: an example of a plugin
 *
 * Counts the words of a text and tells the most frequent ones. It shows all that a plugin needs: a config
 * with a schema, input and output as JSON (by jansson here; any library will do), errors with codes, log and
 * progress, and coming back soon when nobody waits any more.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <runbook/executor.h>

#define TOP_DEFAULT  10
#define BYTES_A_LOOK 65536 /* between looks at whether anybody waits */

typedef struct Word {
        const char *text;
        size_t size;
        size_t count;
} Word;

typedef struct Words {
        Word *all;
        size_t n, room;
} Words;

/** Words are runs of letters, digits and everything that is not ASCII. */
static bool is_inside(unsigned char c) { return c >= 0x80 || isalnum(c); }

static int by_text(const void *a, const void *b) {
        const Word *x = a, *y = b;
        int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
        return order ? order : (x->size > y->size) - (x->size < y->size);
}

/** The most frequent first, equals by text. */
static int by_count(const void *a, const void *b) {
        const Word *x = a, *y = b;
        return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_text(a, b);
}

static bool add(Words *w, const char *text, size_t size) {
        if (w->n == w->room) {
                size_t room = w->room ? w->room * 2 : 1024;
                Word *all = realloc(w->all, room * sizeof(*all));
                if (!all)
                        return false;
                w->all = all;
                w->room = room;
        }
        w->all[w->n++] = (Word){.text = text, .size = size, .count = 1};
        return true;
}

/**
 * All words of @text, which is made lower-case in its ASCII part. False: no memory, or nobody waits any more.
 */
static bool split(const RunbookPluginHost *host, RunbookPluginCall *call, char *text, size_t size,
                  size_t min_size, Words *words) {
        for (size_t at = 0, looked_at = 0; at < size;) {
                if (at - looked_at >= BYTES_A_LOOK) {
                        looked_at = at;
                        host->progress(call, (double)at / (double)size, "reading");
                        if (host->is_cancelled(call))
                                return false;
                }
                size_t begin = at;
                for (; at < size && is_inside((unsigned char)text[at]); at++)
                        text[at] = (unsigned char)text[at] < 0x80 ? (char)tolower((unsigned char)text[at])
                                                                  : text[at];
                if (at - begin >= min_size && !add(words, text + begin, at - begin))
                        return false;
                at += at == begin;
        }
        return true;
}

/** Make one entry of equal words; how many are left. */
static size_t merge(Words *w) {
        size_t n = 0;
        if (w->n > 0)
                qsort(w->all, w->n, sizeof(*w->all), by_text);
        for (size_t i = 0; i < w->n; i++)
                if (n > 0 && by_text(&w->all[n - 1], &w->all[i]) == 0)
                        w->all[n - 1].count++;
                else
                        w->all[n++] = w->all[i];
        if (n > 0)
                qsort(w->all, n, sizeof(*w->all), by_count);
        return n;
}

static int put_output(const RunbookPluginHost *host, RunbookPluginCall *call, Words *words, size_t top) {
        size_t n_words = words->n, n_different = merge(words);
        json_t *list = json_array();
        for (size_t i = 0; i < n_different && i < top; i++)
                json_array_append_new(list,
                                      json_pack("{s:s%, s:I}", "word", words->all[i].text, words->all[i].size,
                                                "count", (json_int_t)words->all[i].count));
        json_t *output = json_pack("{s:I, s:I, s:o}", "words", (json_int_t)n_words, "different",
                                   (json_int_t)n_different, "top", list);
        char *text = output ? json_dumps(output, JSON_COMPACT) : NULL;
        int status = text ? host->set_output(call, text, strlen(text)) : RUNBOOK_PLUGIN_E_MEMORY;
        free(text);
        json_decref(output);
        return status;
}

static int count(const RunbookPluginHost *host, RunbookPluginCall *call, const json_t *config,
                 const json_t *text) {
        const json_t *top = json_object_get(config, "top"), *min = json_object_get(config, "minLength");
        Words words = {0};
        char *copy = strdup(json_string_value(text));
        int status = -1;
        if (copy && split(host, call, copy, json_string_length(text),
                          min ? (size_t)json_integer_value(min) : 1, &words)) {
                host->log(call, RUNBOOK_PLUGIN_DEBUG, "the text is read", NULL);
                status = put_output(host, call, &words, top ? (size_t)json_integer_value(top) : TOP_DEFAULT);
        } else {
                host->set_error(call, "WORDCOUNT_STOPPED", "out of memory, or cancelled", 1, NULL);
        }
        free(words.all);
        free(copy);
        return status;
}

static int execute(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                   const RunbookPluginTask *task) {
        json_t *config = json_loadb(task->config, task->config_size, 0, NULL);
        json_t *input = json_loadb(task->input, task->input_size, JSON_DECODE_ANY, NULL);
        const json_t *text = json_is_string(input) ? input : json_object_get(input, "text");
        int status = -1;
        (void)userdata;
        if (json_is_string(text))
                status = count(host, call, config, text);
        else
                host->set_error(call, "WORDCOUNT_NO_TEXT",
                                "the input must be a string, or an object with a string \"text\"", 0, NULL);
        json_decref(config);
        json_decref(input);
        return status;
}

static const char config_schema[] =
                "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
                "\"top\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000},"
                "\"minLength\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100}}}";

static const RunbookPluginType types[] = {
                {.type = "custom:wordcount", .config_schema = config_schema, .execute = execute},
};
static const RunbookPlugin plugin = RUNBOOK_PLUGIN_INIT("wordcount", "1.0.0", types);

const RunbookPlugin *runbook_plugin_entry(void) { return &plugin; }
