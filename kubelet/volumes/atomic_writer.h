/* Projects a set of files into a folder so that a reader sees all of the old or all of the new ones, as the reference's
 * atomic writer: DIR/..TIMESTAMP/ holds the files, DIR/..data points to it, DIR/NAME points into ..data. An update
 * writes a new folder and swings ..data by one rename. Nothing is done when the content is the same. */
#pragma once

#include "base/arena.h"

#include <sys/types.h>

#define PAYLOAD_FILES_MAX 4096
#define PAYLOAD_BYTES_MAX (16 * 1024 * 1024)

typedef struct PayloadFile {
    const char *path; /* relative, checked when added */
    const void *data;
    size_t len;
    mode_t mode;
    int64_t uid; /* -1: leave */
} PayloadFile;

typedef struct Payload { /* everything in the arena */
    Arena *arena;
    PayloadFile *files;
    size_t n, cap, bytes;
} Payload;

/* A later file of the same path replaces the earlier. -EINVAL for a path that is absolute, has "..", or starts with
 * ".."; -EFBIG past the limits. Copies. */
int payload_add(Payload *payload, const char *path, const void *data, size_t len, mode_t mode, int64_t uid);

/* gid >= 0: the files belong to the group and it may read them (fsGroup). Returns 1 when it wrote, 0 when nothing
 * changed. */
int atomic_write(const char *dir, const Payload *payload, int64_t gid);
