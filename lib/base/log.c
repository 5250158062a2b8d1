#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const NAMES[] = {"error", "warn", "info", "debug"};

/* The one process-wide setting there is; -1 until first use. */
static atomic_int current = -1;

int log_parse_level(const char *name, LogLevel *ret) {
    for (size_t i = 0; i < ELEMENTSOF(NAMES); i++)
        if (strcmp(name, NAMES[i]) == 0) {
            *ret = (LogLevel)i;
            return 0;
        }
    return -EINVAL;
}

void log_set_level(LogLevel level) {
    atomic_store(&current, (int)level);
}

bool log_enabled(LogLevel level) {
    int now = atomic_load(&current);
    if (now < 0) {
        LogLevel from_env = LOG_INFO;
        const char *env = getenv("LIGHTER_LOG");
        if (env)
            (void)log_parse_level(env, &from_env);
        atomic_store(&current, (int)from_env);
        now = (int)from_env;
    }
    return (int)level <= now;
}

void log_message(LogLevel level, const char *component, const char *format, ...) {
    if (!log_enabled(level))
        return;
    int saved = errno;
    char line[LOG_LINE_MAX];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    int n =
        snprintf(line, sizeof line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-5s %s: ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, NAMES[level], component);
    va_list ap;
    va_start(ap, format);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, ap);
    va_end(ap);
    size_t len = MIN((size_t)n + (size_t)MAX(m, 0), sizeof line - 2);
    for (size_t i = (size_t)n; i < len; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[len++] = '\n';
    (void)!write(STDERR_FILENO, line, len);
    errno = saved;
}
