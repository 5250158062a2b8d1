/* Archives: what `docker save` writes (manifest.json) and the OCI image layout (oci-layout, index.json, blobs/). An
 * archive of the former kind may be both; then manifest.json is read, for it has the tags. */
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/unpack/digest.h"
#include "kubelet/images/manifest.h"
#include "kubelet/images/reference.h"
#include "kubelet/images/store.h"
#include "kubelet/images/unpacker.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct Import {
    ImageStore *store;
    StoreWork work;
    int root; /* the unpacked archive */
    const char *tag;
    Image *first;
    char **ret_error;
} Import;

static int import_fail(Import *im, int r, char *message) {
    return store_fail(im->ret_error, r, message);
}

static int read_file(Import *im, const char *path, size_t limit, char **ret, size_t *ret_len) {
    _cleanup_close_ int fd = fs_open_beneath(im->root, path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    _cleanup_free_ char *proc = xasprintf("/proc/self/fd/%d", fd);
    return fs_read_file(proc, limit, ret, ret_len);
}

static int read_json(Import *im, const char *path, const char *digest, json_t **ret, char **ret_text, size_t *ret_len) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = read_file(im, path, CONFIG_BLOB_MAX, &text, &n);
    if (r < 0)
        return import_fail(im, r, xasprintf("the archive's %s: %s", path, strerror(-r)));
    char got[DIGEST_TEXT + 1];
    digest_of(text, n, got);
    if (digest && !streq(got, digest))
        return import_fail(im, -EBADMSG, xasprintf("the archive's %s has the digest %s", path, got));
    json_error_t e;
    *ret = json_loadb(text, n, 0, &e);
    if (!*ret)
        return import_fail(im, -EBADMSG, xasprintf("the archive's %s is not JSON: %s", path, e.text));
    *ret_text = TAKE_PTR(text);
    *ret_len = n;
    return 0;
}

static int add_layer(Import *im, const char *path, const char *blob_digest, const char *diff_id, uint64_t *size) {
    _cleanup_close_ int fd = fs_open_beneath(im->root, path, O_RDONLY, 0);
    if (fd < 0)
        return import_fail(im, fd, xasprintf("the archive's layer %s: %s", path, strerror(-fd)));
    struct stat st;
    if (fstat(fd, &st) == 0)
        *size += (uint64_t)st.st_size;
    (void)blob_digest; /* the diff id is checked, and it pins what is unpacked */
    return store_add_layer(im->store, &im->work, fd, diff_id, im->ret_error);
}

static int commit(Import *im, const char *id, const char *tag, uint64_t size, const json_t *layers) {
    Image *image = NULL;
    int r = store_commit(im->store, id, tag, NULL, size, layers, &image, im->ret_error);
    if (r == 0 && !im->first)
        im->first = image;
    else
        image_free(image);
    return r;
}

/* `paths`: of the layers, lowest first. */
static int import_image(Import *im, const char *config_path, const char *config_digest, const json_t *paths,
                        const json_t *tags) {
    _cleanup_json_ json_t *config = NULL;
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = read_json(im, config_path, config_digest, &config, &text, &n);
    if (r < 0)
        return r;
    const json_t *layers;
    r = store_config_layers(config, &layers, im->ret_error);
    if (r < 0)
        return r;
    if (json_array_size(layers) != json_array_size(paths))
        return import_fail(im, -EBADMSG,
                           xasprintf("%s names %zu layers, the archive has %zu", config_path, json_array_size(layers),
                                     json_array_size(paths)));
    uint64_t size = 0;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        if (!path)
            return import_fail(im, -EBADMSG, xstrdup("the archive's manifest.json names a layer that is not a path"));
        r = add_layer(im, path, NULL, json_string_value(json_array_get(layers, i)), &size);
        if (r < 0)
            return r;
    }
    char id[DIGEST_TEXT + 1];
    digest_of(text, n, id);
    r = store_add_blob(im->store, &im->work, id, text, n);
    if (r < 0)
        return import_fail(im, r, xasprintf("%s: %s", id, strerror(-r)));
    size_t tagged = 0, i;
    json_t *tag;
    if (im->tag && !im->first) {
        r = commit(im, id, im->tag, size, layers);
        return r;
    }
    json_array_foreach(tags, i, tag) {
        _cleanup_free_ char *normalized = NULL;
        if (!json_is_string(tag) || image_reference_normalize(json_string_value(tag), &normalized) < 0)
            continue;
        r = commit(im, id, normalized, size, layers);
        if (r < 0)
            return r;
        tagged++;
    }
    return tagged ? 0 : commit(im, id, NULL, size, layers);
}

static int import_docker(Import *im, const json_t *manifest) {
    if (json_array_size(manifest) == 0)
        return import_fail(im, -EBADMSG, xstrdup("the archive's manifest.json names no image"));
    size_t i;
    json_t *entry;
    json_array_foreach(manifest, i, entry) {
        const char *config = json_string_value(json_object_get(entry, "Config"));
        if (!config)
            return import_fail(im, -EBADMSG, xstrdup("the archive's manifest.json names no config"));
        int r = import_image(im, config, NULL, json_object_get(entry, "Layers"), json_object_get(entry, "RepoTags"));
        if (r < 0)
            return r;
    }
    return 0;
}

static char *blob_name(const char *digest) {
    return xasprintf("blobs/sha256/%s", digest + strlen("sha256:"));
}

static int import_oci_manifest(Import *im, const char *digest, const json_t *tags) {
    _cleanup_free_ char *path = blob_name(digest), *text = NULL;
    _cleanup_json_ json_t *manifest = NULL;
    size_t n;
    int r = read_json(im, path, digest, &manifest, &text, &n);
    if (r < 0)
        return r;
    Descriptor config, layer;
    if (manifest_is_index(manifest)) {
        r = manifest_choose(manifest, &config, im->ret_error);
        if (r < 0)
            return r;
        _cleanup_free_ char *inner = blob_name(config.digest), *inner_text = NULL;
        json_t *chosen = NULL;
        r = read_json(im, inner, config.digest, &chosen, &inner_text, &n);
        if (r < 0)
            return r;
        json_decref(manifest);
        manifest = chosen;
    }
    const json_t *layers;
    r = manifest_check(manifest, &config, &layers, im->ret_error);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *paths = json_array();
    for (size_t i = 0; i < json_array_size(layers); i++) {
        descriptor_parse(json_array_get(layers, i), &layer);
        _cleanup_free_ char *name = blob_name(layer.digest);
        json_array_append_new(paths, json_string(name));
    }
    _cleanup_free_ char *config_path = blob_name(config.digest);
    return import_image(im, config_path, config.digest, paths, tags);
}

static int import_oci(Import *im, const json_t *index) {
    size_t i;
    json_t *entry;
    if (json_array_size(json_object_get(index, "manifests")) == 0)
        return import_fail(im, -EBADMSG, xstrdup("the archive's index.json names no image"));
    json_array_foreach(json_object_get(index, "manifests"), i, entry) {
        Descriptor d;
        if (descriptor_parse(entry, &d) < 0)
            return import_fail(im, -EBADMSG, xstrdup("the archive's index.json has an invalid entry"));
        const json_t *annotations = json_object_get(entry, "annotations");
        const char *name = json_string_value(json_object_get(annotations, "io.containerd.image.name"));
        if (!name)
            name = json_string_value(json_object_get(annotations, "org.opencontainers.image.ref.name"));
        _cleanup_json_ json_t *tags = json_array();
        if (name)
            json_array_append_new(tags, json_string(name));
        int r = import_oci_manifest(im, d.digest, tags);
        if (r < 0)
            return r;
    }
    return 0;
}

static int import_unpacked(Import *im) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = read_file(im, "manifest.json", MANIFEST_MAX, &text, &n);
    bool docker = r == 0;
    if (r == -ENOENT)
        r = read_file(im, "index.json", MANIFEST_MAX, &text, &n);
    if (r < 0)
        return import_fail(
            im, -EBADMSG,
            xstrdup("not an image archive: it has neither manifest.json (docker save) nor index.json (OCI layout)"));
    json_error_t e;
    _cleanup_json_ json_t *document = json_loadb(text, n, 0, &e);
    if (!document)
        return import_fail(im, -EBADMSG, xasprintf("the archive's index is not JSON: %s", e.text));
    return docker ? import_docker(im, document) : import_oci(im, document);
}

int image_import(ImageStore *store, const char *archive_path, const char *tag_or_null, Image **ret, char **ret_error) {
    char *error = NULL;
    if (ret_error)
        *ret_error = NULL;
    _cleanup_free_ char *tag = NULL;
    if (tag_or_null && image_reference_normalize(tag_or_null, &tag) < 0)
        return store_fail(ret_error, -EINVAL, xasprintf("%s is not a valid image reference", tag_or_null));
    _cleanup_close_ int fd = open(archive_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return store_fail(ret_error, -errno, xasprintf("%s: %s", archive_path, strerror(errno)));
    Import im = {.store = store, .tag = tag, .ret_error = &error};
    int r = store_work_begin(store, &im.work, &error);
    if (r == 0) {
        _cleanup_free_ char *dir = xasprintf("%s/archive", im.work.dir);
        r = mkdir(dir, 0700) < 0 ? -errno : 0;
        im.root = r == 0 ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (im.root >= 0)
            r = unpacker_archive(store->unpacker, im.work.use_lock, fd, im.root, &error);
        if (r == 0)
            r = import_unpacked(&im);
        closep(&im.root);
        store_work_end(&im.work);
    }
    if (r < 0) {
        image_free(im.first);
        _cleanup_free_ char *why = error ? error : xstrdup(strerror(-r));
        return store_fail(ret_error, r, xasprintf("importing %s: %s", archive_path, why));
    }
    free(error);
    if (ret)
        *ret = im.first;
    else
        image_free(im.first);
    return 0;
}
