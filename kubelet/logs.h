/* Reading a container's log: lines of the CRI log format ("TIME STREAM TAGS TEXT", a "P" tag for a piece of a line),
 * with the options of the API's log request. Reads regular files in pieces and never waits: at the end of what there is
 * it says so, and may be asked again. Not thread-safe; one user at a time. */
#pragma once

#include "base/buf.h"

#define LOG_READ_CHUNK (64 * 1024)
#define CONTAINER_LOG_LINE_MAX (1024 * 1024) /* a longer line is no line of this format and is skipped */

typedef struct LogOptions {
    bool follow, timestamps, stdout_, stderr_;
    int64_t since_ns;    /* lines before it are left out; 0: none */
    int64_t tail_lines;  /* -1: all */
    int64_t limit_bytes; /* -1: none */
} LogOptions;

typedef struct LogReader LogReader;

/* Opens the file and finds the first line. Errors of open(2) and read(2). */
int log_reader_open(const char *path, const LogOptions *options, LogReader **ret);
void log_reader_free(LogReader *reader);
DEFINE_CLEANUP(LogReader, log_reader_free)

/* One piece of the file (LOG_READ_CHUNK) into `out`. LOG_READ_MORE: call again at once (`out` may be empty all the
 * same); LOG_READ_WAIT: that was all there is now, a file put in its place by rotation included; LOG_READ_END: the
 * options allow no more. With `last` no more will be written: an unfinished last line is given out too. Negative errno
 * when the file cannot be read. */
typedef enum LogRead { LOG_READ_MORE, LOG_READ_WAIT, LOG_READ_END } LogRead;
int log_reader_read(LogReader *reader, bool last, Buf *out);
