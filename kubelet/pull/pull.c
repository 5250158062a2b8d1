#define LOG_COMPONENT "images"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/images/manifest.h"
#include "kubelet/pull/pull.h"
#include "kubelet/pull/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct Pull {
    ImageStore *store;
    const ImageReference *reference;
    Registry *registry;
    StoreWork work;
    image_progress_fn progress;
    void *userdata;
    char **ret_error;
} Pull;

static int parse(Pull *p, const Buf *body, json_t **ret) {
    json_error_t e;
    json_t *document = json_loadb(body->data ? body->data : "", body->len, 0, &e);
    if (!json_is_object(document)) {
        json_decref(document);
        return store_fail(p->ret_error, -EBADMSG,
                          xasprintf("the registry's manifest is not valid: %s", document ? "not an object" : e.text));
    }
    *ret = document;
    return 0;
}

/* The manifest of the image for this machine; `digest` is what the reference resolved to (an index's, when it is one).
 */
static int resolve(Pull *p, json_t **ret, char digest[DIGEST_TEXT + 1]) {
    _cleanup_buf_ Buf body = BUF_INIT(MANIFEST_MAX);
    _cleanup_json_ json_t *document = NULL;
    int r = registry_manifest(p->registry, p->reference->digest ? p->reference->digest : p->reference->tag, &body,
                              digest, p->ret_error);
    r = r == 0 ? parse(p, &body, &document) : r;
    if (r < 0 || !manifest_is_index(document)) {
        if (r == 0)
            *ret = TAKE_PTR(document);
        return r;
    }
    Descriptor chosen;
    r = manifest_choose(document, &chosen, p->ret_error);
    if (r < 0)
        return r;
    char inner[DIGEST_TEXT + 1];
    _cleanup_buf_ Buf inner_body = BUF_INIT(MANIFEST_MAX);
    r = registry_manifest(p->registry, chosen.digest, &inner_body, inner, p->ret_error);
    return r == 0 ? parse(p, &inner_body, ret) : r;
}

static int open_download(Pull *p, int *ret) {
    _cleanup_free_ char *path = xasprintf("%s/download", p->work.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_fail(p->ret_error, -errno, xasprintf("%s: %s", path, strerror(errno)));
    *ret = fd;
    return 0;
}

static int fetch_config(Pull *p, const Descriptor *d, json_t **ret) {
    if (d->size > CONFIG_BLOB_MAX)
        return store_fail(p->ret_error, -EFBIG,
                          xasprintf("the image's config has %llu bytes", (unsigned long long)d->size));
    _cleanup_close_ int fd = -1;
    int r = open_download(p, &fd);
    r = r == 0 ? registry_blob(p->registry, d->digest, d->size, fd, NULL, NULL, p->ret_error) : r;
    if (r < 0)
        return r;
    _cleanup_free_ char *text = xmalloc(d->size + 1);
    if (pread(fd, text, d->size, 0) != (ssize_t)d->size)
        return store_fail(p->ret_error, -EIO, xstrdup("the image's config cannot be read back"));
    json_error_t e;
    _cleanup_json_ json_t *config = json_loadb(text, d->size, 0, &e);
    if (!json_is_object(config))
        return store_fail(p->ret_error, -EBADMSG,
                          xasprintf("the image's config is not valid: %s", config ? "not an object" : e.text));
    r = store_add_blob(p->store, &p->work, d->digest, text, d->size);
    if (r < 0)
        return store_fail(p->ret_error, r, xasprintf("keeping the image's config: %s", strerror(-r)));
    *ret = TAKE_PTR(config);
    return 0;
}

static int fetch_layer(Pull *p, const Descriptor *d, const char *diff_id) {
    if (store_has_layer(p->store, diff_id)) {
        if (p->progress)
            p->progress(d->digest, d->size, d->size, p->userdata);
        return 0;
    }
    if (d->media_type && strstr(d->media_type, "foreign"))
        return store_fail(p->ret_error, -EOPNOTSUPP,
                          xasprintf("layer %s is not distributed by the registry (%s)", d->digest, d->media_type));
    _cleanup_close_ int fd = -1;
    int r = open_download(p, &fd);
    r = r == 0 ? registry_blob(p->registry, d->digest, d->size, fd, p->progress, p->userdata, p->ret_error) : r;
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return store_add_layer(p->store, &p->work, fd, diff_id, p->ret_error);
}

static int fetch_layers(Pull *p, const json_t *blobs, const json_t *diff_ids, uint64_t *ret_size) {
    if (json_array_size(blobs) != json_array_size(diff_ids))
        return store_fail(p->ret_error, -EBADMSG,
                          xasprintf("the manifest has %zu layers, the config %zu", json_array_size(blobs),
                                    json_array_size(diff_ids)));
    uint64_t size = 0;
    for (size_t i = 0; i < json_array_size(blobs); i++) {
        Descriptor d;
        int r = descriptor_parse(json_array_get(blobs, i), &d);
        r = r == 0 ? fetch_layer(p, &d, json_string_value(json_array_get(diff_ids, i))) : r;
        if (r < 0)
            return r;
        size += d.size;
    }
    *ret_size = size;
    return 0;
}

static int pull_with(Pull *p, const RegistryAuth *auth, Image **ret) {
    registry_set_auth(p->registry, auth);
    char digest[DIGEST_TEXT + 1];
    _cleanup_json_ json_t *manifest = NULL, *config = NULL;
    int r = resolve(p, &manifest, digest);
    if (r < 0) {
        _cleanup_free_ char *why = *p->ret_error, *name = image_reference_text(p->reference);
        *p->ret_error = xasprintf("failed to resolve reference \"%s\": %s", name, why ? why : strerror(-r));
        return r;
    }
    Descriptor config_blob;
    const json_t *blobs, *diff_ids;
    r = manifest_check(manifest, &config_blob, &blobs, p->ret_error);
    r = r == 0 ? fetch_config(p, &config_blob, &config) : r;
    r = r == 0 ? store_config_layers(config, &diff_ids, p->ret_error) : r;
    uint64_t size = 0;
    r = r == 0 ? fetch_layers(p, blobs, diff_ids, &size) : r;
    if (r < 0)
        return r;
    _cleanup_free_ char *tag = p->reference->digest ? NULL : image_reference_text(p->reference);
    _cleanup_free_ char *pinned = xasprintf("%s/%s@%s", p->reference->host, p->reference->path, digest);
    return store_commit(p->store, config_blob.digest, tag, pinned, size, diff_ids, ret, p->ret_error);
}

int pull_image(ImageStore *store, const char *reference, const RegistryAuth *auths, size_t n_auths,
               image_progress_fn progress, void *userdata, Image **ret, char **ret_error) {
    char *error = NULL;
    if (ret_error)
        *ret_error = NULL;
    _cleanup_(image_reference_done) ImageReference parsed = {0};
    if (image_reference_parse(reference, &parsed) < 0)
        return store_fail(ret_error, -EINVAL,
                          xasprintf("failed to parse image name \"%s\": invalid reference format", reference));
    Pull p = {.store = store, .reference = &parsed, .progress = progress, .userdata = userdata, .ret_error = &error};
    Image *image = NULL;
    int r = registry_open(store, &parsed, &p.registry, &error);
    r = r == 0 ? store_work_begin(store, &p.work, &error) : r;
    if (r == 0) {
        for (size_t i = 0; i <= n_auths; i++) {
            free(error);
            error = NULL;
            r = pull_with(&p, i < n_auths ? &auths[i] : NULL, &image);
            if (r != -EACCES)
                break;
        }
        store_work_end(&p.work);
    }
    registry_close(p.registry);
    if (r < 0) {
        _cleanup_free_ char *why = error ? error : xstrdup(strerror(-r)), *name = image_reference_text(&parsed);
        return store_fail(ret_error, r, xasprintf("failed to pull and unpack image \"%s\": %s", name, why));
    }
    free(error);
    *ret = image;
    return 0;
}
