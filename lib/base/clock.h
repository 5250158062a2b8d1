/* Time: monotonic nanoseconds for deadlines, wall time for objects, and the RFC 3339 forms the Kubernetes API uses. */
#pragma once

#include "base/mem.h"

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

uint64_t now_monotonic_ns(void);
int64_t now_realtime_ns(void); /* since 1970 */

#define RFC3339_MAX 40
/* metav1.Time: "2006-01-02T15:04:05Z"; metav1.MicroTime: "2006-01-02T15:04:05.000000Z". Returns out. */
char *rfc3339_format(int64_t unix_ns, char out[RFC3339_MAX]);
char *rfc3339_format_micro(int64_t unix_ns, char out[RFC3339_MAX]);
char *rfc3339_format_nano(int64_t unix_ns, char out[RFC3339_MAX]); /* always nine digits, as in CRI log lines */
/* By a clock that is so many seconds east of UTC: "2006-01-02T15:04:05+01:00", with Z for 0. */
char *rfc3339_format_offset(int64_t unix_ns, int64_t offset_s, char out[RFC3339_MAX]);
/* a - b, no further than int64_t goes, as Go's time.Time.Sub: times of others may lie anywhere. */
static inline int64_t ns_between(int64_t a, int64_t b) {
    int64_t difference;
    return __builtin_sub_overflow(a, b, &difference) ? (a < b ? INT64_MIN : INT64_MAX) : difference;
}
/* So many seconds after `at`, likewise. */
static inline int64_t ns_after(int64_t at, int64_t seconds) {
    int64_t ns;
    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_SEC, &ns))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return __builtin_add_overflow(at, ns, &ns) ? (seconds < 0 ? INT64_MIN : INT64_MAX) : ns;
}
/* Any RFC 3339 time with offset and fraction. -EINVAL. */
int rfc3339_parse(const char *s, int64_t *ret_unix_ns);

/* Go's time.ParseDuration ("1h2m3.5s"). -EINVAL. */
int duration_parse(const char *s, int64_t *ret_ns);
/* As Go writes a time.Duration: "5m0s", "1.5s", "250ms", "0s". */
char *duration_format(int64_t ns, char out[48]);
/* Kubernetes' short ages ("3m2s", "5d", "2y11d"), duration.HumanDuration of k8s.io/apimachinery. */
char *duration_human(int64_t ns, char out[32]);
