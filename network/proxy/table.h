/* What the kernel's table holds, as far as Services made it, and the script that takes it from there to what they want
 * now: only what differs is written. Holds names and digests, no texts. Not thread-safe.
 *
 * A round: proxy_table_begin, proxy_table_set for each Service that changed, proxy_table_script; the caller runs the
 * script as one transaction and, when that fails, starts over with proxy_table_reset. */
#pragma once

#include "network/proxy/rules.h"

#define PROXY_SCRIPT_MAX (256 * 1024 * 1024)
/* A kernel before 6.2 takes a chain for referenced some moments longer than an element of a map refers to it: chains
 * are emptied first and deleted so much later. */
#define PROXY_STALE_NS (1000000000ull)

typedef struct ProxyTable ProxyTable;
ProxyTable *proxy_table_new(const char *name);
void proxy_table_free(ProxyTable *table);
DEFINE_CLEANUP(ProxyTable, proxy_table_free)

void proxy_table_begin(ProxyTable *table);
/* Forgets everything: the round writes the fixed part and every Service anew. `existing`: names of the chains and sets
 * that are there (NULL-terminated lists); those of Services that nobody claims in this round go. Sets that are claimed
 * keep what they have learned. After proxy_table_begin. */
void proxy_table_reset(ProxyTable *table, const ProxySettings *settings, const char *const *existing_chains,
                       const char *const *existing_sets);
/* Replaces what the Service has; an empty list removes it. False when another Service holds an element that this one
 * wants too (an address and port claimed twice): the first keeps it. */
bool proxy_table_set(ProxyTable *table, const char *service, const RuleList *rules);
/* The round's script, NULL when there is nothing to do; owned by the caller. -E2BIG past PROXY_SCRIPT_MAX. Names a
 * later retry as useful when an element became free in this round. */
int proxy_table_script(ProxyTable *table, uint64_t now_ns, char **ret, bool *ret_freed);
/* A script that deletes the chains that have been empty for PROXY_STALE_NS, NULL when there is none; a failure of it
 * harms nobody. *ret_next_ns: when the next may be due; 0: none waits. */
char *proxy_table_sweep(ProxyTable *table, uint64_t now_ns, uint64_t *ret_next_ns);
