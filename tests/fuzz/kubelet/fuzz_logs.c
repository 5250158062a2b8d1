/* A container's log file, read with options that the first four bytes say. */
#include "kubelet/logs.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    if (size < HEAD)
        return 0;
    LogOptions options = {.timestamps = data[0] & 1,
                          .stdout_ = data[0] & 2,
                          .stderr_ = data[0] & 4,
                          .since_ns = data[0] & 8 ? (int64_t)data[1] << 52 : 0,
                          .tail_lines = data[2] ? data[2] - 1 : -1,
                          .limit_bytes = data[3] ? data[3] : -1};
    int fd = memfd_create("log", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data + HEAD, size - HEAD) != (ssize_t)(size - HEAD))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    LogReader *reader = NULL;
    size_t total = 0;
    if (log_reader_open(path, &options, &reader) < 0)
        abort();
    for (int rounds = 0;; rounds++) {
        _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
        int r = log_reader_read(reader, true, &out);
        total += out.len;
        if (r < 0 || rounds > 1000)
            abort();
        if (r != LOG_READ_MORE)
            break;
    }
    if (options.limit_bytes >= 0 && total > (size_t)options.limit_bytes)
        abort();
    log_reader_free(reader);
    close(fd);
    return 0;
}
