/* News of the packet filter of a network namespace: the kernel tells of every transaction (nfnetlink's group of
 * nftables, NFT_MSG_NEWGEN). Only the end of each is taken, whatever it changed, and what one thread of ours commits is
 * no news. */
#pragma once

#include "base/mem.h"

typedef struct FilterNews FilterNews;

/* In the namespace to hear of. `changed` runs on a thread of its own. Negative errno. */
int filter_news_start(void (*changed)(void *userdata), void *userdata, FilterNews **ret);
/* The calling thread's transactions, from now on, are ours. */
void filter_news_mine(FilterNews *news);
/* `changed` is not called again. NULL is fine. */
void filter_news_stop(FilterNews *news);
DEFINE_CLEANUP(FilterNews, filter_news_stop)
