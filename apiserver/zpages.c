#include "apiserver/zpages.h"
#include "apiserver/handlers/http.h"
#include "base/str.h"

static void serve_text(const Zpages *pages, HttpRequest *http, const Zpage *page, const Value *paths) {
    _cleanup_buf_ Buf out = BUF_INIT(ZPAGE_MAX);
    zpage_write(pages, page, paths, &out);
    http_reply_text(http, 200, "text/plain; charset=utf-8", str_or(out.data, ""));
}

static void serve_object(const Zpages *pages, HttpRequest *http, Arena *arena, const Zpage *page, const Value *paths,
                         const PageMedia *media) {
    const char *kind = zpage_kind(page);
    Value *v = api_value_new(arena, arena_printf(arena, PAGE_GROUP "/%s", media->version), kind);
    zpage_fill(pages, page, arena, paths, v);
    http_reply_page(http, arena, media, kind, v);
}

bool zpages_serve(const Zpages *pages, HttpRequest *http, Arena *arena, const char *path, const Value *paths) {
    _cleanup_api_error_ ApiError err = {0};
    PageMedia media;
    const Zpage *page = zpages_find(path);
    if (!page)
        return false;
    if (media_negotiate_page(arena, http, zpage_kind(page), &media, &err) < 0)
        http_reply_error(http, &err);
    else if (media.version)
        serve_object(pages, http, arena, page, paths, &media);
    else
        serve_text(pages, http, page, paths);
    return true;
}
