#include "client/transport_call.h"

#include "api/json.h"
#include "base/str.h"
#include "client/http_request.h"

#include <errno.h>

void transport_call_init(TransportCall *call, char *bearer, const char *base, const ApiRequest *request) {
    const char *type = http_request_content_type(request);
    size_t n = 0;
    *call = (TransportCall){.target = BUF_INIT(BUF_NO_LIMIT), .bearer = bearer};
    buf_puts(&call->target, base);
    http_request_path(&call->target, request);
    call->fields[n++] = (HttpHeader){"accept", http_request_accept(request)};
    if (request->user_agent)
        call->fields[n++] = (HttpHeader){"user-agent", request->user_agent};
    if (call->bearer)
        call->fields[n++] = (HttpHeader){"authorization", call->bearer};
    if (type)
        call->fields[n++] = (HttpHeader){"content-type", type};
    call->call = (HttpCall){
        .method = http_request_method(request), .target = call->target.data, .headers = call->fields, .n_headers = n};
}

void transport_call_done(TransportCall *call) {
    buf_done(&call->target);
    wipe_freep(&call->bearer);
}

int transport_failure(ApiError *err, int error, const char *why) {
    const char *message = str_or(why, strerror(-error));
    if (error == -ETIMEDOUT)
        return api_error_set(err, 504, "Timeout", "%s", message);
    if (error == -EFBIG)
        return api_error_set(err, 413, "RequestEntityTooLarge", "the answer is larger than this client takes");
    return api_error_set(err, 503, "ServiceUnavailable", "%s", message);
}

int transport_answer(Arena *arena, const Buf *body, int status, Value **ret, ApiError *err) {
    Value *v = NULL;
    int r = body->len ? json_parse(arena, body->data, body->len, &v, NULL, NULL) : -EBADMSG;
    if (status >= 400) {
        const char *kind = r >= 0 ? value_get_str(v, "kind") : NULL;
        if (kind && streq(kind, "Status"))
            return api_error_from_status(err, v, status);
        return api_error_set(err, status, "", "the server answered %d: %.200s", status, body->len ? body->data : "");
    }
    if (r < 0)
        return api_error_set(err, 500, "InternalError", "the server's answer is not JSON");
    *ret = v;
    return 0;
}
