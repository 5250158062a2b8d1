/* Logging: one line per message on standard error, `time LEVEL component: message`. Secrets are never logged: pass
 * names, not values. Thread-safe (one write per line). The level is a process setting, read from LIGHTER_LOG (error,
 * warn, info, debug) at first use or set by log_set_level. */
#pragma once

#include "base/mem.h"

typedef enum LogLevel { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } LogLevel;

#define LOG_LINE_MAX 4096 /* longer messages are cut */

void log_set_level(LogLevel level);
int log_parse_level(const char *name, LogLevel *ret); /* -EINVAL */
bool log_enabled(LogLevel level);
void log_message(LogLevel level, const char *component, const char *format, ...) _printf_(3, 4);

/* Each .c file that logs defines LOG_COMPONENT before including this header or uses the folder's name. */
#ifndef LOG_COMPONENT
#define LOG_COMPONENT "lighter"
#endif
#define log_error(...) log_message(LOG_ERROR, LOG_COMPONENT, __VA_ARGS__)
#define log_warn(...) log_message(LOG_WARN, LOG_COMPONENT, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, LOG_COMPONENT, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_enabled(LOG_DEBUG))                                                                                    \
            log_message(LOG_DEBUG, LOG_COMPONENT, __VA_ARGS__);                                                        \
    } while (0)
