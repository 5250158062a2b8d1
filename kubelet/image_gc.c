/* Images that nothing uses are removed when the disk fills, the longest unused first, as the reference's image garbage
 * collector. What is known of an image (when it was first seen and last used) starts over with the agent. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <sys/statvfs.h>

#define MIN_AGE_NS (120 * NS_PER_SEC) /* imageMinimumGCAge: one just pulled has a pod on its way */

typedef struct Record {
    uint64_t first_seen, last_used; /* monotonic; last_used 0: never */
    bool used, there;
} Record;

struct ImageGc {
    pthread_mutex_t lock;
    StrMap *records; /* image id -> Record */
};

struct ImageGc *image_gc_new(void) {
    struct ImageGc *gc = NEW0(struct ImageGc);
    pthread_mutex_init(&gc->lock, NULL);
    gc->records = strmap_new(free);
    return gc;
}

void image_gc_free(struct ImageGc *gc) {
    if (!gc)
        return;
    strmap_free(gc->records);
    pthread_mutex_destroy(&gc->lock);
    free(gc);
}

typedef struct Candidate {
    char *id;
    uint64_t size, last_used, first_seen;
} Candidate;

static int oldest_first(const void *a, const void *b) {
    const Candidate *x = a, *y = b;
    if (x->last_used != y->last_used)
        return x->last_used < y->last_used ? -1 : 1;
    return x->first_seen < y->first_seen ? -1 : x->first_seen > y->first_seen;
}

static void mark_used(Kubelet *k, struct ImageGc *gc, uint64_t now) {
    ContainerStatus *containers = NULL;
    size_t n = 0;
    if (k->runtime->container_list(k->runtime, NULL, &containers, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        Record *r = strmap_get(gc->records, str_or(containers[i].image_id, ""));
        if (r) {
            r->used = true;
            r->last_used = now;
        }
        container_status_done(&containers[i]);
    }
    free(containers);
}

static void forget_gone(struct ImageGc *gc) {
    for (bool again = true; again;) {
        const char *id, *gone = NULL;
        Record *r;
        STRMAP_FOREACH (gc->records, id, r)
            if (!r->there)
                gone = id;
        again = gone != NULL;
        if (gone)
            free(strmap_take(gc->records, gone));
    }
}

/* Under the lock: looks at what there is, and gives what may go. */
static Candidate *find_unused(Kubelet *k, struct ImageGc *gc, size_t *ret_n) {
    Image **images = NULL;
    size_t n = 0, n_out = 0;
    uint64_t now = now_monotonic_ns();
    const char *id;
    Record *r;
    *ret_n = 0;
    if (image_list(k->images, &images, &n) < 0)
        return NULL;
    STRMAP_FOREACH (gc->records, id, r)
        r->used = r->there = false;
    for (size_t i = 0; i < n; i++) {
        r = strmap_get(gc->records, images[i]->id);
        if (!r) {
            r = NEW0(Record);
            r->first_seen = now;
            strmap_put(gc->records, images[i]->id, r);
        }
        r->there = true;
    }
    mark_used(k, gc, now);
    Candidate *list = NEWN0(Candidate, n);
    for (size_t i = 0; i < n; i++) {
        r = strmap_get(gc->records, images[i]->id);
        if (!r->used && now - r->first_seen >= MIN_AGE_NS)
            list[n_out++] = (Candidate){xstrdup(images[i]->id), images[i]->size, r->last_used, r->first_seen};
        image_free(images[i]);
    }
    free(images);
    forget_gone(gc);
    if (n_out > 1)
        qsort(list, n_out, sizeof *list, oldest_first);
    *ret_n = n_out;
    return list;
}

/* Removes until so many bytes are free; *ret_bytes: how many became so. */
static int free_images(Kubelet *k, uint64_t wanted, uint64_t *ret_bytes) {
    struct ImageGc *gc = k->image_gc;
    size_t n;
    uint64_t removed = 0, pruned = 0;
    pthread_mutex_lock(&gc->lock);
    Candidate *list = find_unused(k, gc, &n);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *why = NULL;
        if (removed < wanted && !k->stopping) {
            int r = image_remove(k->images, list[i].id, &why);
            if (r < 0)
                log_warn("image %s cannot be removed: %s", list[i].id, str_or(why, strerror(-r)));
            else
                log_info("removed the unused image %s of %llu bytes", list[i].id, (unsigned long long)list[i].size);
            removed += r < 0 ? 0 : list[i].size;
        }
        free(list[i].id);
    }
    free(list);
    int r = image_prune(k->images, &pruned); /* -EBUSY while one is pulled: the next time */
    pthread_mutex_unlock(&gc->lock);
    if (ret_bytes)
        *ret_bytes = r < 0 ? 0 : MAX(removed, pruned);
    return r == -EBUSY ? 0 : r;
}

int image_gc_unused(Kubelet *k, uint64_t *ret_bytes) {
    return free_images(k, UINT64_MAX, ret_bytes);
}

static Object *node_ref(Kubelet *k) {
    pthread_mutex_lock(&k->lock);
    Object *node = k->node_ref ? object_ref(k->node_ref) : NULL;
    pthread_mutex_unlock(&k->lock);
    return node;
}

int image_gc_sync(Kubelet *k) {
    struct statvfs fs;
    if (statvfs(image_store_root(k->images), &fs) < 0)
        return -errno;
    uint64_t capacity = (uint64_t)fs.f_blocks * fs.f_frsize, available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t full = capacity ? 100 - available * 100 / capacity : 0;
    if (full < (uint64_t)k->config.image_gc_high) {
        pthread_mutex_lock(&k->image_gc->lock); /* who uses what is noted each time */
        size_t n;
        Candidate *list = find_unused(k, k->image_gc, &n);
        pthread_mutex_unlock(&k->image_gc->lock);
        for (size_t i = 0; i < n; i++)
            free(list[i].id);
        free(list);
        return 0;
    }
    uint64_t keep = capacity / 100 * (uint64_t)(100 - k->config.image_gc_low);
    uint64_t wanted = keep > available ? keep - available : 0, freed = 0;
    log_info("the disk is %llu %% full: removing unused images", (unsigned long long)full);
    int r = free_images(k, wanted, &freed);
    _cleanup_object_ Object *node = node_ref(k);
    if (r == 0 && freed < wanted && node)
        event_record(
            k->events, node, NULL, "Warning", "FreeDiskSpaceFailed",
            "Failed to garbage collect required amount of images. Attempted to free %llu bytes, but only found "
            "%llu bytes eligible to free.",
            (unsigned long long)wanted, (unsigned long long)freed);
    return r;
}
