/* Watch events as protobuf frames, encoded once for all the streams of one loop thread: a wake-up has each of them send
 * the same few events. JSON needs none of this: its events are the stored bytes. Not thread-safe. */
#pragma once

#include "apiserver/handlers/encode.h"

#define FRAMES_MAX 32               /* events kept: what one wake-up brings, mostly one */
#define FRAME_BYTES_MAX (16 * 1024) /* larger frames are not kept */

typedef struct Frame Frame;
typedef struct Frames {
    struct {
        Object *object; /* a reference; NULL: free */
        const char *type;
        Frame *frame; /* a reference */
    } slots[FRAMES_MAX];
} Frames;

void frames_done(Frames *frames);
/* As encode_event, of one part, which is shared. `type` is one of the three constants, compared by address. */
int frames_encode(Frames *frames, const Media *media, const Resource *resource, const char *type, Object *object,
                  HttpBytes *ret);
