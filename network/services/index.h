/* Services and their EndpointSlices by the Service's name, from two informers of a set that others may share. The proxy
 * and the DNS server of a node stand on one index. Any thread. */
#pragma once

#include "client/informer.h"

#define SERVICE_NAME_LABEL "kubernetes.io/service-name" /* of a slice: whose it is */

typedef struct ServiceIndex ServiceIndex;

typedef struct ServiceRecord {
    Object *service; /* a reference; NULL: there are only slices */
    Object **slices; /* references; owned array */
    size_t n_slices;
} ServiceRecord;
void service_record_done(ServiceRecord *record);
#define _cleanup_service_record_ _cleanup_(service_record_done)

/* Before informer_set_start. The set is borrowed for the index's life, and stopped before the index is freed. */
ServiceIndex *service_index_new(InformerSet *set);
void service_index_free(ServiceIndex *index);
DEFINE_CLEANUP(ServiceIndex, service_index_free)

/* Tells of every Service ("namespace/name") that changed, or whose slices did; on an informer's thread, so it must not
 * block. Before informer_set_start; at most SERVICE_SUBSCRIBERS_MAX. */
#define SERVICE_SUBSCRIBERS_MAX 4
void service_index_subscribe(ServiceIndex *index, void (*changed)(const char *key, void *userdata), void *userdata);

/* Both informers have delivered what there was at the start. */
bool service_index_synced(const ServiceIndex *index);
/* Everything known under the key; an empty record when nothing is. */
void service_index_get(ServiceIndex *index, const char *key, ServiceRecord *ret);
/* Calls fn with every key. It must not call back into the index. */
void service_index_keys(ServiceIndex *index, void (*fn)(const char *key, void *userdata), void *userdata);
