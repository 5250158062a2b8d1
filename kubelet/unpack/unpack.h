/* Unpacks one layer (tar, plain or compressed with gzip, zstd, bzip2 or xz) below a folder in the form overlayfs reads:
 * a whiteout becomes a character device 0:0, an opaque folder carries trusted.overlay.opaque. Every path is resolved
 * with the folder as its root; a name that leaves it is refused. */
#pragma once

#include "base/mem.h"

#define LAYER_BYTES_MAX (64ull << 30) /* unpacked */
#define LAYER_ENTRIES_MAX 2000000

/* `fd`: the blob, read from where it stands. `diff_id`: "sha256:..." that the unpacked tar must have; NULL: any.
 * -EBADMSG when the blob is damaged or not what it should be; *ret_error says which and where. What was unpacked before
 * the error is left to the caller. */
int layer_unpack(int fd, int root_fd, const char *diff_id, uint64_t *ret_bytes, char **ret_error);
/* The same without the meaning of layers, for archives of images: only folders, files and links. */
int archive_unpack(int fd, int root_fd, char **ret_error);
