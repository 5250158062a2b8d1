/* What a controller's file sees of the frame. init runs once before the informers start: it makes its queues, asks for
 * informers and adds handlers. Its queues are held until every informer it asked for is filled. Teardown: informers
 * stop, then queues are freed (running syncs end), then free runs. */
#pragma once

#include "client/client.h"
#include "client/discovery.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"
#include "controllers/controllers.h"

typedef struct Controller Controller;

typedef struct ControllerRow {
    const char *name;    /* the reference's, as in --controllers */
    const char *account; /* the service account it acts as; NULL: the name; "": none, it is the manager itself */
    bool off_by_default; /* only by its name, not by "*" */
    /* NULL: this configuration does not need the controller. */
    void *(*init)(Controller *controller);
    void (*ready)(void *data); /* the caches are filled, before the queues are released; may be NULL */
    void (*free)(void *data);  /* may be NULL: free() */
} ControllerRow;

#define CONTROLLER_QUEUES_MAX 4
#define CONTROLLER_NEEDS_MAX 96

Client *controller_client(const Controller *controller); /* acts as the row's account */
const ControllersConfig *controller_config(const Controller *controller);
/* The informer of all namespaces, shared. */
Informer *controller_informer(Controller *controller, const char *group, const char *version, const char *plural);
/* The same with a field selector ("metadata.name=x"): a cache of its own. */
Informer *controller_informer_selected(Controller *controller, const char *group, const char *version,
                                       const char *plural, const char *field_selector);
Informer *controller_informer_metadata(Controller *controller, const Resource *resource);
/* What the server serves, custom and aggregated resources included: shared, and looked at again when definitions change
 * and every CONTROLLER_DISCOVERY_SECONDS. */
Discovery *controller_discovery(const Controller *controller);
#define CONTROLLER_DISCOVERY_SECONDS 30 /* as the reference's garbage collector and quota controller */
/* Calls `changed` after each look, one at a time, also when it shows nothing new; the first time before the
 * controller's queues are released, which wait for the informers added then too (30 s at most). From init only. */
void controller_on_discovery(Controller *controller, void (*changed)(Discovery *discovery, void *userdata),
                             void *userdata);
/* While the controllers run: as informer_add_metadata. */
Informer *controller_add_informer(const Controller *controller, const Resource *resource,
                                  const InformerHandler *handler, void *userdata);
WorkQueue *controller_queue(Controller *controller, const char *name, unsigned workers,
                            int (*sync)(const char *key, void *userdata), void *userdata);
/* The recorder with the reference's component name ("replicaset-controller"); the frame frees it. */
EventRecorder *controller_events(Controller *controller, const char *component);

#define CONTROLLER_KEY_MAX 512
/* Work queue keys: "namespace/name", or "name" for cluster-scoped objects. */
void controller_enqueue(WorkQueue *queue, const Object *object);
void controller_enqueue_after(WorkQueue *queue, const Object *object, uint64_t delay_ns);
/* What wakes a queue (wake.c). From init only. Each object of the informer, as it comes, changes and goes. */
void controller_watch(Informer *informer, WorkQueue *queue);
/* The controller of each object of `owned` among `owners`, and the one that it had before; of an object that has none,
 * those whose selector matches it. */
void controller_watch_owned(Controller *controller, Informer *owned, Informer *owners, WorkQueue *queue);
typedef struct Ownership {
    Informer *owners;
    WorkQueue *queue;
} Ownership;
#define CONTROLLER_OWNERSHIPS_MAX 4
Ownership *controller_ownership(Controller *controller, Informer *owners, WorkQueue *queue); /* the frame's */
/* spec.selector of an object of this kind; NULL: it has none. */
Selector *controller_selector(const Resource *owners, const Value *spec);
/* The object of this informer's kind that controls `owned`, by name and uid; NULL when it has no such controller. The
 * caller's reference. */
Object *controller_owner(Informer *owners, const Object *owned);
typedef struct KeyParts {
    char ns[256], name[256];
} KeyParts;
bool controller_key_split(const char *key, KeyParts *ret);

/* One row a file. */
extern const ControllerRow controller_replicaset, controller_replicationcontroller, controller_deployment,
    controller_namespace, controller_serviceaccount, controller_root_ca, controller_garbage_collector, controller_podgc,
    controller_nodelifecycle, controller_taint_eviction, controller_nodeipam, controller_endpointslice,
    controller_endpoints, controller_job, controller_ttl_after_finished, controller_cronjob, controller_daemonset,
    controller_statefulset, controller_disruption, controller_pvc_protection, controller_pv_protection,
    controller_vac_protection, controller_resource_quota, controller_account_tokens, controller_clusterrole_aggregation,
    controller_endpointslice_mirroring, controller_service_cidr, controller_certificate_signing,
    controller_certificate_approving, controller_certificate_cleaner, controller_ephemeral_volume, controller_node_ttl,
    controller_bootstrap_signer, controller_token_cleaner;
