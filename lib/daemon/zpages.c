#include "daemon/zpages.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "base/version.h"

#include <time.h>

#define WARNING                                                                                                        \
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is "  \
    "for debugging purposes only.\n"

typedef struct Setting {
    const char *name; /* borrowed from the table of flags: a constant */
    char *value;
} Setting;

struct Zpages {
    const char *component;
    Setting *settings; /* by name */
    size_t n;
    int64_t started_ns;
};

static int compare_settings(const void *a, const void *b) {
    return strcmp(((const Setting *)a)->name, ((const Setting *)b)->name);
}

Zpages *zpages_new(const char *component, const Flag *flags, size_t n_flags) {
    Zpages *pages = NEW0(Zpages);
    pages->component = component;
    pages->started_ns = now_realtime_ns();
    pages->settings = NEWN0(Setting, n_flags + 1);
    for (size_t i = 0; i < n_flags; i++)
        pages->settings[pages->n++] = (Setting){flags[i].name, flag_text(&flags[i])};
    qsort(pages->settings, pages->n, sizeof *pages->settings, compare_settings);
    return pages;
}

void zpages_free(Zpages *pages) {
    if (!pages)
        return;
    for (size_t i = 0; i < pages->n; i++)
        free(pages->settings[i].value);
    free(pages->settings);
    free(pages);
}

/* Another one each time, as the reference, so that nobody comes to rely on it. */
static const char *any_separator(void) {
    static const char *const separators[] = {":", ": ", "=", " "};
    return separators[random_below(ELEMENTSOF(separators))];
}

/* ---- flagz ---- */

static void write_flags(const Zpages *pages, _unused_ const Value *paths, Buf *out) {
    const char *separator = any_separator();
    for (size_t i = 0; i < pages->n; i++)
        buf_printf(out, "%s%s%s\n", pages->settings[i].name, separator, pages->settings[i].value);
}

static void fill_flags(const Zpages *pages, Arena *arena, _unused_ const Value *paths, Value *page) {
    Value *flags = value_object(arena);
    for (size_t i = 0; i < pages->n; i++)
        value_set_str(arena, flags, pages->settings[i].name, pages->settings[i].value);
    value_set(arena, page, "flags", flags);
}

/* ---- statusz ---- */

/* The reference leaves out what clients of the API find by discovery, and what stands below another path. */
static bool is_for_people(const char *path) {
    static const char *const others[] = {"/apis", "/api", "/openid", "/openapi", "/.well-known"};
    for (size_t i = 0; i < ELEMENTSOF(others); i++)
        if (str_has_prefix(path, others[i]))
            return false;
    return !strchr(path + 1, '/');
}

static uint64_t up_seconds(const Zpages *pages) {
    int64_t ns = now_realtime_ns() - pages->started_ns;
    return ns < 0 ? 0 : (uint64_t)ns / NS_PER_SEC;
}

static void write_status(const Zpages *pages, const Value *paths, Buf *out) {
    const char *separator = any_separator();
    unsigned long long up = up_seconds(pages);
    time_t started = (time_t)(pages->started_ns / (int64_t)NS_PER_SEC);
    struct tm tm;
    char text[64];
    gmtime_r(&started, &tm);
    strftime(text, sizeof text, "%a %b %e %H:%M:%S UTC %Y", &tm);
    buf_printf(out, "\nStarted%s %s\nUp%s %llu hr %02llu min %02llu sec\nGo version%s %s\n", separator, text, separator,
               up / 3600, up / 60 % 60, up % 60, separator, GO_VERSION);
    buf_printf(out, "Binary version%s %s\nEmulation version%s %s\nPaths%s", separator,
               KUBERNETES_MAJOR "." KUBERNETES_MINOR, separator, KUBERNETES_MAJOR "." KUBERNETES_MINOR, separator);
    const Value *path;
    VALUE_FOREACH (path, paths)
        if (is_for_people(value_str(path)))
            buf_printf(out, " %s", value_str(path));
    buf_putc(out, '\n');
}

static void fill_status(const Zpages *pages, Arena *arena, const Value *paths, Value *page) {
    char text[RFC3339_MAX];
    Value *shown = value_array(arena);
    const Value *path;
    value_set_str(arena, page, "startTime", rfc3339_format(pages->started_ns, text));
    value_set_int(arena, page, "uptimeSeconds", (int64_t)up_seconds(pages));
    value_set_str(arena, page, "goVersion", GO_VERSION);
    value_set_str(arena, page, "binaryVersion", KUBERNETES_MAJOR "." KUBERNETES_MINOR);
    value_set_str(arena, page, "emulationVersion", KUBERNETES_MAJOR "." KUBERNETES_MINOR);
    VALUE_FOREACH (path, paths)
        if (is_for_people(value_str(path)))
            value_append(arena, shown, value_string(arena, value_str(path)));
    value_set(arena, page, "paths", shown);
}

/* ---- both ---- */

struct Zpage {
    const char *path, *name, *kind;
    void (*write)(const Zpages *pages, const Value *paths, Buf *out);
    void (*fill)(const Zpages *pages, Arena *arena, const Value *paths, Value *page);
};

static const Zpage all_pages[] = {
    {"/flagz", "flagz", "Flagz", write_flags, fill_flags},
    {"/statusz", "statusz", "Statusz", write_status, fill_status},
};

const Zpage *zpages_find(const char *path) {
    for (size_t i = 0; i < ELEMENTSOF(all_pages); i++)
        if (streq(path, all_pages[i].path))
            return &all_pages[i];
    return NULL;
}

const char *zpage_kind(const Zpage *page) {
    return page->kind;
}

void zpage_write(const Zpages *pages, const Zpage *page, const Value *paths, Buf *out) {
    buf_printf(out, "\n%s %s\n" WARNING, pages->component, page->name);
    page->write(pages, paths, out);
}

void zpage_fill(const Zpages *pages, const Zpage *page, Arena *arena, const Value *paths, Value *ret) {
    value_set_str(arena, value_ensure_object(arena, ret, "metadata"), "name", pages->component);
    page->fill(pages, arena, paths, ret);
}
