/* Health checks as others may ask for them: /healthz, /livez, /readyz, with ?verbose and ?exclude=, each check below
 * them, and what came of them (/metrics/slis), as k8s.io/apiserver's healthz.
 *
 * A check is a row: it asks something now, or tells of facts that those who work in the background report. Any
 * thread. */
#pragma once

#include "api/value.h"
#include "http/server.h"

#define CHECKS_REPLY_MAX (64 * 1024) /* bytes of an answer */

typedef struct Checks Checks;

/* Where a check counts: bits. */
enum { CHECK_HEALTHZ = 1 << 0, CHECK_LIVEZ = 1 << 1, CHECK_READYZ = 1 << 2, CHECK_EVERYWHERE = 7 };
#define CHECK_ROOTS 3

typedef struct Check {
    const char *name; /* borrowed: a constant */
    unsigned roots;
    /* NULL: all is well. Else what is not, a constant or in the arena. NULL itself: the facts say all. May block, where
     * who calls checks_answer lets it. */
    const char *(*ask)(void *userdata, Arena *arena);
    unsigned facts; /* a bit each: those that must hold */
} Check;
/* An `ask` for which all is well: the question itself is the answer. */
const char *check_ping(void *userdata, Arena *arena);

typedef struct ChecksConfig {
    const char *component; /* for the log; borrowed */
    const Check *rows;     /* in the order of the answers; copied */
    size_t n, room;        /* so many more may be added */
    unsigned roots;        /* those served; one without any row has a ping */
    bool whole;            /* only the roots are served, no single checks */
    void *userdata;
} ChecksConfig;
Checks *checks_new(const ChecksConfig *config);
void checks_free(Checks *checks);
DEFINE_CLEANUP(Checks, checks_free)
/* One more, at the end. One thread at a time; what does not fit the room is dropped (and logged). */
void checks_add(Checks *checks, const Check *row);
void checks_report(Checks *checks, unsigned facts, bool hold);

/* What a path asks for. */
typedef struct ChecksPath {
    size_t root;
    struct CheckEntry *one; /* NULL: all of the root */
} ChecksPath;
/* 0; -ENOENT: below a root, but no check of ours; -ENOTDIR: another path. */
int checks_find(Checks *checks, const char *path, ChecksPath *ret);
/* The status and, in `out`, the text of the answer. Blocks for as long as the checks do. */
int checks_answer(Checks *checks, const ChecksPath *path, const char *query, Buf *out);
/* Appends the paths that are served to an array of strings. */
void checks_list_paths(Checks *checks, Arena *arena, Value *paths);
void checks_write_slis(Checks *checks, Buf *out);
