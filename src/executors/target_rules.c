/* HTTP_TARGET_LIMITS: text into limits by host. */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executors/target_rules.h"

#define NS_PER_MS 1000000.0
#define COUNT_MAX 1000000
#define MS_MAX (366LL * 86400 * 1000) /* a year */
#define WINDOW_DEFAULT_NS (10000LL * 1000000)
#define OPEN_DEFAULT_NS (30000LL * 1000000)
#define BLANKS " \t\r\n"

typedef struct Key {
        const char *name;
        enum { COUNT, DURATION, REAL } kind;
        size_t offset;
        double min, max;
} Key;

#define AT(member) offsetof(GateLimits, member)
static const Key keys[] = {
                {"burst", COUNT, AT(rate.burst), 1, RATE_BURST_MAX},
                {"concurrency", COUNT, AT(concurrency), 1, COUNT_MAX},
                {"failureThreshold", COUNT, AT(breaker.failure_threshold), 1, COUNT_MAX},
                {"halfOpenCalls", COUNT, AT(breaker.half_open_calls), 1, COUNT_MAX},
                {"openMs", DURATION, AT(breaker.open_ns), 1, MS_MAX},
                {"perSecond", REAL, AT(rate.per_second), RATE_PER_SECOND_MIN, RATE_PER_SECOND_MAX},
                {"windowMs", DURATION, AT(breaker.window_ns), 1, MS_MAX},
};

void target_rules_deinit(TargetRules *r) {
        for (size_t i = 0; i < r->n; i++)
                free(r->rules[i].name);
        free(r->rules);
        *r = (TargetRules){0};
}

static int wrong(Report *report, const char *what, const char *word) {
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "HTTP_TARGET_LIMITS: \"%.100s\" %s; an entry is a host and numbers, as in "
                          "\"api.example.com perSecond=10 burst=20\"",
                          word, what);
}

static const Key *key_find(const char *name, size_t n) {
        for (size_t i = 0; i < N_ELEMENTS(keys); i++)
                if (strlen(keys[i].name) == n && !memcmp(keys[i].name, name, n))
                        return &keys[i];
        return NULL;
}

/** One "name=number". */
static int parse_number(const char *word, Report *report, GateLimits *ret) {
        const char *equals = strchr(word, '=');
        const Key *key = equals ? key_find(word, (size_t)(equals - word)) : NULL;
        if (!key)
                return wrong(report,
                             "is none of burst, concurrency, failureThreshold, halfOpenCalls, openMs, "
                             "perSecond and windowMs with a number behind =",
                             word);
        char *end;
        double value = strtod(equals + 1, &end);
        bool whole = key->kind == REAL || (value <= key->max && value == (double)(int64_t)value);
        if (end == equals + 1 || *end || !(value >= key->min && value <= key->max) || !whole)
                return wrong(report, key->kind == REAL ? "must be a number from 0.001 to 1000000"
                                                       : "must be a whole number, from 1 and not too large",
                             word);
        void *at = (char *)ret + key->offset;
        if (key->kind == COUNT)
                *(uint32_t *)at = (uint32_t)value;
        else if (key->kind == DURATION)
                *(int64_t *)at = (int64_t)(value * NS_PER_MS);
        else
                *(double *)at = value;
        return 0;
}

/** What belongs together must be there together; defaults. */
static int check(const char *host, Report *report, GateLimits *l) {
        BreakerSettings *b = &l->breaker;
        if (l->rate.burst > 0 && l->rate.per_second <= 0)
                return wrong(report, "has burst, but not perSecond", host);
        if ((b->half_open_calls > 0 || b->open_ns > 0 || b->window_ns > 0) && b->failure_threshold == 0)
                return wrong(report, "has numbers of a circuit breaker, but not failureThreshold", host);
        if (b->failure_threshold > 0) {
                b->window_ns = b->window_ns > 0 ? b->window_ns : WINDOW_DEFAULT_NS;
                b->open_ns = b->open_ns > 0 ? b->open_ns : OPEN_DEFAULT_NS;
        }
        return 0;
}

/** "name", "*.name", "*", each with ":port" if it likes; IPv6 addresses in brackets. */
static int parse_host(char *word, Report *report, TargetRule *ret) {
        char *colon = word[0] == '[' ? strstr(word, "]:") : strrchr(word, ':');
        if (colon) {
                colon += word[0] == '[';
                char *end;
                unsigned long port = strtoul(colon + 1, &end, 10);
                if (!isdigit((unsigned char)colon[1]) || *end || port == 0 || port > UINT16_MAX)
                        return wrong(report, "has no port from 1 to 65535 behind its colon", word);
                ret->port = (uint16_t)port;
                *colon = 0;
        }
        size_t n = strlen(word);
        if (word[0] == '[' && n > 2 && word[n - 1] == ']') {
                word[n - 1] = 0;
                word++;
        } else if (word[0] == '*' && (word[1] == '.' || word[1] == 0)) {
                word++;
        }
        if (strpbrk(word, "*/[]@="))
                return wrong(report, "is not a host name, an address, *.suffix or *", word);
        ret->name = strdup(word);
        for (char *p = ret->name; p && *p; p++)
                *p = (char)tolower((unsigned char)*p);
        return ret->name ? 0 : -ENOMEM;
}

static int parse_entry(char *entry, Report *report, TargetRules *r) {
        char *rest = NULL, *host = strtok_r(entry, BLANKS, &rest);
        if (!host)
                return 0;
        if (r->n >= TARGET_RULES_MAX)
                return report_set(report, RUNBOOK_LIMIT_EXCEEDED, "HTTP_TARGET_LIMITS has more than %d entries",
                                  TARGET_RULES_MAX);
        TargetRule rule = {0};
        size_t n_words = 0;
        int rc = 0;
        for (char *word; !rc && (word = strtok_r(NULL, BLANKS, &rest)); n_words++)
                rc = parse_number(word, report, &rule.limits);
        if (!rc && n_words == 0)
                rc = wrong(report, "has no limits", host);
        if (!rc)
                rc = check(host, report, &rule.limits);
        if (!rc)
                rc = parse_host(host, report, &rule);
        if (!rc)
                r->rules[r->n++] = rule;
        return rc;
}

int target_rules_parse(const char *list, Report *report, TargetRules *ret) {
        *ret = (TargetRules){0};
        _cleanup_(buf_deinit) Buf text = {0};
        buf_put_str(&text, list ? list : "");
        buf_put_char(&text, 0);
        ret->rules = calloc(TARGET_RULES_MAX, sizeof(*ret->rules));
        if (text.error || !ret->rules)
                return -ENOMEM;
        char *rest = NULL;
        int rc = 0;
        for (char *entry = strtok_r(text.data, ";", &rest); entry && !rc; entry = strtok_r(NULL, ";", &rest))
                rc = parse_entry(entry, report, ret);
        return rc;
}

static bool fits(const TargetRule *rule, const char *host, uint16_t port) {
        size_t n = strlen(rule->name), n_host = strlen(host);
        if (rule->port != 0 && rule->port != port)
                return false;
        if (n == 0)
                return true;
        if (rule->name[0] == '.')
                return n_host > n && !strcmp(host + n_host - n, rule->name);
        return !strcmp(host, rule->name);
}

GateLimits target_rules_find(const TargetRules *r, const char *host, uint16_t port) {
        for (size_t i = 0; i < r->n; i++)
                if (fits(&r->rules[i], host, port))
                        return r->rules[i].limits;
        return (GateLimits){0};
}
