#include "apiserver/registry/internal_print.h"

#include "base/str.h"

static Value *print_struct(Arena *arena, const InternalType *type, const Value *served, const Value *parent);

static Value *print_map(Arena *arena, const InternalType *type, const Value *map) {
    Value *copy = value_copy(arena, map);
    VALUE_FOREACH_MEMBER (m, copy)
        if (type)
            m->value = print_struct(arena, type, m->value, NULL);
    value_sort_members(copy);
    return copy;
}

static Value *print_list(Arena *arena, const InternalType *type, const Value *list) {
    Value *out = value_array(arena);
    for (size_t i = 0; i < value_len(list); i++)
        value_append(arena, out,
                     type ? print_struct(arena, type, value_at(list, i), NULL) : value_copy(arena, value_at(list, i)));
    return out;
}

static Value *zero_of(Arena *arena, const InternalField *field, const Value *parent) {
    if (field->is_pointer)
        return value_null(arena);
    switch (field->kind) {
    case PRINT_STRING:
        return value_string(arena, "");
    case PRINT_QUANTITY:
        return value_string(arena, "0");
    case PRINT_BOOL:
        return value_bool(arena, false);
    case PRINT_INT:
        return value_int(arena, 0);
    case PRINT_STRUCT:
        return print_struct(arena, field->type, NULL, parent);
    default:
        return value_null(arena);
    }
}

/* Structs without tags show their empty lists and maps. */
static Value *print_empty(Arena *arena, const Value *v) {
    return v->type == VALUE_ARRAY ? value_array(arena) : value_object(arena);
}

static Value *print_field(Arena *arena, const InternalField *field, const Value *v, const Value *parent) {
    if (!v || v->type == VALUE_NULL)
        return zero_of(arena, field, parent);
    if (value_is_unset(v))
        return print_empty(arena, v);
    switch (field->kind) {
    case PRINT_MAP:
        return print_map(arena, field->type, v);
    case PRINT_LIST:
        return value_is(v, VALUE_ARRAY) ? print_list(arena, field->type, v) : value_copy(arena, v);
    case PRINT_STRUCT:
        return print_struct(arena, field->type, v, parent);
    default:
        return value_copy(arena, v);
    }
}

static Value *print_struct(Arena *arena, const InternalType *type, const Value *served, const Value *parent) {
    Value *out = value_object(arena);
    for (size_t i = 0; i < type->n_fields; i++) {
        const InternalField *field = &type->fields[i];
        const Value *v = value_get(field->in_parent ? parent : served, field->member);
        if (field->kind != PRINT_MEMBERS) {
            value_set_interned(arena, out, field->name, print_field(arena, field, v, served));
            continue;
        }
        VALUE_FOREACH_MEMBER (member, v)
            value_set_interned(arena, out, member->name, value_copy(arena, member->value));
    }
    return out;
}

Value *internal_value(Arena *arena, const char *type, const Value *served, const Value *parent) {
    for (size_t i = 0; i < internal_types_n; i++)
        if (streq(internal_types[i].name, type))
            return print_struct(arena, &internal_types[i], served, parent);
    Value *copy = value_copy(arena, served);
    return copy ? copy : value_null(arena);
}

Value *internal_list(Arena *arena, const char *type, const Value *list) {
    Value *out = value_array(arena);
    for (size_t i = 0; i < value_len(list); i++)
        value_append(arena, out, internal_value(arena, type, value_at(list, i), NULL));
    return out;
}

/* difflib's matcher, as the reference uses it: the longest common run of lines first, the earliest of equally long
 * ones, then the same left and right of it. Lines that stand in more than 1 % of a text of 200 lines or more are not
 * where a run starts, only what extends one. */
#define POPULAR_FROM 200
#define CONTEXT 3

typedef struct Run {
    size_t a, b, n;
} Run;

typedef struct Matcher {
    Arena *arena;
    char **a, **b;
    size_t n_a, n_b;
    uint32_t *ids_a, *ids_b;  /* equal lines have equal numbers */
    uint32_t *first, *places; /* where lines with a number stand in b: places[first[id]..first[id + 1]), rising */
    size_t *lengths, *rows;   /* of the run that ends at a place of b, and the row it was counted in */
    size_t row;
    Run *runs;
    size_t n_runs;
} Matcher;

static void extend_run(const Matcher *m, Run *run, size_t alo, size_t ahi, size_t blo, size_t bhi) {
    while (run->a > alo && run->b > blo && m->ids_a[run->a - 1] == m->ids_b[run->b - 1])
        *run = (Run){run->a - 1, run->b - 1, run->n + 1};
    while (run->a + run->n < ahi && run->b + run->n < bhi && m->ids_a[run->a + run->n] == m->ids_b[run->b + run->n])
        run->n++;
}

static Run longest_run(Matcher *m, size_t alo, size_t ahi, size_t blo, size_t bhi) {
    Run best = {alo, blo, 0};
    m->row++;
    for (size_t i = alo; i < ahi; i++) {
        uint32_t id = m->ids_a[i];
        m->row++;
        /* From the last place to the first, so that what the row before counted is still there. */
        for (uint32_t p = m->first[id + 1]; p > m->first[id]; p--) {
            size_t j = m->places[p - 1];
            if (j < blo || j >= bhi)
                continue;
            size_t k = 1 + (j && m->rows[j - 1] == m->row - 1 ? m->lengths[j - 1] : 0);
            m->rows[j] = m->row;
            m->lengths[j] = k;
            if (k > best.n || (k == best.n && i + 1 - k == best.a))
                best = (Run){i + 1 - k, j + 1 - k, k};
        }
    }
    extend_run(m, &best, alo, ahi, blo, bhi);
    return best;
}

/* Depth: each level takes at least one line away, and texts are bounded by what a request may carry. */
static void find_runs(Matcher *m, size_t alo, size_t ahi, size_t blo, size_t bhi) {
    while (alo < ahi && blo < bhi) {
        Run run = longest_run(m, alo, ahi, blo, bhi);
        if (!run.n)
            return;
        find_runs(m, alo, run.a, blo, run.b);
        Run *last = m->n_runs ? &m->runs[m->n_runs - 1] : NULL;
        if (last && last->a + last->n == run.a && last->b + last->n == run.b)
            last->n += run.n;
        else
            m->runs[m->n_runs++] = run;
        alo = run.a + run.n;
        blo = run.b + run.n;
    }
}

static char **printed_lines(Arena *arena, const Value *v, size_t *ret_n) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_write_json_pretty(&text, v, " ");
    while (text.len && text.data[text.len - 1] == '\n')
        text.data[--text.len] = 0;
    return str_split(arena, text.data, '\n', ret_n);
}

static int by_text(const void *x, const void *y) {
    return strcmp(**(char **const *)x, **(char **const *)y);
}

/* Numbers the lines of both texts; gives how many numbers there are. */
static size_t number_lines(Matcher *m) {
    size_t n = m->n_a + m->n_b, id = 0;
    char ***order = arena_alloc(m->arena, (n + 1) * sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = i < m->n_a ? &m->a[i] : &m->b[i - m->n_a];
    qsort(order, n, sizeof *order, by_text);
    for (size_t i = 0; i < n; i++) {
        id += i && !streq(*order[i], *order[i - 1]);
        if (order[i] >= m->a && order[i] < m->a + m->n_a)
            m->ids_a[order[i] - m->a] = (uint32_t)id;
        else
            m->ids_b[order[i] - m->b] = (uint32_t)id;
    }
    return id + 1;
}

static void index_lines(Matcher *m) {
    m->ids_a = arena_alloc0(m->arena, (m->n_a + 1) * sizeof *m->ids_a);
    m->ids_b = arena_alloc0(m->arena, (m->n_b + 1) * sizeof *m->ids_b);
    size_t n_ids = number_lines(m), popular = m->n_b >= POPULAR_FROM ? m->n_b / 100 + 1 : SIZE_MAX;
    uint32_t *counts = arena_alloc0(m->arena, (n_ids + 1) * sizeof *counts);
    m->first = arena_alloc0(m->arena, (n_ids + 2) * sizeof *m->first);
    m->places = arena_alloc0(m->arena, (m->n_b + 1) * sizeof *m->places);
    m->lengths = arena_alloc0(m->arena, (m->n_b + 1) * sizeof *m->lengths);
    m->rows = arena_alloc0(m->arena, (m->n_b + 1) * sizeof *m->rows);
    m->runs = arena_alloc(m->arena, (MIN(m->n_a, m->n_b) + 2) * sizeof *m->runs);
    for (size_t j = 0; j < m->n_b; j++)
        counts[m->ids_b[j]]++;
    for (size_t id = 0; id < n_ids; id++) {
        counts[id] = counts[id] > popular ? 0 : counts[id];
        m->first[id + 1] = m->first[id] + counts[id];
    }
    for (size_t j = m->n_b; j > 0; j--) {
        uint32_t id = m->ids_b[j - 1];
        if (counts[id])
            m->places[m->first[id] + --counts[id]] = (uint32_t)(j - 1);
    }
}

static void write_range(Buf *out, size_t start, size_t n) {
    if (n == 1)
        buf_printf(out, "%zu", start + 1);
    else
        buf_printf(out, "%zu,%zu", n ? start + 1 : start, n);
}

static void write_lines(Buf *out, char sign, char **lines, size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
        buf_printf(out, "%c%s\n", sign, lines[i]);
}

/* One hunk: the gaps before runs first..last, with what is between them. */
static void write_hunk(Buf *out, const Matcher *m, size_t first, size_t last) {
    Run before = first ? m->runs[first - 1] : (Run){0};
    size_t a = before.a + before.n, b = before.b + before.n, lead = MIN(before.n, (size_t)CONTEXT);
    size_t tail = MIN(m->runs[last].n, (size_t)CONTEXT);
    size_t a0 = a - lead, b0 = b - lead, a1 = m->runs[last].a + tail, b1 = m->runs[last].b + tail;
    buf_puts(out, "@@ -");
    write_range(out, a0, a1 - a0);
    buf_puts(out, " +");
    write_range(out, b0, b1 - b0);
    buf_puts(out, " @@\n");
    write_lines(out, ' ', m->a, a0, a);
    for (size_t i = first; i <= last; i++) {
        Run run = m->runs[i];
        write_lines(out, '-', m->a, a, run.a);
        write_lines(out, '+', m->b, b, run.b);
        write_lines(out, ' ', m->a, run.a, i == last ? a1 : run.a + run.n);
        a = run.a + run.n;
        b = run.b + run.n;
    }
}

char *internal_diff(Arena *arena, const Value *a, const Value *b) {
    Matcher m = {.arena = arena};
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    m.a = printed_lines(arena, a, &m.n_a);
    m.b = printed_lines(arena, b, &m.n_b);
    index_lines(&m);
    find_runs(&m, 0, m.n_a, 0, m.n_b);
    m.runs[m.n_runs++] = (Run){m.n_a, m.n_b, 0};
    for (size_t i = 0; i < m.n_runs;) {
        Run before = i ? m.runs[i - 1] : (Run){0};
        bool gap = m.runs[i].a > before.a + before.n || m.runs[i].b > before.b + before.n;
        if (!gap) {
            i++;
            continue;
        }
        size_t last = i;
        while (last + 1 < m.n_runs && m.runs[last].n <= 2 * CONTEXT)
            last++;
        /* The closing empty run is a gap of its own only when lines stand before it. */
        Run *end = &m.runs[last], *up = &m.runs[last ? last - 1 : 0];
        if (last > i && end->n == 0 && up->a + up->n == end->a && up->b + up->n == end->b)
            last--;
        write_hunk(&out, &m, i, last);
        i = last + 1;
    }
    return arena_strndup(arena, out.data ? out.data : "", out.len);
}
