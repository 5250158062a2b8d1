/* Command-line flags as a table: parsing, errors that say what to do, and --help come from the same rows. GNU style:
 * --name value, --name=value, switches without a value (or --name=false). */
#pragma once

#include "base/mem.h"

#include <stdio.h>

typedef enum FlagKind {
    FLAG_STRING,   /* const char **: points into argv */
    FLAG_BOOL,     /* bool * */
    FLAG_INT,      /* int64_t * */
    FLAG_DURATION, /* int64_t *, nanoseconds, Go syntax */
    FLAG_LIST,     /* FlagList *: may be repeated */
} FlagKind;

#define FLAG_LIST_MAX 64
typedef struct FlagList {
    const char *items[FLAG_LIST_MAX + 1]; /* NULL-terminated; points into argv */
    size_t n;
} FlagList;

typedef struct Flag {
    const char *name; /* without the dashes */
    FlagKind kind;
    void *target;
    const char *metavar, *help; /* metavar NULL for FLAG_BOOL */
} Flag;

typedef struct Command {
    const char *name;  /* "lighter up": for messages */
    const char *usage; /* "lighter up [flags]" */
    const char *about; /* a sentence or more */
    const Flag *flags;
    size_t n_flags;
    size_t min_arguments, max_arguments; /* positional ones */
} Command;

typedef enum FlagsResult { FLAGS_OK, FLAGS_HELP, FLAGS_ERROR } FlagsResult;
/* Reads argv[1..]. Positional arguments are moved to argv[1..]; *ret_n counts them. FLAGS_HELP: --help was printed,
 * exit 0. FLAGS_ERROR: the mistake was printed, exit 2. */
FlagsResult flags_parse(const Command *command, int argc, char **argv, int *ret_n);
/* The value a flag has, as it would be given: a list as [a,b]. Owned by the caller. */
char *flag_text(const Flag *flag);
void flags_help(const Command *command, FILE *to);
