/* Leader election by a coordination.k8s.io Lease, as client-go's leaderelection with its defaults: the holder renews;
 * others watch the record and take over when it has not changed for the lease's duration by their own clock. */
#pragma once

#include "client/client.h"

#define LEADER_LEASE_SECONDS 15
#define LEADER_RENEW_SECONDS 10
#define LEADER_RETRY_SECONDS 2
#define LEADER_TOLERANCE_SECONDS 20 /* past the lease's end, before a leader that cannot renew it counts as ill */

typedef struct Leader Leader;

typedef struct LeaderConfig {
    Client *client;
    const char *ns, *name; /* of the Lease; "kube-system" and the component's */
    const char *identity;  /* unique to this process */
    /* Both on the leader's thread. `started` may block for as long as it likes to start things; `stopped` runs when
     * leadership was lost (not on leader_free). */
    void (*started)(void *userdata);
    void (*stopped)(void *userdata);
    void *userdata;
} LeaderConfig;

/* One that no other process has: the machine's name and a UUID. Owned by the caller. */
char *leader_identity(void);
/* Starts a thread that competes. Strings are copied. NULL when no thread can be had. */
Leader *leader_new(const LeaderConfig *config);
/* Ends the thread; gives the lease up when this process holds it. */
void leader_free(Leader *leader);
DEFINE_CLEANUP(Leader, leader_free)
/* It holds the lease by its own account, and has not renewed it for longer than that lasts: it should have ended. */
bool leader_is_stuck(const Leader *leader);
/* Fills `v` as a LeaderElectionConfiguration of component-base: does a component compete for this Lease? */
void leader_describe(Arena *arena, Value *v, bool elects, const char *lease);
void leader_write_metrics(const Leader *leader, Buf *out);
