#include "kubelet/images/manifest.h"

#include "base/buf.h"
#include "base/str.h"
#include "kubelet/images/reference.h"
#include "kubelet/images/store.h"

#include <errno.h>

#if defined(__x86_64__)
#define MACHINE "amd64"
#elif defined(__aarch64__)
#define MACHINE "arm64"
#else
#error "the name of this architecture in image indexes is missing"
#endif

bool manifest_is_index(const json_t *document) {
    const char *type = json_string_value(json_object_get(document, "mediaType"));
    if (type)
        return streq(type, MEDIA_DOCKER_LIST) || streq(type, MEDIA_OCI_INDEX);
    return json_is_array(json_object_get(document, "manifests"));
}

int descriptor_parse(const json_t *object, Descriptor *ret) {
    const char *digest = json_string_value(json_object_get(object, "digest"));
    json_int_t size = json_integer_value(json_object_get(object, "size"));
    if (!digest || !digest_is_valid(digest) || size < 0)
        return -EBADMSG;
    *ret = (Descriptor){digest, json_string_value(json_object_get(object, "mediaType")), (uint64_t)size};
    return 0;
}

int manifest_choose(const json_t *index, Descriptor *ret, char **ret_error) {
    _cleanup_buf_ Buf seen = BUF_INIT(4096);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(index, "manifests"), i, entry) {
        const json_t *platform = json_object_get(entry, "platform");
        const char *os = json_string_value(json_object_get(platform, "os"));
        const char *architecture = json_string_value(json_object_get(platform, "architecture"));
        bool only_one = !platform && json_array_size(json_object_get(index, "manifests")) == 1;
        if (only_one || (os && architecture && streq(os, "linux") && streq(architecture, MACHINE)))
            return descriptor_parse(entry, ret) < 0
                       ? store_fail(ret_error, -EBADMSG, xstrdup("the image index has an invalid entry"))
                       : 0;
        buf_printf(&seen, "%s%s/%s", seen.len ? ", " : "", os ? os : "?", architecture ? architecture : "?");
    }
    return store_fail(ret_error, -ENOENT,
                      xasprintf("no match for platform linux/" MACHINE " in the image index (it has: %s)",
                                seen.len ? seen.data : "nothing"));
}

int manifest_check(const json_t *manifest, Descriptor *ret_config, const json_t **ret_layers, char **ret_error) {
    if (json_integer_value(json_object_get(manifest, "schemaVersion")) == 1)
        return store_fail(ret_error, -EPROTONOSUPPORT,
                          xstrdup("the image has a manifest of schema 1, which is no longer supported"));
    const json_t *layers = json_object_get(manifest, "layers");
    Descriptor config, layer;
    if (descriptor_parse(json_object_get(manifest, "config"), &config) < 0 || !json_is_array(layers))
        return store_fail(ret_error, -EBADMSG, xstrdup("the manifest names no valid config and layers"));
    size_t i;
    json_t *item;
    json_array_foreach(layers, i, item) if (descriptor_parse(item, &layer) < 0) return store_fail(
        ret_error, -EBADMSG, xasprintf("layer %zu of the manifest has no valid digest and size", i));
    *ret_config = config;
    *ret_layers = layers;
    return 0;
}
