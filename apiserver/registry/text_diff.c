#include "apiserver/registry/text_diff.h"

#include "base/str.h"

#define CONTEXT_LINES 3u

typedef struct Lines {
    char **items;
    size_t n;
} Lines;

typedef struct Diff {
    Lines a, b;
    bool *keep_a, *keep_b; /* lines that both texts have, in order */
} Diff;

static Lines lines_of(Arena *arena, const Value *v) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    Lines lines;
    value_write_json_pretty(&text, v, " ");
    lines.items = str_split(arena, arena_strndup(arena, text.data, text.len), '\n', &lines.n);
    return lines;
}

/* The longest common subsequence, by the table of the lengths of those of all tails. */
static void match(Arena *arena, Diff *diff) {
    size_t rows = diff->a.n + 1, columns = diff->b.n + 1, i = 0, j = 0;
    uint16_t *length = arena_alloc0(arena, rows * columns * sizeof(*length));
    for (size_t x = diff->a.n; x-- > 0;)
        for (size_t y = diff->b.n; y-- > 0;) {
            uint16_t *here = &length[x * columns + y];
            *here = streq(diff->a.items[x], diff->b.items[y])
                        ? (uint16_t)(length[(x + 1) * columns + y + 1] + 1)
                        : MAX(length[(x + 1) * columns + y], length[x * columns + y + 1]);
        }
    while (i < diff->a.n && j < diff->b.n)
        if (streq(diff->a.items[i], diff->b.items[j])) {
            diff->keep_a[i++] = true;
            diff->keep_b[j++] = true;
        } else if (length[(i + 1) * columns + j] >= length[i * columns + j + 1])
            i++;
        else
            j++;
}

static void write_range(Buf *out, char sign, size_t start, size_t n) {
    buf_printf(out, n == 1 ? "%c%zu" : "%c%zu,%zu", sign, n ? start + 1 : start, n);
}

typedef struct Place {
    size_t a, b;
} Place;

/* From `from`: one hunk, and where it ends. */
static Place write_hunk(Buf *out, const Diff *diff, Place from) {
    Place start = from, end, at;
    size_t same = 0;
    for (at = from; at.a < diff->a.n || at.b < diff->b.n;) {
        if (at.a < diff->a.n && at.b < diff->b.n && diff->keep_a[at.a] && diff->keep_b[at.b]) {
            at.a++;
            at.b++;
            same++;
            if (same > 2 * CONTEXT_LINES)
                break;
            continue;
        }
        same = 0;
        if (at.a < diff->a.n && !diff->keep_a[at.a])
            at.a++;
        else
            at.b++;
    }
    size_t over = same > CONTEXT_LINES ? same - CONTEXT_LINES : 0;
    end = (Place){at.a - over, at.b - over};
    buf_puts(out, "@@ ");
    write_range(out, '-', start.a, end.a - start.a);
    buf_putc(out, ' ');
    write_range(out, '+', start.b, end.b - start.b);
    buf_puts(out, " @@\n");
    for (at = start; at.a < end.a || at.b < end.b;)
        if (at.a < end.a && !diff->keep_a[at.a])
            buf_printf(out, "-%s\n", diff->a.items[at.a++]);
        else if (at.b < end.b && !diff->keep_b[at.b])
            buf_printf(out, "+%s\n", diff->b.items[at.b++]);
        else {
            buf_printf(out, " %s\n", diff->a.items[at.a++]);
            at.b++;
        }
    return end;
}

char *value_diff(Arena *arena, const Value *old, const Value *now) {
    Diff diff = {.a = lines_of(arena, old), .b = lines_of(arena, now)};
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    if (diff.a.n > DIFF_LINES_MAX || diff.b.n > DIFF_LINES_MAX)
        return arena_strdup(arena, "");
    diff.keep_a = arena_alloc0(arena, diff.a.n + 1);
    diff.keep_b = arena_alloc0(arena, diff.b.n + 1);
    match(arena, &diff);
    for (Place at = {0}; at.a < diff.a.n || at.b < diff.b.n;) {
        Place first = at;
        while (first.a < diff.a.n && first.b < diff.b.n && diff.keep_a[first.a] && diff.keep_b[first.b]) {
            first.a++;
            first.b++;
        }
        if (first.a == diff.a.n && first.b == diff.b.n)
            break;
        size_t back = MIN(first.a - at.a, (size_t)CONTEXT_LINES);
        at = write_hunk(&out, &diff, (Place){first.a - back, first.b - back});
    }
    return arena_strndup(arena, out.data ? out.data : "", out.len);
}
