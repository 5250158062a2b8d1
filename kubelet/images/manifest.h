/* Manifests and indexes: Docker image manifest v2 schema 2 and OCI image specification 1.0, which differ only in names.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"

typedef struct Descriptor {
    const char *digest, *media_type; /* borrowed from the document */
    uint64_t size;
} Descriptor;

bool manifest_is_index(const json_t *document);
/* The entry for this machine (linux, its architecture). -ENOENT with the platforms there are. */
int manifest_choose(const json_t *index, Descriptor *ret, char **ret_error);
/* -EBADMSG. */
int descriptor_parse(const json_t *object, Descriptor *ret);
/* Checks the shape of an image manifest: config and layers are valid descriptors. */
int manifest_check(const json_t *manifest, Descriptor *ret_config, const json_t **ret_layers, char **ret_error);
