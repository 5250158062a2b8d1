/* Admission as its table and its plugins' helpers have it. */
#pragma once

#include "apiserver/admission/webhooks.h"

#include <pthread.h>

#define ADMISSION_LOCKS 16 /* namespaces share them */

struct Admission {
    const AdmissionPlugin **plugins; /* in order; owned, the plugins are not */
    size_t n;
    bool (*allows)(void *userdata, const AdmissionQuestion *question, Arena *arena);
    void *userdata;
    Webhooks *webhooks; /* NULL: none are called */
    pthread_mutex_t locks[ADMISSION_LOCKS];
};
