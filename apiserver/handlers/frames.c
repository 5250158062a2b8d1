#include "apiserver/handlers/frames.h"

#include <stdatomic.h>

struct Frame {
    atomic_uint refs; /* a stream's last bytes may be released by the thread that stops the server */
    HttpBytes bytes;
};

static void frame_unref(void *userdata) {
    Frame *frame = userdata;
    if (!frame || atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (frame->bytes.release)
        frame->bytes.release(frame->bytes.owner);
    free(frame);
}

static HttpBytes frame_bytes(Frame *frame) {
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    return (HttpBytes){.data = frame->bytes.data, .len = frame->bytes.len, .owner = frame, .release = frame_unref};
}

void frames_done(Frames *frames) {
    for (size_t i = 0; i < FRAMES_MAX; i++) {
        frame_unref(frames->slots[i].frame);
        object_unref(frames->slots[i].object);
    }
    *frames = (Frames){0};
}

int frames_encode(Frames *frames, const Media *media, const Resource *resource, const char *type, Object *object,
                  HttpBytes *ret) {
    typeof(&frames->slots[0]) slot = &frames->slots[object_revision(object) % FRAMES_MAX];
    if (slot->object == object && slot->type == type) {
        *ret = frame_bytes(slot->frame);
        return 0;
    }
    HttpBytes parts[3];
    size_t n;
    int r = encode_event(NULL, media, resource, type, object, false, parts, &n);
    if (r < 0)
        return r;
    if (parts[0].len > FRAME_BYTES_MAX) {
        *ret = parts[0];
        return 0;
    }
    object_unref(slot->object);
    frame_unref(slot->frame);
    slot->object = object_ref(object);
    slot->type = type;
    slot->frame = NEW0(Frame);
    atomic_init(&slot->frame->refs, 1);
    slot->frame->bytes = parts[0];
    *ret = frame_bytes(slot->frame);
    return 0;
}
