/* What the kernel knows of this process, with the names that Prometheus' clients give it. Any thread. */
#pragma once

#include "base/buf.h"

/* process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds and so on. */
void process_metrics_write(Buf *out);
