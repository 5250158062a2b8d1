/* How images go: out of the index first, then what no image names any more. */
#include "base/fs.h"
#include "base/strmap.h"
#include "kubelet/images/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static void keep(StrMap *names, const json_t *digests) {
    size_t i;
    json_t *digest;
    json_array_foreach(digests, i, digest) {
        const char *s = json_string_value(digest);
        const char *hex = s ? strrchr(s, ':') : NULL;
        if (hex)
            strmap_put(names, hex + 1, names);
    }
}

static int keep_leased(const ImageStore *store, StrMap *layers) {
    _cleanup_free_ char *path = xasprintf("%s/leases", store->root);
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *file = xasprintf("%s/%s", path, e->d_name);
        _cleanup_json_ json_t *lease = json_load_file(file, 0, NULL);
        keep(layers, json_object_get(lease, "layers"));
    }
    closedir(dir);
    return 0;
}

/* Out of its place in one step, then removed: half a layer must never be where a whole one is looked for. */
static int drop(const ImageStore *store, const char *path, const char *name) {
    _cleanup_free_ char *away = xasprintf("%s/tmp/drop-%s", store->root, name);
    int r = fs_remove_tree(away); /* of a prune that was killed */
    if (r == 0 && rename(path, away) < 0)
        r = -errno;
    return r == 0 ? fs_remove_tree(away) : r;
}

static int drop_unnamed(const ImageStore *store, const char *folder, const StrMap *names, uint64_t *bytes) {
    DIR *dir = opendir(folder);
    if (!dir)
        return -errno;
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || strmap_get(names, e->d_name))
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", folder, e->d_name);
        *bytes += fs_tree_bytes(dirfd(dir), e->d_name);
        r = drop(store, path, e->d_name);
    }
    closedir(dir);
    return r;
}

/* A manifest belongs to the image that carries its digest, so blobs are named by ids and by digests. */
int image_prune(ImageStore *store, uint64_t *ret_bytes) {
    _cleanup_free_ char *use = xasprintf("%s/use.lock", store->root);
    _cleanup_close_ int lock = open(use, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return -errno;
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    Image **images;
    size_t n;
    int r = image_list(store, &images, &n); /* reads what other processes changed */
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        image_free(images[i]);
    free(images);
    _cleanup_(strmap_freep) StrMap *layers = strmap_new(NULL), *blobs = strmap_new(NULL);
    pthread_mutex_lock(&store->mutex);
    json_t *record;
    const char *id;
    json_object_foreach(json_object_get(store->index, "images"), id, record) {
        strmap_put(blobs, id + strlen("sha256:"), blobs);
        keep(layers, json_object_get(record, "layers"));
        keep(blobs, json_object_get(record, "digests"));
    }
    pthread_mutex_unlock(&store->mutex);
    r = keep_leased(store, layers);
    _cleanup_free_ char *layer_folder = xasprintf("%s/layers", store->root);
    _cleanup_free_ char *blob_folder = xasprintf("%s/blobs/sha256", store->root);
    uint64_t bytes = 0;
    if (r == 0)
        r = drop_unnamed(store, layer_folder, layers, &bytes);
    if (r == 0)
        r = drop_unnamed(store, blob_folder, blobs, &bytes);
    if (r == 0)
        *ret_bytes = bytes;
    return r;
}

int image_remove(ImageStore *store, const char *name, char **ret_error) {
    uint64_t bytes;
    if (ret_error)
        *ret_error = NULL;
    int r = store_forget(store, name, ret_error);
    if (r < 0)
        return r;
    r = image_prune(store, &bytes);
    return r == -EBUSY ? 0 : r; /* while images are being pulled; the next prune gets it */
}
