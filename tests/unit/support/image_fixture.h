/* Images made on the fly: tar layers by libarchive, configs and manifests as text. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/unpack/digest.h"
#include "kubelet/unpack/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

typedef struct Entry {
    const char *path;
    mode_t type; /* AE_IF...; 0: a hard link */
    mode_t mode;
    const char *data; /* content, or target of a link */
    unsigned uid, gid;
    const char *xattr, *xattr_value;
    unsigned rdev_major, rdev_minor;
} Entry;

enum { PLAIN, GZIP, ZSTD };

static inline void tar_make(const Entry *entries, size_t n, int filter, Buf *out) {
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    if (filter == GZIP)
        archive_write_add_filter_gzip(a);
    else if (filter == ZSTD)
        archive_write_add_filter_zstd(a);
    archive_write_set_bytes_in_last_block(a, 1);
    size_t used = 0, size = 4 << 20;
    char *memory = xmalloc(size);
    assert_int_equal(archive_write_open_memory(a, memory, size, &used), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        const Entry *e = &entries[i];
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, e->path);
        archive_entry_set_filetype(entry, e->type ? e->type : AE_IFREG);
        archive_entry_set_perm(entry, e->mode ? e->mode : e->type == AE_IFDIR ? 0755 : 0644);
        archive_entry_set_uid(entry, e->uid);
        archive_entry_set_gid(entry, e->gid);
        archive_entry_set_mtime(entry, 1000000000, 0);
        if (e->xattr)
            archive_entry_xattr_add_entry(entry, e->xattr, e->xattr_value, strlen(e->xattr_value));
        if (e->type == AE_IFCHR || e->type == AE_IFBLK) {
            archive_entry_set_rdevmajor(entry, e->rdev_major);
            archive_entry_set_rdevminor(entry, e->rdev_minor);
        }
        if (!e->type)
            archive_entry_set_hardlink(entry, e->data);
        else if (e->type == AE_IFLNK)
            archive_entry_set_symlink(entry, e->data);
        size_t len = e->type == AE_IFREG && e->data ? strlen(e->data) : 0;
        archive_entry_set_size(entry, (la_int64_t)len);
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        if (len)
            assert_int_equal(archive_write_data(a, e->data, len), len);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    buf_append(out, memory, used);
    free(memory);
}

static inline char *temporary_folder(void) {
    char *dir = xstrdup("/tmp/lighter-images-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void write_file(const char *dir, const char *name, const void *data, size_t n) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static inline int unpack_bytes(const char *dir, const void *data, size_t n, const char *diff_id, char **ret_error) {
    write_file(dir, "blob", data, n);
    char path[512];
    snprintf(path, sizeof path, "%s/blob", dir);
    int fd = open(path, O_RDONLY), root;
    snprintf(path, sizeof path, "%s/root", dir);
    mkdir(path, 0755);
    root = open(path, O_RDONLY | O_DIRECTORY);
    uint64_t bytes;
    int r = layer_unpack(fd, root, diff_id, &bytes, ret_error);
    close(fd);
    close(root);
    return r;
}

typedef struct Made {
    Buf layer, config;
    char diff_id[DIGEST_TEXT + 1], id[DIGEST_TEXT + 1], blob[DIGEST_TEXT + 1];
} Made;

static inline void make_image(Made *m, const char *content, int filter) {
    Entry entries[] = {{"file", AE_IFREG, 0644, content, 0, 0, NULL, NULL, 0, 0}};
    _cleanup_buf_ Buf plain = BUF_INIT(4 << 20);
    m->layer = m->config = BUF_INIT(4 << 20);
    tar_make(entries, 1, PLAIN, &plain);
    tar_make(entries, 1, filter, &m->layer);
    digest_of(plain.data, plain.len, m->diff_id);
    digest_of(m->layer.data, m->layer.len, m->blob);
    buf_printf(&m->config,
               "{\"config\":{\"Entrypoint\":[\"/"
               "e\"],\"Cmd\":[\"c1\",\"c2\"],\"Env\":[\"A=b\"],\"User\":\"u:g\",\"WorkingDir\":\"/w\","
               "\"StopSignal\":\"SIGQUIT\"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
               m->diff_id);
    digest_of(m->config.data, m->config.len, m->id);
}

static inline void made_done(Made *m) {
    buf_done(&m->layer);
    buf_done(&m->config);
}

/* Writes DIR/NAME: a Docker archive. */
static inline void docker_archive(const char *dir, const char *name, const Made *m, const char *tag) {
    _cleanup_free_ char *manifest =
        xasprintf("[{\"Config\":\"c.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"l/layer.tar\"]}]", tag);
    Entry entries[] = {{"manifest.json", AE_IFREG, 0644, manifest, 0, 0, NULL, NULL, 0, 0},
                       {"c.json", AE_IFREG, 0644, m->config.data, 0, 0, NULL, NULL, 0, 0}};
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < 3; i++) {
        const char *data = i < 2 ? entries[i].data : m->layer.data;
        size_t n = i < 2 ? strlen(data) : m->layer.len;
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, i < 2 ? entries[i].path : "l/layer.tar");
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (la_int64_t)n);
        archive_write_header(a, e);
        assert_int_equal(archive_write_data(a, data, n), n);
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
}
