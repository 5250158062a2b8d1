/* A disk that is full must not stop the container: what cannot be written is dropped. */
#include "monitor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PREFIX_MAX 64

int log_open(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static char *put_number(char *to, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + digits;
}

/* The proleptic Gregorian calendar from days since 1970 (gmtime would read the zone files). */
static char *put_time(char *to, int64_t ns) {
    int64_t seconds = ns / 1000000000, days = seconds / 86400, rest = seconds % 86400;
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    to = put_number(to, year, 4);
    *to++ = '-';
    to = put_number(to, month, 2);
    *to++ = '-';
    to = put_number(to, day, 2);
    *to++ = 'T';
    to = put_number(to, rest / 3600, 2);
    *to++ = ':';
    to = put_number(to, rest / 60 % 60, 2);
    *to++ = ':';
    to = put_number(to, rest % 60, 2);
    *to++ = '.';
    to = put_number(to, ns % 1000000000, 9);
    *to++ = 'Z';
    return to;
}

static void write_line(int fd, const LogStream *stream, char tag, const char *a, size_t a_len, const char *b,
                       size_t b_len) {
    char prefix[PREFIX_MAX], *to = put_time(prefix, wall_ns());
    *to++ = ' ';
    size_t n = strlen(stream->name);
    memcpy(to, stream->name, n);
    to += n;
    *to++ = ' ';
    *to++ = tag;
    *to++ = ' ';
    struct iovec parts[] = {
        {prefix, (size_t)(to - prefix)},
        {(char *)a, a_len},
        {(char *)b, b_len},
        {(char *)"\n", 1},
    };
    if (fd >= 0) {
        ssize_t written = writev(fd, parts, 4);
        (void)written;
    }
}

void log_feed(int fd, LogStream *stream, const char *data, size_t n) {
    while (n) {
        size_t room = LOG_LINE_CHUNK - stream->len;
        const char *newline = memchr(data, '\n', n < room ? n : room);
        if (newline) {
            size_t len = (size_t)(newline - data);
            write_line(fd, stream, 'F', stream->line, stream->len, data, len);
            stream->len = 0;
            data += len + 1;
            n -= len + 1;
        } else if (n >= room) {
            write_line(fd, stream, 'P', stream->line, stream->len, data, room);
            stream->len = 0;
            data += room;
            n -= room;
        } else {
            memcpy(stream->line + stream->len, data, n);
            stream->len += n;
            n = 0;
        }
    }
}

void log_flush(int fd, LogStream *stream) {
    if (stream->len)
        write_line(fd, stream, 'P', stream->line, stream->len, "", 0);
    stream->len = 0;
}
