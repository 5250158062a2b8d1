/* One container from image to running process, with the events and waiting reasons of the reference's startContainer.
 */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

#define RETRY_NS (5 * NS_PER_SEC) /* what failed may have been mended meanwhile: a missing ConfigMap, say */

static int fail(PodSync *s, const char *name, const char *reason, const char *message) {
    event_record(s->k->events, s->object, container_field_path(s->arena, s->pod, name), "Warning", "Failed",
                 "Error: %s", message);
    pod_set_waiting(s->p, name, reason, message);
    sync_again(s, RETRY_NS);
    return -EIO;
}

/* The next attempt's number: what the runtime still has, or else what the status remembers. */
static uint32_t next_attempt(PodSync *s, const Value *container, ContainerKind kind, const ContainerStatus *last) {
    static const char *const lists[] = {[CONTAINER_REGULAR] = "containerStatuses",
                                        [CONTAINER_INIT] = "initContainerStatuses",
                                        [CONTAINER_EPHEMERAL] = "ephemeralContainerStatuses"};
    if (last)
        return last->state == CONTAINER_CREATED ? last->attempt : last->attempt + 1;
    const Value *old = status_find(value_get(s->old_status, lists[kind]), value_get_str(container, "name"));
    int64_t count = value_get_int(old, "restartCount", 0);
    bool ran = !str_empty(value_get_str(old, "containerID"));
    return (uint32_t)(ran ? count + 1 : count);
}

static int get_image(PodSync *s, const Value *container, const char *name, Image **ret) {
    const char *reason = NULL, *message = NULL;
    int r = image_ensure(s, container, ret, &reason, &message);
    if (r == -EINPROGRESS) {
        const Waiting *w = strmap_get(s->p->waiting, name);
        /* while a failed pull is tried again the status keeps saying that it failed */
        if (!w || !(streq(w->reason, "ErrImagePull") || streq(w->reason, "ImagePullBackOff")))
            pod_set_waiting(s->p, name, NULL, NULL);
        return -EAGAIN;
    }
    if (r < 0) {
        const Waiting *w = strmap_get(s->p->waiting, name);
        if (!w || !streq(w->reason, reason))
            event_record(s->k->events, s->object, container_field_path(s->arena, s->pod, name), "Warning", "Failed",
                         "Error: %s", reason);
        pod_set_waiting(s->p, name, reason, message);
        sync_again(s, 2 * RETRY_NS);
    }
    return r;
}

/* A container that was made but never started: the agent was killed in between. */
static void remove_unstarted(PodSync *s, const ContainerStatus *last) {
    _cleanup_free_ char *why = NULL;
    if (last && last->state == CONTAINER_CREATED && s->k->runtime->container_remove(s->k->runtime, last->id, &why) < 0)
        log_warn("container %s: %s", last->id, str_or(why, "cannot be removed"));
}

static const Value *volume_of(const PodSync *s, const char *name) {
    const Value *volume;
    VALUE_FOREACH (volume, value_path(s->pod, "spec", "volumes", NULL))
        if (streq_null(value_get_str(volume, "name"), name))
            return volume;
    return NULL;
}

/* As if the container were of the volume's image: its policy, its reasons to wait. */
static int get_volume_image(PodSync *s, const Value *source, const char *name, Image **ret) {
    Value *like = value_object(s->arena);
    value_set_str(s->arena, like, "name", name);
    value_set_str(s->arena, like, "image", str_or(value_get_str(source, "reference"), ""));
    value_set_str(s->arena, like, "imagePullPolicy", str_or(value_get_str(source, "pullPolicy"), "IfNotPresent"));
    return get_image(s, like, name, ret);
}

static int mount_image(PodSync *s, const char *dir, const char *lease, const Image *image, const char *name) {
    int r = image_lease(s->k->images, image->id, lease); /* its layers stay while they are mounted */
    r = r < 0 ? r : volume_image_mount(dir, image->layer_dirs);
    if (r == 0)
        return 0;
    (void)image_release(s->k->images, lease);
    return fail(s, name, "CreateContainerError",
                arena_printf(s->arena, "mounting image %s: %s", image->id, strerror(-r)));
}

char *image_volume_lease(Arena *arena, const char *uid, const char *volume) {
    return arena_printf(arena, "volume-%s-%s", uid, volume);
}

/* The volumes of the container that are images. As container_launch. */
static int get_image_volumes(PodSync *s, const Value *container, const char *name) {
    const Value *mount;
    VALUE_FOREACH (mount, value_get(container, "volumeMounts")) {
        const char *volume = str_or(value_get_str(mount, "name"), "");
        const Value *source = value_get(volume_of(s, volume), "image");
        const char *dir = arena_printf(s->arena, "%s/volumes/kubernetes.io~image/%s", s->p->dir, volume);
        if (!value_is(source, VALUE_OBJECT) || volume_image_is_mounted(dir))
            continue;
        _cleanup_(image_freep) Image *image = NULL;
        int r = get_volume_image(s, source, name, &image);
        r = r < 0 ? r : mount_image(s, dir, image_volume_lease(s->arena, s->p->uid, volume), image, name);
        if (r < 0)
            return r;
    }
    return 0;
}

int container_launch(PodSync *s, const SandboxStatus *sandbox, const Value *container, ContainerKind kind) {
    Runtime *rt = s->k->runtime;
    const char *name = str_or(value_get_str(container, "name"), ""),
               *field = container_field_path(s->arena, s->pod, name);
    const ContainerStatus *last = pod_runtime_find(&s->rt, name);
    _cleanup_(image_freep) Image *image = NULL;
    int r = get_image_volumes(s, container, name);
    r = r < 0 ? r : get_image(s, container, name, &image);
    if (r < 0)
        return r;
    uint32_t attempt = next_attempt(s, container, kind, last);
    ContainerSpec spec;
    const char *error = "";
    r = container_spec_build(s, sandbox, container, image, attempt, &spec, &error);
    if (r < 0)
        return fail(s, name, "CreateContainerConfigError", str_or(error, strerror(-r)));
    r = fs_mkdir_p(arena_printf(s->arena, "%s/%s", s->p->log_dir, name), 0755);
    if (r < 0)
        return fail(s, name, "CreateContainerError",
                    arena_printf(s->arena, "making the log directory of container \"%s\": %s", name, strerror(-r)));
    remove_unstarted(s, last);
    _cleanup_free_ char *id = NULL, *why = NULL;
    r = rt->container_create(rt, sandbox->id, &spec, &id, &why);
    if (r < 0)
        return fail(s, name, "CreateContainerError", str_or(why, strerror(-r)));
    event_record(s->k->events, s->object, field, "Normal", "Created", "Container created");
    s->changed = true;
    r = rt->container_start(rt, id, &why);
    if (r < 0)
        return fail(s, name, "RunContainerError", str_or(why, strerror(-r)));
    event_record(s->k->events, s->object, field, "Normal", "Started", "Container started");
    pod_set_waiting(s->p, name, NULL, NULL);
    hook_start(s, container, id, s->facts.pod_ip);
    return 0;
}
