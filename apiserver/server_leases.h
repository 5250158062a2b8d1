/* Which servers of a shared store are there: each keeps a row below /registry/masterleases that goes by itself soon
 * after its server does, as the reference's lease reconciler has it. A row is an Endpoints object with one address and
 * one port. */
#pragma once

#include "apiserver/storage/store.h"

#define SERVER_LEASE_SECONDS 15 /* --master-lease of the reference; renewed more often than that */

/* To be called once before the others, and before any other thread writes: the store must be shared. */
void server_leases_set_up(Store *store);
/* Blocks; errors of the store. */
int server_lease_renew(Store *store, const char *address, uint16_t port);
int server_lease_end(Store *store, const char *address, uint16_t port);
/* The addresses of the servers there are, in order and each once, in the arena, NULL-terminated; and their port (of
 * those with different ports, the first's are given). */
int server_leases_read(Store *store, Arena *arena, const char *const **ret_addresses, uint16_t *ret_port);
