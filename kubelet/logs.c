#include "kubelet/logs.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BLOCK 4096

struct LogReader {
    int fd;
    char *path;
    LogOptions options;
    Buf pending;      /* read, not a whole line yet */
    bool skipping;    /* inside a line that is too long */
    bool moved;       /* another file is in its place: once this one is read to its end, that one follows */
    bool line_begins; /* the next piece starts a line: it gets the time */
    int64_t remain;   /* bytes that may go out */
    int64_t lines;    /* that may go out; -1: any number */
};

static ssize_t read_at(int fd, char *p, size_t n, off_t at) {
    ssize_t r;
    do
        r = pread(fd, p, n, at);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* Where the last n lines begin. */
static int find_tail(int fd, int64_t n, off_t *ret) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (n == 0) {
        *ret = st.st_size;
        return 0;
    }
    char block[TAIL_BLOCK];
    int64_t seen = 0;
    bool first = true;
    for (off_t right = st.st_size; right > 0;) {
        size_t size = (size_t)MIN(right, (off_t)sizeof block);
        off_t left = right - (off_t)size;
        ssize_t got = read_at(fd, block, size, left);
        if (got < 0)
            return (int)got;
        for (ssize_t i = got; i-- > 0;) {
            if (block[i] != '\n')
                continue;
            bool ends_file = first && left + i == st.st_size - 1;
            if (!ends_file && ++seen == n) {
                *ret = left + i + 1;
                return 0;
            }
        }
        first = false;
        right = left;
    }
    *ret = 0;
    return 0;
}

int log_reader_open(const char *path, const LogOptions *options, LogReader **ret) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    off_t start = 0;
    int r = options->tail_lines >= 0 ? find_tail(fd, options->tail_lines, &start) : 0;
    if (r == 0 && lseek(fd, start, SEEK_SET) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    LogReader *reader = NEW0(LogReader);
    *reader = (LogReader){
        .fd = fd,
        .path = xstrdup(path),
        .options = *options,
        .pending = BUF_INIT(CONTAINER_LOG_LINE_MAX + LOG_READ_CHUNK),
        .line_begins = true,
        .remain = options->limit_bytes >= 0 ? options->limit_bytes : INT64_MAX,
        .lines = options->tail_lines >= 0 && !options->follow ? options->tail_lines : -1,
    };
    *ret = reader;
    return 0;
}

void log_reader_free(LogReader *reader) {
    if (!reader)
        return;
    close(reader->fd);
    free(reader->path);
    buf_done(&reader->pending);
    free(reader);
}

typedef struct LogLine {
    const char *time, *text;
    size_t time_len, text_len;
    int64_t at_ns;
    bool to_stdout, partial;
} LogLine;

/* `n` is without the line's end. */
static bool line_parse(const char *p, size_t n, LogLine *ret) {
    const char *end = p + n, *space = memchr(p, ' ', n);
    char time[RFC3339_MAX];
    if (!space || (size_t)(space - p) >= sizeof time)
        return false;
    LogLine line = {.time = p, .time_len = (size_t)(space - p)};
    memcpy(time, p, line.time_len);
    time[line.time_len] = 0;
    if (rfc3339_parse(time, &line.at_ns) < 0)
        return false;
    const char *stream = space + 1;
    space = memchr(stream, ' ', (size_t)(end - stream));
    if (!space || space - stream != 6)
        return false;
    line.to_stdout = memcmp(stream, "stdout", 6) == 0;
    if (!line.to_stdout && memcmp(stream, "stderr", 6) != 0)
        return false;
    const char *tags = space + 1;
    space = memchr(tags, ' ', (size_t)(end - tags));
    const char *tags_end = space ? space : end;
    const char *colon = memchr(tags, ':', (size_t)(tags_end - tags));
    line.partial = (colon ? colon : tags_end) - tags == 1 && *tags == 'P';
    line.text = space ? space + 1 : end;
    line.text_len = (size_t)(end - line.text);
    *ret = line;
    return true;
}

static void give_bytes(LogReader *reader, const char *p, size_t n, Buf *out) {
    if ((uint64_t)reader->remain < n)
        n = (size_t)reader->remain;
    buf_append(out, p, n);
    reader->remain -= (int64_t)n;
}

static void give_line(LogReader *reader, const char *p, size_t n, bool ended, Buf *out) {
    LogLine line;
    if (!line_parse(p, n, &line))
        return;
    if (reader->lines > 0)
        reader->lines--;
    bool begins = reader->line_begins, whole = ended && !line.partial;
    reader->line_begins = whole;
    if (line.at_ns < reader->options.since_ns ||
        !(line.to_stdout ? reader->options.stdout_ : reader->options.stderr_))
        return;
    if (reader->options.timestamps && begins) {
        give_bytes(reader, line.time, line.time_len, out);
        give_bytes(reader, " ", 1, out);
    }
    give_bytes(reader, line.text, line.text_len, out);
    if (whole)
        give_bytes(reader, "\n", 1, out);
}

static bool is_done(const LogReader *reader) {
    return reader->remain == 0 || reader->lines == 0;
}

static void give_lines(LogReader *reader, Buf *out) {
    size_t at = 0;
    while (at < reader->pending.len && !is_done(reader)) {
        const char *p = reader->pending.data + at;
        const char *end = memchr(p, '\n', reader->pending.len - at);
        if (!end)
            break;
        if (!reader->skipping)
            give_line(reader, p, (size_t)(end - p), true, out);
        reader->skipping = false;
        at += (size_t)(end - p) + 1;
    }
    buf_consume(&reader->pending, at);
    if (reader->pending.len > CONTAINER_LOG_LINE_MAX) {
        reader->skipping = true;
        buf_clear(&reader->pending);
    }
}

/* Was the file moved away and another put in its place? Then that one is read on. */
static bool reopen(LogReader *reader) {
    struct stat old, new;
    int fd = open(reader->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* rotated, and not written again yet */
    if (fstat(reader->fd, &old) < 0 || fstat(fd, &new) < 0 || (old.st_dev == new.st_dev && old.st_ino == new.st_ino)) {
        off_t at = lseek(reader->fd, 0, SEEK_CUR);
        close(fd);
        if (fstat(reader->fd, &old) == 0 && at > old.st_size) { /* cut short: what is there now is new */
            lseek(reader->fd, 0, SEEK_SET);
            buf_clear(&reader->pending);
            return true;
        }
        return false;
    }
    if (!reader->moved) { /* what was written to the old one before it was moved has to be read first */
        close(fd);
        reader->moved = true;
        return true;
    }
    close(reader->fd);
    reader->fd = fd;
    buf_clear(&reader->pending);
    reader->skipping = reader->moved = false;
    return true;
}

int log_reader_read(LogReader *reader, bool last, Buf *out) {
    if (is_done(reader))
        return LOG_READ_END;
    char *p = buf_reserve(&reader->pending, LOG_READ_CHUNK);
    if (!p)
        return -ENOBUFS;
    ssize_t n;
    do
        n = read(reader->fd, p, LOG_READ_CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    reader->pending.len += (size_t)n;
    if (n > 0) {
        give_lines(reader, out);
        return is_done(reader) ? LOG_READ_END : LOG_READ_MORE;
    }
    if (reader->options.follow && reopen(reader))
        return LOG_READ_MORE;
    if (last && reader->pending.len && !reader->skipping) {
        give_line(reader, reader->pending.data, reader->pending.len, false, out);
        buf_clear(&reader->pending);
    }
    return LOG_READ_WAIT;
}
