#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define T1 "2026-01-02T03:04:05.000000001Z"
#define T2 "2026-01-02T03:04:06.000000002Z"
#define T3 "2026-01-02T03:04:07.000000003Z"

static const LogOptions all = {.stdout_ = true, .stderr_ = true, .tail_lines = -1, .limit_bytes = -1};

typedef struct Place {
    char dir[64], path[96], moved[96];
} Place;

static int setup(void **state) {
    Place *p = NEW0(Place);
    snprintf(p->dir, sizeof p->dir, "/tmp/lighter-logs-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof p->path, "%s/0.log", p->dir);
    snprintf(p->moved, sizeof p->moved, "%s/0.log.1", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    Place *p = *state;
    fs_remove_tree(p->dir);
    free(p);
    return 0;
}

static void append(const Place *p, const char *text) {
    int fd = open(p->path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Everything up to the first wait or the end, appended to `out`. */
static int drain(LogReader *reader, bool last, Buf *out) {
    int r;
    while ((r = log_reader_read(reader, last, out)) == LOG_READ_MORE) {
    }
    return r;
}

static void expect(const Place *p, const LogOptions *options, int end, const char *text) {
    LogReader *reader = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    assert_int_equal(log_reader_open(p->path, options, &reader), 0);
    assert_int_equal(drain(reader, !options->follow, &out), end);
    assert_string_equal(out.data ? out.data : "", text);
    log_reader_free(reader);
}

static void test_plain(void **state) {
    const Place *p = *state;
    LogReader *reader = NULL;
    assert_int_equal(log_reader_open(p->path, &all, &reader), -ENOENT);
    assert_null(reader);
    append(p, T1 " stdout F one\n" T2 " stderr F two\n" T3 " stdout F \n");
    expect(p, &all, LOG_READ_WAIT, "one\ntwo\n\n");
    LogOptions o = all;
    o.timestamps = true;
    expect(p, &o, LOG_READ_WAIT, T1 " one\n" T2 " two\n" T3 " \n");
    o = all;
    o.stdout_ = false;
    expect(p, &o, LOG_READ_WAIT, "two\n");
    o = all;
    o.stderr_ = false;
    expect(p, &o, LOG_READ_WAIT, "one\n\n");
}

static void test_partial(void **state) {
    const Place *p = *state;
    append(p, T1 " stdout P ab\n" T2 " stdout P cd\n" T3 " stdout F ef\n" T3 " stdout F next\n");
    expect(p, &all, LOG_READ_WAIT, "abcdef\nnext\n");
    LogOptions o = all;
    o.timestamps = true;
    expect(p, &o, LOG_READ_WAIT, T1 " abcdef\n" T3 " next\n");
}

static void test_since(void **state) {
    const Place *p = *state;
    append(p, T1 " stdout F one\n" T2 " stdout F two\n" T3 " stdout F three\n");
    LogOptions o = all;
    assert_int_equal(rfc3339_parse(T2, &o.since_ns), 0);
    expect(p, &o, LOG_READ_WAIT, "two\nthree\n");
    o.since_ns++;
    expect(p, &o, LOG_READ_WAIT, "three\n");
}

static void test_tail(void **state) {
    const Place *p = *state;
    append(p, T1 " stdout F one\n" T2 " stdout F two\n" T3 " stdout F three\n");
    LogOptions o = all;
    o.tail_lines = 0;
    expect(p, &o, LOG_READ_END, "");
    o.tail_lines = 1;
    expect(p, &o, LOG_READ_END, "three\n");
    o.tail_lines = 2;
    expect(p, &o, LOG_READ_END, "two\nthree\n");
    o.tail_lines = 3;
    expect(p, &o, LOG_READ_END, "one\ntwo\nthree\n");
    o.tail_lines = 100;
    expect(p, &o, LOG_READ_WAIT, "one\ntwo\nthree\n");
    append(p, T3 " stdout F unfinished");
    o.tail_lines = 2;
    expect(p, &o, LOG_READ_WAIT, "three\nunfinished");
}

/* Over many blocks, each way the blocks can fall on the lines. */
static void test_tail_long(void **state) {
    const Place *p = *state;
    enum { LINES = 3000 };
    FILE *f = fopen(p->path, "we");
    assert_non_null(f);
    for (int i = 0; i < LINES; i++)
        fprintf(f, T1 " stdout F %d-%.*s\n", i, i % 97,
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    fclose(f);
    for (int n = 1; n <= LINES; n += 37) {
        LogOptions o = all;
        o.tail_lines = n;
        LogReader *reader = NULL;
        _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
        assert_int_equal(log_reader_open(p->path, &o, &reader), 0);
        assert_int_equal(drain(reader, true, &out), LOG_READ_END);
        assert_int_equal(atoi(out.data), LINES - n);
        int lines = 0;
        for (const char *at = out.data; (at = strchr(at, '\n')); at++)
            lines++;
        assert_int_equal(lines, n);
        log_reader_free(reader);
    }
}

static void test_limit(void **state) {
    const Place *p = *state;
    append(p, T1 " stdout F one\n" T2 " stdout F two\n");
    LogOptions o = all;
    o.limit_bytes = 6;
    expect(p, &o, LOG_READ_END, "one\ntw");
    o.limit_bytes = 3;
    o.timestamps = true;
    expect(p, &o, LOG_READ_END, "202");
    o.timestamps = false;
    o.limit_bytes = 100;
    expect(p, &o, LOG_READ_WAIT, "one\ntwo\n");
}

static void test_bad_lines(void **state) {
    const Place *p = *state;
    append(p, "nonsense\n\n" T1 " stdxxx F no\nyesterday stdout F no\n" T1 " stdout F yes\n" T1 " stdout\n" T1
              " stdout P:x a\n" T1 " stdout F:x b\n");
    expect(p, &all, LOG_READ_WAIT, "yes\nab\n");
    FILE *f = fopen(p->path, "we");
    assert_non_null(f);
    fprintf(f, T1 " stdout F ");
    for (int i = 0; i < CONTAINER_LOG_LINE_MAX * 2; i++)
        fputc('x', f);
    fprintf(f, "\n" T2 " stdout F after\n");
    fclose(f);
    expect(p, &all, LOG_READ_WAIT, "after\n");
}

static void test_follow(void **state) {
    const Place *p = *state;
    LogOptions o = all;
    o.follow = true;
    o.tail_lines = 1;
    append(p, T1 " stdout F zero\n" T1 " stdout F one\n");
    LogReader *reader = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    assert_int_equal(log_reader_open(p->path, &o, &reader), 0);
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\n");
    append(p, T2 " stdout F tw");
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\n");
    append(p, "o\n" T2 " stdout F th");
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\ntwo\n");
    assert_int_equal(drain(reader, true, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\ntwo\nth");
    log_reader_free(reader);
}

static void test_rotation(void **state) {
    const Place *p = *state;
    LogOptions o = all;
    o.follow = true;
    append(p, T1 " stdout F one\n");
    LogReader *reader = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    assert_int_equal(log_reader_open(p->path, &o, &reader), 0);
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    append(p, T1 " stdout F two\n");
    assert_int_equal(rename(p->path, p->moved), 0);
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\ntwo\n");
    append(p, T2 " stdout F three\n");
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\ntwo\nthree\n");
    /* cut short in place */
    assert_int_equal(truncate(p->path, 0), 0);
    append(p, T2 " stdout F 4\n");
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\ntwo\nthree\n4\n");
    log_reader_free(reader);
}

/* What is written to the old file after its end was seen and before the new one is noticed is not lost. */
static void test_rotation_race(void **state) {
    const Place *p = *state;
    LogOptions o = all;
    o.follow = true;
    append(p, T1 " stdout F one\n");
    LogReader *reader = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    assert_int_equal(log_reader_open(p->path, &o, &reader), 0);
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_int_equal(rename(p->path, p->moved), 0);
    append(p, T2 " stdout F new\n");
    assert_int_equal(log_reader_read(reader, false, &out), LOG_READ_MORE);
    int fd = open(p->moved, O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    static const char text[] = T2 " stdout F late\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(drain(reader, false, &out), LOG_READ_WAIT);
    assert_string_equal(out.data, "one\nlate\nnew\n");
    log_reader_free(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_since, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_race, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
