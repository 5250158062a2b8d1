/* The scalars with a text form of their own, as the Go types of the reference decode and encode them: times and base64
 * bytes. Pure; any thread. Messages are those of Go's time and encoding/base64 packages. */
#pragma once

#include "base/arena.h"

/* A point in time; seconds since 1970 over the whole range of years 0 to 9999 (int64 nanoseconds would end in 2262). */
typedef struct TimePoint {
    int64_t seconds;
    int32_t nanos;
} TimePoint;

#define TIME_ZERO_SECONDS (-62135596800) /* 0001-01-01T00:00:00Z, Go's zero time: JSON null */

/* time.Parse with RFC3339 (metav1.Time) or, `micro`, with exactly six fractional digits (metav1.MicroTime).
 * -EINVAL with *ret_message in the arena. */
int time_point_parse(Arena *arena, const char *s, size_t n, bool micro, TimePoint *ret, char **ret_message);
/* UTC text: to whole seconds, or with six digits. */
#define TIME_POINT_TEXT_MAX 40
void time_point_format(TimePoint t, bool micro, char out[TIME_POINT_TEXT_MAX]);
/* Is the text already what time_point_format writes (and not the zero time)? */
bool time_text_is_canonical(const char *s, size_t n, bool micro);

/* encoding/base64's standard decoding, which skips CR and LF. On failure -EINVAL and *ret_at, the byte the message
 * names. `out` has room for n / 4 * 3 + 3 bytes; NULL only checks. *ret_canonical: would encoding give the same text?
 */
int base64_go_decode(const char *s, size_t n, uint8_t *out, size_t *ret_n, bool *ret_canonical, size_t *ret_at);
