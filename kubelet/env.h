/* A container's environment: env, envFrom, service variables and $(NAME) expansion, as the reference's
 * makeEnvironmentVariables. */
#pragma once

#include "kubelet/runtime/runtime.h"
#include "kubelet/volumes/source.h"

#define ENV_MAX 16384 /* variables of one container */

typedef struct EnvContext {
    const ObjectSource *source;
    const PodFacts *facts;
    Object *const *services; /* those that the pod may see; borrowed */
    size_t n_services;
} EnvContext;

/* Expands $(NAME) references; "$$" is "$"; a name without a value stays as it stands. `lookup` gives NULL when absent.
 */
const char *env_expand(Arena *arena, const char *text, const char *(*lookup)(const char *name, void *userdata),
                       void *userdata);
/* *ret in the arena. -ENOENT, -EINVAL, -EHOSTUNREACH ... with the sentence that the pod's status shows. */
int env_build(Arena *arena, const EnvContext *context, const Value *pod, const Value *container, RuntimePair **ret,
              size_t *ret_n, const char **ret_error);
/* The container's command or args with references to its environment expanded; NULL-terminated; NULL when not set. */
const char *const *env_expand_list(Arena *arena, const Value *list, const RuntimePair *env, size_t n_env);
