/* GET /logs/...: the node's own log files, as Go's file server shows a folder (the reference's enableSystemLogHandler).
 * Symbolic links do not lead out of it. A file goes out a piece at a time, as long as it was when it was opened. */
#include "kubelet/server_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define NODE_LOGS "/var/log"
#define LISTING_MAX (4 * 1024 * 1024)
#define LISTING_ENTRIES_MAX 10000
#define PIECE (64 * 1024)
#define PATH_BYTES 4096

typedef struct FileStream {
    Call *call;
    int fd;
    uint64_t left;
} FileStream;

static HttpStreamResult file_pull(HttpRequest *http, void *userdata) {
    FileStream *stream = userdata;
    Buf out = BUF_INIT(PIECE);
    size_t n = (size_t)MIN(stream->left, (uint64_t)PIECE);
    char *room = n ? buf_reserve(&out, n) : NULL;
    ssize_t got = room ? read(stream->fd, room, n) : 0;
    if (got <= 0) {
        buf_done(&out);
        return stream->left ? HTTP_STREAM_ABORT : HTTP_STREAM_END; /* it was cut meanwhile */
    }
    out.len = (size_t)got;
    stream->left -= (uint64_t)got;
    http_stream_write(http, http_bytes_take(&out));
    return stream->left ? HTTP_STREAM_MORE : HTTP_STREAM_END;
}

static void file_closed(HttpRequest *http, void *userdata) {
    FileStream *stream = userdata;
    (void)http;
    closep(&stream->fd);
    call_free(stream->call);
    free(stream);
}

static const char *type_of(int fd) {
    char head[512];
    ssize_t n = pread(fd, head, sizeof head, 0);
    return n > 0 && memchr(head, 0, (size_t)n) ? "application/octet-stream" : "text/plain; charset=utf-8";
}

static void send_file(Call *call, int fd, uint64_t size) {
    static const HttpStreamOps ops = {file_pull, file_closed};
    char length[32];
    FileStream *stream = NEW(FileStream);
    *stream = (FileStream){call, fd, size};
    snprintf(length, sizeof length, "%llu", (unsigned long long)size);
    const HttpHeader headers[] = {{"content-type", type_of(fd)}, {"content-length", length}};
    http_stream_start(call->http, 200, headers, ELEMENTSOF(headers), &ops, stream);
}

static void put_escaped(Buf *out, const char *s) {
    for (; *s; s++) {
        const char *escaped = *s == '&'    ? "&amp;"
                              : *s == '<'  ? "&lt;"
                              : *s == '>'  ? "&gt;"
                              : *s == '"'  ? "&#34;"
                              : *s == '\'' ? "&#39;"
                                           : NULL;
        if (escaped)
            buf_puts(out, escaped);
        else
            buf_putc(out, *s);
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names, folders with a slash at the end; sorted. */
static char **read_names(Arena *arena, DIR *dir, size_t *ret_n) {
    char **names = arena_alloc0(arena, LISTING_ENTRIES_MAX * sizeof *names);
    size_t n = 0;
    for (struct dirent *entry; n < LISTING_ENTRIES_MAX && (entry = readdir(dir));) {
        struct stat st;
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        bool folder = fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        names[n++] = arena_printf(arena, "%s%s", entry->d_name, folder ? "/" : "");
    }
    qsort(names, n, sizeof *names, compare_names);
    *ret_n = n;
    return names;
}

static void send_listing(Call *call, int fd) {
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        call_error(call, 500, "Error reading directory\n");
        call_free(call);
        return;
    }
    size_t n;
    char **names = read_names(call->arena, dir, &n);
    closedir(dir);
    Buf out = BUF_INIT(LISTING_MAX);
    buf_puts(&out, "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&out, "<a href=\"");
        percent_encode(&out, names[i], "$&+,/:;=@");
        buf_puts(&out, "\">");
        put_escaped(&out, names[i]);
        buf_puts(&out, "</a>\n");
    }
    buf_puts(&out, "</pre>\n");
    call_reply(call, 200, "text/html; charset=utf-8", &out);
    call_free(call);
}

static void redirect(Call *call, const char *to) {
    const HttpHeader headers[] = {{"location", to}};
    http_reply(call->http, 301, headers, ELEMENTSOF(headers), (HttpBytes){0});
    call_free(call);
}

static int open_below(Call *call, struct stat *ret) {
    _cleanup_buf_ Buf path = BUF_INIT(PATH_BYTES);
    _cleanup_close_ int root = open(NODE_LOGS, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 1; i < call->n_parts; i++)
        buf_printf(&path, "%s%s", i > 1 ? "/" : "", call->parts[i]);
    if (root < 0 || path.failed)
        return root < 0 ? -errno : -ENAMETOOLONG;
    /* not to wait for the writer of a pipe */
    int fd = fs_open_beneath(root, str_or(path.data, "."), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
    if (fd >= 0 && fstat(fd, ret) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

void serve_node_logs(Call *call) {
    struct stat st = {0};
    const char *path = http_path(call->http);
    bool slash = str_has_suffix(path, "/");
    int fd = open_below(call, &st);
    bool folder = fd >= 0 && S_ISDIR(st.st_mode);
    if (fd >= 0 && (folder || S_ISREG(st.st_mode)) && folder == slash) {
        if (folder)
            send_listing(call, fd);
        else
            send_file(call, fd, (uint64_t)st.st_size);
        return;
    }
    closep(&fd);
    if (folder) {
        redirect(call, arena_printf(call->arena, "%s/", strrchr(path, '/') + 1));
        return;
    }
    if (fd == -EACCES || fd == -EPERM)
        call_error(call, 403, "403 Forbidden\n");
    else
        call_error(call, 404, "404 page not found\n");
    call_free(call);
}
