/* What a job says of itself, and its lists of indexes ("1,3-5"). */
#include <inttypes.h>

#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/job_validate.h"
#include "apiserver/registry/validate_util.h"

bool job_is_indexed(const Value *spec) {
    return streq(text_of(spec, "completionMode"), "Indexed");
}

bool job_condition_is(const Value *job, const char *type, const char *status) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(job, "status", "conditions", NULL))
        if (streq(text_of(condition, "type"), type) && streq(text_of(condition, "status"), status))
            return true;
    return false;
}

typedef struct Interval {
    int64_t first, last;
} Interval;

static const char *parse_index(Arena *arena, const char *text, int64_t completions, int64_t *ret) {
    /* strconv.Atoi takes a sign. */
    const char *digits = *text == '+' || *text == '-' ? text + 1 : text;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits) || str_to_int64(digits, ret) < 0)
        return arena_printf(arena, "cannot convert string to integer for index: %s", go_quoted(arena, text));
    *ret = *text == '-' ? -*ret : *ret;
    return *ret >= completions ? arena_printf(arena, "too large index: %s", go_quoted(arena, text)) : NULL;
}

static const char *parse_interval(Arena *arena, const char *text, int64_t completions, Interval *ret) {
    size_t n;
    char **parts = str_split(arena, text, '-', &n);
    if (n == 0)
        return arena_strdup(arena, "cannot convert string to integer for index: \"\"");
    if (n > 2)
        return arena_printf(
            arena,
            "the fragment %s violates the requirement that an index interval can have at most two parts "
            "separated by '-'",
            go_quoted(arena, text));
    const char *wrong = parse_index(arena, parts[0], completions, &ret->first);
    ret->last = ret->first;
    if (wrong || n == 1)
        return wrong;
    wrong = parse_index(arena, parts[1], completions, &ret->last);
    if (!wrong && ret->first >= ret->last)
        wrong = arena_printf(arena, "non-increasing order, previous: %" PRId64 ", current: %" PRId64, ret->first,
                             ret->last);
    return wrong;
}

const char *job_indexes_check(Arena *arena, const char *text, int64_t completions, int64_t *ret_total) {
    int64_t total = 0, last = -1;
    size_t n = 0;
    char **parts = str_split(arena, text, ',', &n);
    for (size_t i = 0; *text && i < n; i++) {
        Interval interval;
        const char *wrong = parse_interval(arena, parts[i], completions, &interval);
        if (!wrong && i && last >= interval.first)
            wrong = arena_printf(arena, "non-increasing order, previous: %" PRId64 ", current: %" PRId64, last,
                                 interval.first);
        if (wrong)
            return wrong;
        total += interval.last - interval.first + 1;
        last = interval.last;
    }
    *ret_total = total;
    return NULL;
}

/* The first of these intervals from *pos on that parses; false at the end. */
static bool next_interval(Arena *arena, char **parts, size_t n, int64_t completions, size_t *pos, Interval *ret) {
    for (; *pos < n; (*pos)++)
        if (!parse_interval(arena, parts[*pos], completions, ret))
            return true;
    return false;
}

const char *job_indexes_overlap(Arena *arena, const char *completed, const char *failed, int64_t completions) {
    size_t n = 0, m = 0, i = 0, j = 0;
    Interval c, f;
    if (!*completed || !*failed)
        return NULL;
    char **a = str_split(arena, completed, ',', &n), **b = str_split(arena, failed, ',', &m);
    while (next_interval(arena, a, n, completions, &i, &c) && next_interval(arena, b, m, completions, &j, &f)) {
        if (c.first <= f.last && f.first <= c.last)
            return arena_printf(arena, "failedIndexes and completedIndexes overlap at index: %" PRId64,
                                MAX(c.first, f.first));
        if (c.first <= f.first)
            i++;
        else
            j++;
    }
    return NULL;
}
