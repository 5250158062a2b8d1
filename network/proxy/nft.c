#include "network/proxy/nft.h"

#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <nftables/libnftables.h>

static int fail(char **ret_error, struct nft_ctx *ctx, const char *what) {
    const char *words = ctx ? nft_ctx_get_error_buffer(ctx) : NULL;
    if (ret_error)
        *ret_error = xasprintf("%s: %.1000s", what, str_or(words, "no reason given"));
    if (ctx)
        nft_ctx_free(ctx);
    return -EIO;
}

static struct nft_ctx *context(unsigned flags) {
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!ctx)
        return NULL;
    nft_ctx_output_set_flags(ctx, flags);
    if (nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
        nft_ctx_free(ctx);
        return NULL;
    }
    return ctx;
}

int nft_run(const char *script, char **ret_error) {
    struct nft_ctx *ctx = context(0);
    if (!ctx || nft_run_cmd_from_buffer(ctx, script) != 0)
        return fail(ret_error, ctx, "nftables refuses");
    nft_ctx_free(ctx);
    return 0;
}

/* The names of {"nftables": [{KIND: {"table": TABLE, "name": ...}}, ...]}. */
static char **names_of(const char *json, const char *kind, const char *table) {
    json_t *root = json_loads(json, 0, NULL), *list = json_object_get(root, "nftables"), *item;
    char **names = NEWN0(char *, json_array_size(list) + 1);
    size_t n = 0, i;
    json_array_foreach(list, i, item) {
        const json_t *one = json_object_get(item, kind);
        const char *name = json_string_value(json_object_get(one, "name")),
                   *of = json_string_value(json_object_get(one, "table"));
        if (name && of && streq(of, table))
            names[n++] = xstrdup(name);
    }
    json_decref(root);
    return names;
}

static int list(const char *command, const char *kind, const char *table, char ***ret, char **ret_error) {
    struct nft_ctx *ctx = context(NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE);
    if (!ctx || nft_run_cmd_from_buffer(ctx, command) != 0)
        return fail(ret_error, ctx, command);
    *ret = names_of(str_or(nft_ctx_get_output_buffer(ctx), "{}"), kind, table);
    nft_ctx_free(ctx);
    return 0;
}

int nft_names(const char *table, NftNames *ret, char **ret_error) {
    _cleanup_nft_names_ NftNames names = {0};
    int r = list("list chains ip", "chain", table, &names.chains, ret_error);
    r = r < 0 ? r : list("list sets ip", "set", table, &names.sets, ret_error);
    if (r < 0)
        return r;
    *ret = names;
    names = (NftNames){0};
    return 0;
}

void nft_names_done(NftNames *names) {
    char **lists[] = {names->chains, names->sets};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        for (size_t k = 0; lists[i] && lists[i][k]; k++)
            free(lists[i][k]);
        free(lists[i]);
    }
    *names = (NftNames){0};
}
