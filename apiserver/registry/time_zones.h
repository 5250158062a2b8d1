/* The names of the IANA time zone database: a fact of the published API's validation, so it does not depend on what the
 * machine has installed. */
#pragma once

#include <stddef.h>

extern const char *const time_zone_names[]; /* sorted; gen/time_zones.c */
extern const size_t time_zone_names_n;
