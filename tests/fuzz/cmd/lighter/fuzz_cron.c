/* Schedules: what the API server takes, the controller can read, and its next time is later. */
#include "apiserver/registry/job_validate.h"
#include "base/clock.h"
#include "base/str.h"
#include "controllers/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char *text = arena_strndup(arena, (const char *)data, size);
    CronSchedule schedule;
    const char *wrong = cron_schedule_check(arena, text);
    int r = cron_parse(text, &schedule);
    if (!wrong && r < 0 && !str_has_prefix(text, "TZ=") && !str_has_prefix(text, "CRON_TZ="))
        abort();
    if (r < 0)
        return 0;
    int64_t now = 1700000000 * (int64_t)NS_PER_SEC;
    for (int i = 0; i < 4; i++) {
        int64_t next = cron_next(&schedule, NULL, now);
        if (next == 0)
            break;
        if (next <= now)
            abort();
        now = next;
    }
    return 0;
}
