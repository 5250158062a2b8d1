#include "apiserver/handlers/html_links.h"
#include "base/str.h"

#include <ctype.h>
#include <strings.h>

#define NAME_MAX_BYTES 32 /* of an element or attribute that the table may know */

typedef enum HtmlState {
    HTML_TEXT,
    HTML_TAG,     /* from '<'; quote says which one is open */
    HTML_COMMENT, /* until "-->" */
    HTML_RAW,     /* until the end tag of `raw` */
} HtmlState;

struct HtmlLinks {
    html_rewrite_fn rewrite;
    void *userdata;
    HtmlState state;
    char quote;
    char raw[NAME_MAX_BYTES];
    Buf tag; /* of HTML_TAG, and what may be the end of HTML_COMMENT or HTML_RAW */
};

/* HTML 4.01 attributes of type URI, and those of HTML 5. */
static const struct {
    const char *element;
    const char *attributes[5];
} linked[] = {
    {"a", {"href"}},
    {"applet", {"codebase"}},
    {"area", {"href"}},
    {"audio", {"src"}},
    {"base", {"href"}},
    {"blockquote", {"cite"}},
    {"body", {"background"}},
    {"button", {"formaction"}},
    {"command", {"icon"}},
    {"del", {"cite"}},
    {"embed", {"src"}},
    {"form", {"action"}},
    {"frame", {"longdesc", "src"}},
    {"head", {"profile"}},
    {"html", {"manifest"}},
    {"iframe", {"longdesc", "src"}},
    {"img", {"longdesc", "src", "usemap"}},
    {"input", {"src", "usemap", "formaction"}},
    {"ins", {"cite"}},
    {"link", {"href"}},
    {"object", {"classid", "codebase", "data", "usemap"}},
    {"q", {"cite"}},
    {"script", {"src"}},
    {"source", {"src"}},
    {"video", {"poster", "src"}},
};

/* Elements whose content is text up to their end tag. */
static const char *const raw_elements[] = {"iframe", "noembed",  "noframes", "script", "style",
                                           "title",  "textarea", "xmp",      NULL};

HtmlLinks *html_links_new(html_rewrite_fn rewrite, void *userdata) {
    HtmlLinks *links = NEW0(HtmlLinks);
    links->rewrite = rewrite;
    links->userdata = userdata;
    links->tag = BUF_INIT(HTML_TAG_MAX);
    return links;
}

void html_links_free(HtmlLinks *links) {
    if (!links)
        return;
    buf_done(&links->tag);
    free(links);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* A name in lower case; "" when it is longer than any of the table. */
static void copy_name(char out[NAME_MAX_BYTES], const char *p, size_t n) {
    size_t i = 0;
    for (; n < NAME_MAX_BYTES && i < n; i++)
        out[i] = (char)tolower((unsigned char)p[i]);
    out[i] = 0;
}

static bool is_link(const char *element, const char *attribute) {
    for (size_t i = 0; i < ELEMENTSOF(linked); i++)
        if (streq(linked[i].element, element))
            return str_in(attribute, linked[i].attributes);
    return false;
}

/* A start tag, whole: "<a href=...>". */
static void write_tag(HtmlLinks *links, const char *element, size_t at, Buf *out) {
    const char *p = links->tag.data + at, *end = links->tag.data + links->tag.len, *done = links->tag.data;
    while (p < end && *p != '>') {
        char attribute[NAME_MAX_BYTES];
        while (p < end && (is_space(*p) || *p == '/'))
            p++;
        const char *name = p;
        while (p < end && !is_space(*p) && *p != '=' && *p != '>' && *p != '/')
            p++;
        copy_name(attribute, name, (size_t)(p - name));
        while (p < end && is_space(*p))
            p++;
        if (p == end || *p != '=') {
            p += p == name && p < end && *p != '>'; /* nothing that we know: go on */
            continue;
        }
        for (p++; p < end && is_space(*p);)
            p++;
        char quote = p < end && (*p == '"' || *p == '\'') ? *p++ : 0;
        const char *value = p;
        while (p < end && (quote ? *p != quote : !is_space(*p) && *p != '>'))
            p++;
        if (p < end && is_link(element, attribute)) {
            _cleanup_free_ char *link = xstrndup(value, (size_t)(p - value));
            buf_append(out, done, (size_t)(value - done));
            links->rewrite(links->userdata, link, out);
            done = p;
        }
        p += quote && p < end;
    }
    buf_append(out, done, (size_t)(end - done));
}

static void finish_tag(HtmlLinks *links, Buf *out) {
    char element[NAME_MAX_BYTES];
    const char *p = links->tag.data + 1, *end = links->tag.data + links->tag.len, *name = p;
    links->state = HTML_TEXT;
    while (p < end && !is_space(*p) && *p != '/' && *p != '>')
        p++;
    copy_name(element, name, (size_t)(p - name));
    if (isalpha((unsigned char)*name)) {
        write_tag(links, element, (size_t)(p - links->tag.data), out);
        if (str_in(element, raw_elements)) {
            links->state = HTML_RAW;
            memcpy(links->raw, element, sizeof element);
        }
    } else
        buf_append(out, links->tag.data, links->tag.len);
    buf_clear(&links->tag);
}

static void flush_tag(HtmlLinks *links, HtmlState next, Buf *out) {
    buf_append(out, links->tag.data, links->tag.len);
    buf_clear(&links->tag);
    links->tag.failed = false;
    links->state = next;
}

static void feed_tag(HtmlLinks *links, char c, Buf *out) {
    if (links->tag.len == 1 && !isalpha((unsigned char)c) && c != '/' && c != '!' && c != '?') {
        flush_tag(links, HTML_TEXT, out); /* a '<' that begins no tag */
        buf_putc(out, c);
        return;
    }
    buf_putc(&links->tag, c);
    if (links->tag.failed || links->tag.len == HTML_TAG_MAX) {
        flush_tag(links, HTML_TEXT, out);
        return;
    }
    if (links->tag.len == 4 && memcmp(links->tag.data, "<!--", 4) == 0)
        flush_tag(links, HTML_COMMENT, out);
    else if (links->quote)
        links->quote = c == links->quote ? 0 : links->quote;
    else if ((c == '"' || c == '\'') && strchr(links->tag.data, '='))
        links->quote = c;
    else if (c == '>')
        finish_tag(links, out);
}

/* Keeps in `tag` what may be the beginning of the end. */
static void feed_raw(HtmlLinks *links, char c, Buf *out) {
    size_t n = strlen(links->raw);
    if (c == '<' || links->tag.len == 0) {
        flush_tag(links, HTML_RAW, out);
        if (c == '<')
            buf_putc(&links->tag, c);
        else
            buf_putc(out, c);
        return;
    }
    buf_putc(&links->tag, c);
    size_t len = links->tag.len;
    if (len == 2 ? c == '/' : len <= n + 2 && tolower((unsigned char)c) == links->raw[len - 3])
        return;
    flush_tag(links, len == n + 3 && (is_space(c) || c == '/' || c == '>') ? HTML_TEXT : HTML_RAW, out);
}

static void feed_comment(HtmlLinks *links, char c, Buf *out) {
    buf_putc(out, c);
    if (c == '>' && links->tag.len >= 2) {
        buf_clear(&links->tag);
        links->state = HTML_TEXT;
    } else if (c == '-') {
        if (links->tag.len < 2)
            buf_putc(&links->tag, c);
    } else
        buf_clear(&links->tag);
}

void html_links_feed(HtmlLinks *links, const char *p, size_t n, bool end, Buf *out) {
    for (const char *stop = p + n; p < stop;) {
        if (links->state == HTML_TEXT) {
            const char *open = memchr(p, '<', (size_t)(stop - p));
            buf_append(out, p, (size_t)((open ? open : stop) - p));
            if (!open)
                break;
            buf_putc(&links->tag, '<');
            links->state = HTML_TAG;
            links->quote = 0;
            p = open + 1;
            continue;
        }
        if (links->state == HTML_TAG)
            feed_tag(links, *p++, out);
        else if (links->state == HTML_COMMENT)
            feed_comment(links, *p++, out);
        else
            feed_raw(links, *p++, out);
    }
    if (end && links->state != HTML_COMMENT)
        flush_tag(links, HTML_TEXT, out);
}
