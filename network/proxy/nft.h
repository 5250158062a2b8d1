/* The kernel's packet filter through libnftables, in the network namespace of the calling thread. Blocking; a context a
 * call, so any thread. */
#pragma once

#include "base/mem.h"

/* Runs commands as one transaction: all or nothing. -EIO with libnftables' words in *ret_error. */
int nft_run(const char *script, char **ret_error);
typedef struct NftNames {
    char **chains, **sets; /* NULL-terminated; owned */
} NftNames;
/* The names of a table's chains and sets; none when there is no such table. -EIO. */
int nft_names(const char *table, NftNames *ret, char **ret_error);
void nft_names_done(NftNames *names);
#define _cleanup_nft_names_ _cleanup_(nft_names_done)
