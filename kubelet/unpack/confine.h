/* The bounds of a program that reads what strangers send: a fault there ends that process, and nothing else. */
#pragma once

#define CONFINE_MEMORY_MAX (1ull << 30) /* address space; the largest window of xz and zstd is 128 MiB */

/* No more memory than this, no new privileges, for this process and what it starts. Negative errno. */
int confine(void);
