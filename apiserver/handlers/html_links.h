/* Rewrites the links of HTML as it streams by, for pages that are served below another path than they think
 * (k8s.io/apimachinery/pkg/util/proxy, Transport). Only the values of attributes that hold URLs change; all else goes
 * through byte by byte. What is kept between calls is one tag of at most HTML_TAG_MAX bytes: a longer one goes through
 * unchanged. */
#pragma once

#include "base/buf.h"

#define HTML_TAG_MAX (64 * 1024)

typedef struct HtmlLinks HtmlLinks;
/* Appends the link to put in place of `link` (NUL-terminated) to out. */
typedef void (*html_rewrite_fn)(void *userdata, const char *link, Buf *out);

HtmlLinks *html_links_new(html_rewrite_fn rewrite, void *userdata);
void html_links_free(HtmlLinks *links);
DEFINE_CLEANUP(HtmlLinks, html_links_free)
/* `end`: no more will come. */
void html_links_feed(HtmlLinks *links, const char *p, size_t n, bool end, Buf *out);
