#include "kubelet/images/store.h"

#define LOG_COMPONENT "images"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "kubelet/unpack/digest.h"
#include "kubelet/images/reference.h"
#include "kubelet/images/unpacker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define CLEAN_TRIES 20 /* of CLEAN_WAIT_US each */
#define CLEAN_WAIT_US 10000

int store_fail(char **ret_error, int r, char *message) {
    if (ret_error && !*ret_error)
        *ret_error = message;
    else
        free(message);
    return r;
}

static char *store_path(const ImageStore *store, const char *name) {
    return xasprintf("%s/%s", store->root, name);
}

static char *layer_path(const ImageStore *store, const char *diff_id) {
    return xasprintf("%s/layers/%s", store->root, diff_id + strlen("sha256:"));
}

static char *blob_path(const ImageStore *store, const char *digest) {
    return xasprintf("%s/blobs/sha256/%s", store->root, digest + strlen("sha256:"));
}

static int lock_file(const ImageStore *store, const char *name, int operation) {
    _cleanup_free_ char *path = store_path(store, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    while (flock(fd, operation) < 0)
        if (errno != EINTR) {
            int r = -errno;
            close(fd);
            return r;
        }
    return fd;
}

/* Reads images.json again when another process has replaced it. Under the mutex. */
static int index_refresh(ImageStore *store) {
    _cleanup_free_ char *path = store_path(store, "images.json");
    struct stat st;
    if (stat(path, &st) < 0) {
        if (errno != ENOENT)
            return -errno;
        json_decref(store->index);
        store->index = json_pack("{s:{}}", "images");
        store->index_stat = (struct stat){0};
        return 0;
    }
    if (store->index && st.st_ino == store->index_stat.st_ino &&
        st.st_mtim.tv_sec == store->index_stat.st_mtim.tv_sec &&
        st.st_mtim.tv_nsec == store->index_stat.st_mtim.tv_nsec)
        return 0;
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = fs_read_file(path, INDEX_MAX, &text, &n);
    if (r < 0)
        return r;
    json_error_t e;
    json_t *index = json_loadb(text, n, 0, &e);
    if (!json_is_object(json_object_get(index, "images"))) {
        json_decref(index);
        return -EBADMSG;
    }
    json_decref(store->index);
    store->index = index;
    store->index_stat = st;
    return 0;
}

static int index_write(ImageStore *store) {
    _cleanup_free_ char *path = store_path(store, "images.json");
    _cleanup_free_ char *text = json_dumps(store->index, JSON_INDENT(1) | JSON_SORT_KEYS);
    int r = fs_write_atomic(path, text, strlen(text), 0600);
    store->index_stat = (struct stat){0};
    return r;
}

/* Opens images.json for a change: both locks. */
static int index_lock(ImageStore *store, int *ret_lock) {
    int fd = lock_file(store, "lock", LOCK_EX);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&store->mutex);
    int r = index_refresh(store);
    if (r < 0) {
        pthread_mutex_unlock(&store->mutex);
        close(fd);
        return r;
    }
    *ret_lock = fd;
    return 0;
}

static void index_unlock(ImageStore *store, int lock) {
    pthread_mutex_unlock(&store->mutex);
    close(lock);
}

/* What a crash left in tmp/: nobody works there while the exclusive lock can be had. A killed agent's unpacker may hold
 * it for an instant longer. */
static void clean_tmp(ImageStore *store) {
    int lock;
    for (int i = 0; (lock = lock_file(store, "use.lock", LOCK_EX | LOCK_NB)) < 0; i++) {
        if (i == CLEAN_TRIES)
            return;
        usleep(CLEAN_WAIT_US);
    }
    _cleanup_free_ char *path = store_path(store, "tmp");
    int r = fs_remove_tree(path);
    if (r == 0)
        r = fs_mkdir_p(path, 0700);
    if (r < 0)
        log_warn("%s: %s", path, strerror(-r));
    close(lock);
}

int image_store_open(const ImageStoreConfig *config, ImageStore **ret, char **ret_error) {
    if (ret_error)
        *ret_error = NULL;
    _cleanup_(image_store_freep) ImageStore *store = NEW0(ImageStore);
    pthread_mutex_init(&store->mutex, NULL);
    static const char *const folders[] = {"blobs/sha256", "layers", "leases", "tmp"};
    size_t n = 0;
    while (config->insecure_hosts && config->insecure_hosts[n])
        n++;
    store->insecure_hosts = NEWN0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        store->insecure_hosts[i] = xstrdup(config->insecure_hosts[i]);
    store->ca_file = xstrdup(config->ca_file);
    store->unpacker = config->unpacker ? xstrdup(config->unpacker) : fs_beside_program("lighter-unpack");
    store->puller = config->puller ? xstrdup(config->puller) : fs_beside_program("lighter-pull");
    store->stall_seconds = config->stall_seconds ? config->stall_seconds : IMAGE_STALL_SECONDS;
    store->root = xstrdup(config->root);
    if (!store->unpacker || access(store->unpacker, X_OK) < 0)
        return store_fail(
            ret_error, -ENOENT,
            xasprintf("%s: the unpacker of layers is missing", str_or(store->unpacker, "lighter-unpack")));
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(folders); i++) {
        _cleanup_free_ char *path = store_path(store, folders[i]);
        r = fs_mkdir_p(path, 0700);
    }
    if (r < 0)
        return store_fail(ret_error, r, xasprintf("the image store %s: %s", config->root, strerror(-r)));
    /* overlayfs wants paths from the root of the file system */
    char *real = realpath(config->root, NULL);
    if (real) {
        free(store->root);
        store->root = real;
    }
    /* Layers are entered by processes of other users through the overlay, not through this folder. */
    if (!config->guest)
        clean_tmp(store);
    pthread_mutex_lock(&store->mutex);
    r = index_refresh(store);
    pthread_mutex_unlock(&store->mutex);
    if (r < 0)
        return store_fail(ret_error, r, xasprintf("%s/images.json: %s", store->root, strerror(-r)));
    *ret = TAKE_PTR(store);
    return 0;
}

static void free_strings(char **list) {
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

const char *image_store_root(const ImageStore *store) {
    return store->root;
}

void image_store_interrupt(ImageStore *store, bool on) {
    atomic_store(&store->interrupted, on);
}

void image_store_free(ImageStore *store) {
    if (!store)
        return;
    json_decref(store->index);
    free_strings(store->insecure_hosts);
    pthread_mutex_destroy(&store->mutex);
    free(store->ca_file);
    free(store->unpacker);
    free(store->puller);
    free(store->root);
    free(store);
}

int store_work_begin(ImageStore *store, StoreWork *ret, char **ret_error) {
    int lock = lock_file(store, "use.lock", LOCK_SH);
    if (lock < 0)
        return store_fail(ret_error, lock, xasprintf("%s/use.lock: %s", store->root, strerror(-lock)));
    char *dir = xasprintf("%s/tmp/XXXXXX", store->root);
    if (!mkdtemp(dir)) {
        int r = -errno;
        free(dir);
        close(lock);
        return store_fail(ret_error, r, xasprintf("%s/tmp: %s", store->root, strerror(-r)));
    }
    *ret = (StoreWork){.use_lock = lock, .dir = dir};
    return 0;
}

void store_work_end(StoreWork *work) {
    if (!work->dir)
        return;
    int r = fs_remove_tree(work->dir);
    if (r < 0)
        log_warn("%s: %s", work->dir, strerror(-r));
    free(work->dir);
    close(work->use_lock);
    *work = (StoreWork){0};
}

bool store_has_layer(const ImageStore *store, const char *diff_id) {
    _cleanup_free_ char *path = layer_path(store, diff_id);
    return fs_exists(path);
}

int store_add_layer(ImageStore *store, const StoreWork *work, int fd, const char *diff_id, char **ret_error) {
    _cleanup_free_ char *path = layer_path(store, diff_id);
    if (fs_exists(path))
        return 0;
    char suffix[9];
    random_suffix(suffix, 8);
    _cleanup_free_ char *temporary = xasprintf("%s/%s", work->dir, suffix);
    if (mkdir(temporary, 0755) < 0)
        return store_fail(ret_error, -errno, xasprintf("%s: %s", temporary, strerror(errno)));
    chmod(temporary, 0755);
    _cleanup_close_ int root = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = root < 0 ? -errno : unpacker_layer(store->unpacker, work->use_lock, fd, root, diff_id, ret_error);
    /* The rename must not reach the disk before what it names. */
    if (r == 0 && syncfs(root) < 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        r = -errno;
    fs_remove_tree(temporary);
    return r < 0 ? store_fail(ret_error, r, xasprintf("layer %s: %s", diff_id, strerror(-r))) : 0;
}

int store_add_blob(ImageStore *store, const StoreWork *work, const char *digest, const void *data, size_t n) {
    (void)work;
    _cleanup_free_ char *path = blob_path(store, digest);
    return fs_exists(path) ? 0 : fs_write_atomic(path, data, n, 0600);
}

int store_read_blob(const ImageStore *store, const char *digest, size_t limit, char **ret, size_t *ret_len) {
    _cleanup_free_ char *path = blob_path(store, digest);
    return fs_read_file(path, limit, ret, ret_len);
}

int store_config_layers(const json_t *config, const json_t **ret, char **ret_error) {
    const json_t *layers = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
    if (!json_is_array(layers) || json_array_size(layers) == 0)
        return store_fail(ret_error, -EBADMSG, xstrdup("the image's config names no layers (rootfs.diff_ids)"));
    if (json_array_size(layers) > LAYERS_MAX)
        return store_fail(ret_error, -EFBIG, xasprintf("the image has more than %d layers", LAYERS_MAX));
    size_t i;
    json_t *layer;
    json_array_foreach(layers, i, layer) {
        const char *id = json_string_value(layer);
        if (!id || !digest_is_valid(id))
            return store_fail(ret_error, -EBADMSG,
                              xstrdup("the image's config names a layer by something that is not a sha256 digest"));
    }
    *ret = layers;
    return 0;
}

static void list_remove(json_t *list, const char *value) {
    for (size_t i = json_array_size(list); i-- > 0;)
        if (streq(json_string_value(json_array_get(list, i)), value))
            json_array_remove(list, i);
}

static bool list_has(const json_t *list, const char *value) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (streq(json_string_value(json_array_get(list, i)), value))
            return true;
    return false;
}

static char **list_strings(const json_t *list) {
    char **out = NEWN0(char *, json_array_size(list) + 1);
    size_t n = 0, i;
    json_t *item;
    json_array_foreach(list, i, item) if (json_is_string(item)) out[n++] = xstrdup(json_string_value(item));
    return out;
}

static char **list_strings_or_null(const json_t *list) {
    return json_array_size(list) ? list_strings(list) : NULL;
}

void image_free(Image *image) {
    if (!image)
        return;
    free(image->id);
    free_strings(image->tags);
    free_strings(image->digests);
    free_strings(image->layer_dirs);
    free_strings(image->config.entrypoint);
    free_strings(image->config.cmd);
    free_strings(image->config.env);
    free(image->config.working_dir);
    free(image->config.user);
    free(image->config.stop_signal);
    free(image);
}

static char *string_or_null(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return str_empty(s) ? NULL : xstrdup(s);
}

static int image_from_record(const ImageStore *store, const char *id, const json_t *record, Image **ret) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = store_read_blob(store, id, CONFIG_BLOB_MAX, &text, &n);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *blob = json_loadb(text, n, 0, NULL);
    const json_t *config = json_object_get(blob, "config");
    _cleanup_(image_freep) Image *image = NEW0(Image);
    image->id = xstrdup(id);
    image->tags = list_strings(json_object_get(record, "tags"));
    image->digests = list_strings(json_object_get(record, "digests"));
    image->size = (uint64_t)json_integer_value(json_object_get(record, "size"));
    const json_t *layers = json_object_get(record, "layers");
    image->layer_dirs = NEWN0(char *, json_array_size(layers) + 1);
    for (size_t i = 0; i < json_array_size(layers); i++)
        image->layer_dirs[i] = layer_path(store, json_string_value(json_array_get(layers, i)));
    image->config = (ImageConfig){.entrypoint = list_strings_or_null(json_object_get(config, "Entrypoint")),
                                  .cmd = list_strings_or_null(json_object_get(config, "Cmd")),
                                  .env = list_strings_or_null(json_object_get(config, "Env")),
                                  .working_dir = string_or_null(config, "WorkingDir"),
                                  .user = string_or_null(config, "User"),
                                  .stop_signal = string_or_null(config, "StopSignal")};
    *ret = TAKE_PTR(image);
    return 0;
}

int store_commit(ImageStore *store, const char *id, const char *tag, const char *digest, uint64_t size,
                 const json_t *layers, Image **ret, char **ret_error) {
    int lock;
    int r = index_lock(store, &lock);
    if (r < 0)
        return store_fail(ret_error, r, xasprintf("%s/images.json: %s", store->root, strerror(-r)));
    json_t *images = json_object_get(store->index, "images"), *record;
    if (tag) {
        const char *other;
        json_object_foreach(images, other, record) list_remove(json_object_get(record, "tags"), tag);
    }
    record = json_object_get(images, id);
    if (!record) {
        record = json_pack("{s:[], s:[], s:I, s:O}", "tags", "digests", "size", (json_int_t)size, "layers", layers);
        json_object_set_new(images, id, record);
    }
    if (tag)
        json_array_append_new(json_object_get(record, "tags"), json_string(tag));
    if (digest && !list_has(json_object_get(record, "digests"), digest))
        json_array_append_new(json_object_get(record, "digests"), json_string(digest));
    r = index_write(store);
    if (r == 0 && ret)
        r = image_from_record(store, id, record, ret);
    index_unlock(store, lock);
    return r < 0 ? store_fail(ret_error, r, xasprintf("%s/images.json: %s", store->root, strerror(-r))) : 0;
}

/* An id ("sha256:..." or its 64 hex digits), a tag or a digest reference. Under the mutex; borrowed. */
static json_t *find_record(const ImageStore *store, const char *name, const char **ret_id, const char *normalized) {
    json_t *images = json_object_get(store->index, "images"), *record;
    _cleanup_free_ char *id = digest_is_valid(name) ? xstrdup(name) : xasprintf("sha256:%s", name);
    const char *key;
    json_object_foreach(images, key,
                        record) if (streq(key, id) ||
                                    (normalized && (list_has(json_object_get(record, "tags"), normalized) ||
                                                    list_has(json_object_get(record, "digests"), normalized)))) {
        *ret_id = key;
        return record;
    }
    return NULL;
}

int image_get(ImageStore *store, const char *name, Image **ret) {
    _cleanup_free_ char *normalized = NULL;
    (void)image_reference_normalize(name, &normalized);
    pthread_mutex_lock(&store->mutex);
    int r = index_refresh(store);
    const char *id;
    const json_t *record = r == 0 ? find_record(store, name, &id, normalized) : NULL;
    if (r == 0)
        r = record ? image_from_record(store, id, record, ret) : -ENOENT;
    pthread_mutex_unlock(&store->mutex);
    return r;
}

int image_list(ImageStore *store, Image ***ret, size_t *ret_n) {
    pthread_mutex_lock(&store->mutex);
    int r = index_refresh(store);
    Image **list = NULL;
    size_t n = 0;
    if (r == 0) {
        json_t *images = json_object_get(store->index, "images"), *record;
        list = NEWN0(Image *, json_object_size(images) + 1);
        const char *id;
        json_object_foreach(images, id, record) {
            if (image_from_record(store, id, record, &list[n]) == 0)
                n++;
            else
                log_warn("image %s: its config is not readable", id);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    if (r < 0)
        return r;
    *ret = list;
    *ret_n = n;
    return 0;
}

/* One tag or digest of several only goes from the image; the last one, or the id, takes the image along. */
static void record_drop_name(json_t *images, const char *id, json_t *record, const char *name) {
    json_t *tags = json_object_get(record, "tags"), *digests = json_object_get(record, "digests");
    bool by_tag = name && list_has(tags, name), by_digest = name && list_has(digests, name);
    if (by_tag)
        list_remove(tags, name);
    if (by_digest)
        list_remove(digests, name);
    if ((by_tag || by_digest) && json_array_size(tags))
        return;
    json_object_del(images, id);
}

int store_forget(ImageStore *store, const char *name, char **ret_error) {
    _cleanup_free_ char *normalized = NULL;
    (void)image_reference_normalize(name, &normalized);
    int lock;
    int r = index_lock(store, &lock);
    if (r < 0)
        return store_fail(ret_error, r, xasprintf("%s/images.json: %s", store->root, strerror(-r)));
    const char *id;
    json_t *record = find_record(store, name, &id, normalized);
    if (record) {
        _cleanup_free_ char *key = xstrdup(id);
        record_drop_name(json_object_get(store->index, "images"), key, record, normalized);
        r = index_write(store);
    } else
        r = -ENOENT;
    index_unlock(store, lock);
    if (r == -ENOENT)
        return store_fail(ret_error, r, xasprintf("there is no image %s", name));
    return r < 0 ? store_fail(ret_error, r, xasprintf("%s/images.json: %s", store->root, strerror(-r))) : 0;
}

static bool lease_is_valid(const char *lease) {
    return *lease && *lease != '.' && !strchr(lease, '/') && strlen(lease) < 200;
}

int image_lease(ImageStore *store, const char *image_id, const char *lease) {
    if (!lease_is_valid(lease))
        return -EINVAL;
    int use = lock_file(store, "use.lock", LOCK_SH); /* a prune must not run between looking and leasing */
    if (use < 0)
        return use;
    pthread_mutex_lock(&store->mutex);
    int r = index_refresh(store);
    const char *id;
    const json_t *record = r == 0 ? find_record(store, image_id, &id, NULL) : NULL;
    _cleanup_json_ json_t *content =
        record ? json_pack("{s:s, s:O}", "image", id, "layers", json_object_get(record, "layers")) : NULL;
    pthread_mutex_unlock(&store->mutex);
    if (r == 0 && !record)
        r = -ENOENT;
    if (r == 0) {
        _cleanup_free_ char *path = xasprintf("%s/leases/%s", store->root, lease);
        r = json_dump_file(content, path, JSON_COMPACT) < 0 ? -EIO : 0;
    }
    close(use);
    return r;
}

int image_release(ImageStore *store, const char *lease) {
    if (!lease_is_valid(lease))
        return -EINVAL;
    _cleanup_free_ char *path = xasprintf("%s/leases/%s", store->root, lease);
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
