/* Links of pages that are served below another path. Each page is fed whole and byte by byte: both must say the same.
 */
#include "apiserver/handlers/html_links.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void prefix(void *userdata, const char *link, Buf *out) {
    buf_printf(out, "%s%s", (const char *)userdata, link);
}

static char *rewritten(const char *page, size_t step) {
    static char mark[] = "@";
    _cleanup_(html_links_freep) HtmlLinks *links = html_links_new(prefix, mark);
    Buf out = BUF_INIT(1024 * 1024);
    size_t n = strlen(page);
    for (size_t i = 0; i < n; i += step)
        html_links_feed(links, page + i, MIN(step, n - i), false, &out);
    html_links_feed(links, "", 0, true, &out);
    return out.data ? buf_take(&out, NULL) : xstrdup("");
}

static void assert_page(const char *page, const char *want) {
    static const size_t steps[] = {1, 2, 3, 7, 100000};
    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        _cleanup_free_ char *got = rewritten(page, steps[i]);
        assert_string_equal(got, want);
    }
}

static void test_links(void **state) {
    (void)state;
    assert_page("", "");
    assert_page("no < tags > here <", "no < tags > here <");
    assert_page("<a href=\"/x\">x</a>", "<a href=\"@/x\">x</a>");
    assert_page("<A HREF='/x'>", "<A HREF='@/x'>");
    assert_page("<img src=/a.png alt=/b>", "<img src=@/a.png alt=/b>");
    assert_page("<img longdesc=\"/l\" src = \"/s\" usemap=/u/>", "<img longdesc=\"@/l\" src = \"@/s\" usemap=@/u/>");
    assert_page("<a title=\">\" href=\"/x\">", "<a title=\">\" href=\"@/x\">");
    assert_page("<form method=post action=\"\">", "<form method=post action=\"@\">");
    assert_page("<p href=/x><b src='/y'>", "<p href=/x><b src='/y'>");
    assert_page("<video poster=/p controls src=/v>", "<video poster=@/p controls src=@/v>");
    assert_page("<a \n\thref\n=\n'/x'>", "<a \n\thref\n=\n'@/x'>");
}

static void test_what_is_no_markup(void **state) {
    (void)state;
    assert_page("<!-- <a href=/x> --><a href=/y>", "<!-- <a href=/x> --><a href=@/y>");
    assert_page("<!---- <a href=/x> ---><a href=/y>", "<!---- <a href=/x> ---><a href=@/y>");
    assert_page("<!DOCTYPE html \"/x\"><a href=/y>", "<!DOCTYPE html \"/x\"><a href=@/y>");
    assert_page("<script src=/s>if (a<b) '<a href=/x>' </scripty></script ><a href=/y>",
                "<script src=@/s>if (a<b) '<a href=/x>' </scripty></script ><a href=@/y>");
    assert_page("<style><a href=/x></STYLE><a href=/y>", "<style><a href=/x></STYLE><a href=@/y>");
    assert_page("<textarea><</textarea><a href=/y>", "<textarea><</textarea><a href=@/y>");
    assert_page("a</a href=/x>b", "a</a href=/x>b");
    assert_page("<a href=\"/x", "<a href=\"/x"); /* cut */
    assert_page("<!-- open", "<!-- open");
}

static void test_a_tag_too_long_goes_through(void **state) {
    (void)state;
    Buf page = BUF_INIT(1024 * 1024);
    buf_puts(&page, "<a title=\"");
    for (size_t i = 0; i < HTML_TAG_MAX; i++)
        buf_putc(&page, 'x');
    buf_puts(&page, "\" href=\"/x\"><a href=/y>");
    _cleanup_free_ char *got = rewritten(page.data, 1000);
    assert_int_equal(strlen(got), page.len + 1);
    assert_non_null(strstr(got, "href=\"/x\"><a href=@/y>"));
    buf_done(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_what_is_no_markup),
        cmocka_unit_test(test_a_tag_too_long_goes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
