/* A controller as the frame has it. */
#pragma once

#include "controllers/controller.h"

struct Controller {
    const ControllerRow *row;
    const ControllersConfig *config; /* borrowed from the frame, as the next two */
    InformerSet *informers;
    Discovery *discovery;
    Client *client; /* NULL: the manager's */
    void *data;
    Informer *needs[CONTROLLER_NEEDS_MAX];
    size_t n_needs;
    WorkQueue *queues[CONTROLLER_QUEUES_MAX];
    size_t n_queues;
    Ownership ownerships[CONTROLLER_OWNERSHIPS_MAX];
    size_t n_ownerships;
    EventRecorder *events;
    void (*discovered)(Discovery *discovery, void *userdata);
    void *discovered_userdata;
};
