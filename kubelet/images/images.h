/* The image store: content-addressed blobs and unpacked layers under one root, shared by every user of that root (a
 * file lock guards changes). Pull from registries (Docker Registry HTTP API v2 and OCI distribution, token and basic
 * auth, TLS; plain HTTP only for loopback or hosts listed), import OCI and Docker archives. Digests are verified before
 * anything is used; layers are unpacked by lighter-unpack beneath their own root; registries are spoken to by
 * lighter-pull. Blocking; thread-safe. */
#pragma once

#include "base/buf.h"

typedef struct ImageStore ImageStore;

#define IMAGE_STALL_SECONDS 30

typedef struct ImageStoreConfig {
    const char *root;
    const char *const
        *insecure_hosts;    /* "host:port" where plain HTTP is allowed; NULL-terminated; NULL: none but loopback */
    const char *ca_file;    /* PEM certificates to trust instead of the system's; NULL: the system's */
    const char *unpacker;   /* path of lighter-unpack; NULL: beside this program */
    const char *puller;     /* path of lighter-pull; NULL: beside this program */
    unsigned stall_seconds; /* a registry that sends nothing for so long has failed; 0: IMAGE_STALL_SECONDS */
    bool guest;             /* another process keeps the store: what a crash left there is left to it */
} ImageStoreConfig;
int image_store_open(const ImageStoreConfig *config, ImageStore **ret, char **ret_error);
void image_store_free(ImageStore *store);
DEFINE_CLEANUP(ImageStore, image_store_free)

typedef struct ImageConfig { /* from the image's config; arrays NULL-terminated, NULL when absent */
    char **entrypoint, **cmd, **env;
    char *working_dir, *user, *stop_signal;
} ImageConfig;

typedef struct Image {
    char *id;       /* sha256:... of the config */
    char **tags;    /* normalised references, NULL-terminated */
    char **digests; /* name@sha256:..., NULL-terminated */
    uint64_t size;
    char **layer_dirs; /* unpacked layers, lowest first, NULL-terminated: overlayfs lowerdirs */
    ImageConfig config;
} Image;
void image_free(Image *image);
DEFINE_CLEANUP(Image, image_free)

typedef struct RegistryAuth {
    const char *username, *password, *identity_token; /* NULL: none */
} RegistryAuth;

/* done and total bytes, as they come; total 0 while unknown. */
typedef void (*image_progress_fn)(const char *what, uint64_t done, uint64_t total, void *userdata);

/* "nginx" is docker.io/library/nginx:latest, as everywhere. -EINVAL. */
int image_reference_normalize(const char *reference, char **ret);
/* Host part as a key for pull secrets. */
int image_reference_host(const char *reference, char **ret);
/* By lighter-pull, a process that ends with the calling thread. Tries each auth in turn, then none. Errors name what
 * failed and what to do; -ECHILD: the process died; -ECANCELED: interrupted. progress (on
 * this thread) and *ret may be NULL. */
int image_pull(ImageStore *store, const char *reference, const RegistryAuth *auths, size_t n_auths,
               image_progress_fn progress, void *userdata, Image **ret, char **ret_error);
int image_import(ImageStore *store, const char *archive_path, const char *tag_or_null, Image **ret, char **ret_error);
int image_get(ImageStore *store, const char *reference_or_id, Image **ret); /* -ENOENT */
int image_list(ImageStore *store, Image ***ret, size_t *ret_n);
int image_remove(ImageStore *store, const char *reference_or_id, char **ret_error);
/* While a lease stands, the layers of the image stay although the image is removed: containers take one each, named by
 * their id. Both are idempotent. */
int image_lease(ImageStore *store, const char *image_id, const char *lease);
int image_release(ImageStore *store, const char *lease);
/* While on, pulls are cut short with -ECANCELED: the agent ends. What they leave in tmp/ goes when the store is opened
 * again. Any thread. */
void image_store_interrupt(ImageStore *store, bool on);
const char *image_store_root(const ImageStore *store); /* borrowed */
/* Drops layers and blobs no image uses. */
int image_prune(ImageStore *store, uint64_t *ret_bytes);
