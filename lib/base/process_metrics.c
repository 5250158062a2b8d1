#include "base/process_metrics.h"

#include "base/fs.h"
#include "base/metric.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define STAT_MAX (4 * 1024 * 1024) /* /proc/stat has a line for each interrupt of the machine */

/* The process's start by the machine's: field 22 of /proc/self/stat, in ticks, and btime of /proc/stat. */
static double start_time(void) {
    _cleanup_free_ char *own = NULL, *machine = NULL;
    unsigned long long ticks = 0, booted = 0;
    if (fs_read_file("/proc/self/stat", 4096, &own, NULL) < 0 ||
        fs_read_file("/proc/stat", STAT_MAX, &machine, NULL) < 0)
        return 0;
    const char *p = strrchr(own, ')'), *boot = strstr(machine, "\nbtime "); /* a name may hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (!p || !boot || sscanf(p, "%llu", &ticks) != 1 || sscanf(boot, "\nbtime %llu", &booted) != 1)
        return 0;
    return (double)booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static unsigned long long open_fds(void) {
    unsigned long long n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

void process_metrics_write(Buf *out) {
    struct rusage usage;
    struct rlimit files = {0}, memory = {0};
    _cleanup_free_ char *statm = NULL;
    unsigned long long size = 0, resident = 0;
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &memory);
    if (fs_read_file("/proc/self/statm", 4096, &statm, NULL) == 0)
        sscanf(statm, "%llu %llu", &size, &resident);
    double page = (double)sysconf(_SC_PAGESIZE);
    const struct {
        const char *name, *help, *type;
        double value;
    } rows[] = {
        {"process_cpu_seconds_total", "CPU time of the process, user and system, in seconds.", "counter",
         (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6},
        {"process_max_fds", "File descriptors that the process may have open.", "gauge", (double)files.rlim_cur},
        {"process_open_fds", "File descriptors that the process has open.", "gauge", (double)open_fds()},
        {"process_resident_memory_bytes", "Resident memory in bytes.", "gauge", (double)resident * page},
        {"process_start_time_seconds", "When the process started, in seconds since 1970.", "gauge", start_time()},
        {"process_virtual_memory_bytes", "Virtual memory in bytes.", "gauge", (double)size * page},
        {"process_virtual_memory_max_bytes", "Virtual memory that the process may have, in bytes.", "gauge",
         (double)memory.rlim_cur},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        metric_head(out, rows[i].name, rows[i].help, rows[i].type);
        buf_printf(out, "%s %.15g\n", rows[i].name, rows[i].value);
    }
}
