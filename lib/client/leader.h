/* Leader election by a coordination.k8s.io Lease, as client-go's leaderelection with its defaults: the holder renews;
 * others watch the record and take over when it has not changed for the lease's duration by their own clock. */
#pragma once

#include "client/client.h"
#include "loop/loop.h"

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
    /* Borrowed, or NULL. With it `started` is posted to this loop instead, and losing the lease ends it with 1. */
    Loop *loop;
} LeaderConfig;

/* Starts a thread that competes. Strings are copied. NULL when no thread can be had. */
Leader *leader_new(const LeaderConfig *config);
/* As a component of the control plane competes for its Lease in kube-system: who wins it runs `lead` on the thread of
 * `loop`, where it also ends; for who loses it the loop ends, as the reference does, so that nothing goes on by
 * mistake. */
Leader *leader_of_component(Client *client, const char *component, Loop *loop, void (*lead)(void *userdata),
                            void *userdata);
/* Ends the thread; gives the lease up when this process holds it. */
void leader_free(Leader *leader);
DEFINE_CLEANUP(Leader, leader_free)
/* It holds the lease by its own account, and has not renewed it for longer than that lasts: it should have ended. */
bool leader_is_stuck(const Leader *leader);
/* Fills `v` as a LeaderElectionConfiguration of component-base: does a component compete for this Lease? */
void leader_describe(Arena *arena, Value *v, bool elects, const char *lease);
void leader_write_metrics(const Leader *leader, Buf *out);
