/* Semantic validation of jobs and cron jobs (the reference's pkg/apis/batch/validation). Objects are whole, versioned,
 * normalised and defaulted; metadata is the engine's. Pure; errors in the reference's words and order. */
#pragma once

#include "apiserver/registry/workload_validate.h"

bool job_is_indexed(const Value *spec);
bool job_condition_is(const Value *job, const char *type, const char *status); /* one of its conditions */
/* A list of indexes ("1,3-5") below `completions`: what is wrong with it, in the arena, or NULL and how many it names.
 */
const char *job_indexes_check(Arena *arena, const char *text, int64_t completions, int64_t *ret_total);
/* Says where two such lists overlap; NULL when they do not. */
const char *job_indexes_overlap(Arena *arena, const char *completed, const char *failed, int64_t completions);
/* A schedule in cron's five fields or one of its descriptors: what is wrong with it, or NULL. cron_check.c */
const char *cron_schedule_check(Arena *arena, const char *schedule);
bool time_zone_is_known(const char *name); /* by the IANA database; gen/time_zones.c */
