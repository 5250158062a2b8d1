#include "base/flags.h"

#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#define HELP_INDENT 30

void flags_help(const Command *command, FILE *to) {
    fprintf(to, "Usage: %s\n\n%s\n", command->usage, command->about);
    if (command->n_flags)
        fprintf(to, "\nFlags:\n");
    for (size_t i = 0; i < command->n_flags; i++) {
        const Flag *f = &command->flags[i];
        int n = fprintf(to, "  --%s%s%s", f->name, f->metavar ? " " : "", f->metavar ? f->metavar : "");
        fprintf(to, "%*s%s\n", n < HELP_INDENT ? HELP_INDENT - n : 1, "", f->help);
    }
}

__attribute__((format(printf, 2, 0))) static FlagsResult complain(const Command *command, const char *format,
                                                                  const char *a, const char *b) {
    fprintf(stderr, "%s: ", command->name);
    fprintf(stderr, format, a, b);
    fprintf(stderr, "; see '%s --help'\n", command->name);
    return FLAGS_ERROR;
}

static const Flag *find(const Command *command, const char *name, size_t len) {
    for (size_t i = 0; i < command->n_flags; i++)
        if (strlen(command->flags[i].name) == len && strncmp(command->flags[i].name, name, len) == 0)
            return &command->flags[i];
    return NULL;
}

static int store(const Flag *flag, const char *value) {
    FlagList *list = flag->target;
    switch (flag->kind) {
    case FLAG_STRING:
        *(const char **)flag->target = value;
        return 0;
    case FLAG_BOOL:
        if (!streq(value, "true") && !streq(value, "false"))
            return -EINVAL;
        *(bool *)flag->target = streq(value, "true");
        return 0;
    case FLAG_INT:
        return str_to_int64(value, flag->target);
    case FLAG_DURATION:
        return duration_parse(value, flag->target);
    case FLAG_LIST:
        if (list->n == FLAG_LIST_MAX)
            return -E2BIG;
        list->items[list->n++] = value;
        return 0;
    }
    return -EINVAL;
}

char *flag_text(const Flag *flag) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    const FlagList *list = flag->target;
    char duration[48];
    switch (flag->kind) {
    case FLAG_STRING:
        buf_puts(&out, str_or(*(const char *const *)flag->target, ""));
        break;
    case FLAG_BOOL:
        buf_puts(&out, *(const bool *)flag->target ? "true" : "false");
        break;
    case FLAG_INT:
        buf_printf(&out, "%lld", (long long)*(const int64_t *)flag->target);
        break;
    case FLAG_DURATION:
        buf_puts(&out, duration_format(*(const int64_t *)flag->target, duration));
        break;
    case FLAG_LIST:
        buf_putc(&out, '[');
        for (size_t i = 0; i < list->n; i++)
            buf_printf(&out, "%s%s", i ? "," : "", list->items[i]);
        buf_putc(&out, ']');
        break;
    }
    return xstrdup(str_or(out.data, ""));
}

static FlagsResult parse_one(const Command *command, int argc, char **argv, int *at) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    if (len == 4 && strncmp(name, "help", 4) == 0) {
        flags_help(command, stdout);
        return FLAGS_HELP;
    }
    const Flag *flag = find(command, name, len);
    if (!flag)
        return complain(command, "unknown flag %s%s", argv[*at], "");
    const char *value = equals ? equals + 1 : flag->kind == FLAG_BOOL ? "true" : NULL;
    if (!value && *at + 1 >= argc)
        return complain(command, "flag --%s needs a value (%s)", flag->name, str_or(flag->metavar, "value"));
    if (!value)
        value = argv[++*at];
    if (store(flag, value) < 0)
        return complain(command, "flag --%s cannot be \"%s\"", flag->name, value);
    return FLAGS_OK;
}

FlagsResult flags_parse(const Command *command, int argc, char **argv, int *ret_n) {
    int n = 0;
    bool only_arguments = false;
    for (int i = 1; i < argc; i++) {
        if (!only_arguments && streq(argv[i], "--")) {
            only_arguments = true;
            continue;
        }
        if (only_arguments || argv[i][0] != '-' || !argv[i][1]) {
            argv[1 + n++] = argv[i];
            continue;
        }
        if (streq(argv[i], "-h")) {
            flags_help(command, stdout);
            return FLAGS_HELP;
        }
        if (argv[i][1] != '-')
            return complain(command, "unknown flag %s%s", argv[i], "");
        FlagsResult r = parse_one(command, argc, argv, &i);
        if (r != FLAGS_OK)
            return r;
    }
    if ((size_t)n < command->min_arguments)
        return complain(command, "an argument is missing%s%s", "", "");
    if ((size_t)n > command->max_arguments)
        return complain(command, "unexpected argument \"%s\"%s", argv[1 + command->max_arguments], "");
    *ret_n = n;
    return FLAGS_OK;
}
