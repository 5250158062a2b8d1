/* Inside the image store. The folder: images.json (the only truth about which images there are), blobs/sha256/HEX
 * (manifests and configs), layers/HEX (unpacked, by diff id), leases/NAME (layers in use), tmp/ (work in progress),
 * lock (changes of images.json), use.lock (shared: work in progress; exclusive: cleaning up). Everything is made in
 * tmp/ and renamed into place when it is whole; images.json is written last, so a crash leaves at most files that no
 * image names, and those go with the next prune. */
#pragma once

#include "kubelet/images/images.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define MANIFEST_MAX (4 * 1024 * 1024)
#define CONFIG_BLOB_MAX (8 * 1024 * 1024)
#define INDEX_MAX (64 * 1024 * 1024)
#define LAYERS_MAX 127 /* as Docker's; an overlay's options must fit a page */

struct ImageStore {
    char *root, *ca_file, *unpacker, *puller;
    char **insecure_hosts; /* NULL-terminated */
    unsigned stall_seconds;
    pthread_mutex_t mutex; /* index and its stat */
    json_t *index;         /* {"images": {ID: {"tags", "digests", "size", "layers"}}} as last read */
    struct stat index_stat;
    atomic_bool interrupted; /* ends the processes that pull */
};

static inline void json_unrefp(json_t **j) {
    json_decref(*j);
}
#define _cleanup_json_ _cleanup_(json_unrefp)

int store_fail(char **ret_error, int r, char *message); /* takes message; returns r */

/* Work in progress: holds use.lock shared and owns a folder in tmp/. */
typedef struct StoreWork {
    int use_lock;
    char *dir;
} StoreWork;
int store_work_begin(ImageStore *store, StoreWork *ret, char **ret_error);
void store_work_end(StoreWork *work);

bool store_has_layer(const ImageStore *store, const char *diff_id);
/* Unpacks the blob at `fd` as the layer; what is there already is left alone. */
int store_add_layer(ImageStore *store, const StoreWork *work, int fd, const char *diff_id, char **ret_error);
int store_add_blob(ImageStore *store, const StoreWork *work, const char *digest, const void *data, size_t n);
int store_read_blob(const ImageStore *store, const char *digest, size_t limit, char **ret, size_t *ret_len);
/* The diff ids of a config blob, checked. The array is borrowed from `config`. */
int store_config_layers(const json_t *config, const json_t **ret, char **ret_error);
/* Records the image; `tag` (normalised) moves to it; tag and digest may be NULL. `size`: of the compressed layers. */
int store_commit(ImageStore *store, const char *id, const char *tag, const char *digest, uint64_t size,
                 const json_t *layers, Image **ret, char **ret_error);
/* The image, or one of its names (image_remove), is recorded no more; its files stay. */
int store_forget(ImageStore *store, const char *name, char **ret_error);
