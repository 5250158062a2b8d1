/* Files of the time zone database: what is taken gives an offset for any time, and a wall clock leads back to one. */
#include "base/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int64_t times[] = {-62135596800, -1, 0, 1700000000, 1774746000, 4102444800, 253402300799};
    TimeZone *zone = NULL;
    if (time_zone_parse(data, size, &zone) < 0)
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(times); i++) {
        int64_t offset = time_zone_offset(zone, times[i]);
        if (offset < INT32_MIN || offset > INT32_MAX)
            abort();
        (void)time_zone_to_unix(zone, times[i] + offset);
    }
    time_zone_free(zone);
    return 0;
}
