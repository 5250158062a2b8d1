/* Time zones of the IANA database (Debian's tzdata), by name: RFC 8536 files with the rule of their footer for times
 * past the last transition. libc's own functions know one zone a process. Immutable once loaded: thread-safe. */
#pragma once

#include "base/mem.h"

#define TIME_ZONE_FILE_MAX (256 * 1024)

typedef struct TimeZone TimeZone;

/* -ENOENT for a name that is not in the database (or is no name: a path from outside), -EBADMSG for a file that cannot
 * be read as one. "UTC" and "" need no file. */
int time_zone_load(const char *name, TimeZone **ret);
void time_zone_free(TimeZone *zone);
DEFINE_CLEANUP(TimeZone, time_zone_free)
/* Seconds east of UTC at this time (seconds since 1970). NULL: UTC. */
int64_t time_zone_offset(const TimeZone *zone, int64_t unix_s);
/* From what a clock on the wall shows, as seconds since 1970 of that clock. A time that is skipped or comes twice is
 * taken as Go's time.Date does. */
int64_t time_zone_to_unix(const TimeZone *zone, int64_t wall_s);

/* For tests and fuzzing: the bytes of such a file. */
int time_zone_parse(const void *data, size_t n, TimeZone **ret);
