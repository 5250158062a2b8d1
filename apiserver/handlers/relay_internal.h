/* What the files of a relay share. A relay is on its exchange's loop thread but while it connects, and lives until both
 * its sides have ended: `refs` counts them. */
#pragma once

#include "apiserver/handlers/relay.h"
#include "http/answer_reader.h"
#include "http/websocket.h"

typedef struct Relay Relay;

/* What becomes of a reply, one for each RelayHow. */
typedef struct RelayWay {
    AnswerRest rest;                                      /* what follows the head */
    void (*begin)(Relay *relay);                          /* with relay->head */
    int (*body)(Relay *relay, const char *p, size_t n);   /* negative errno: no more of it */
    void (*end)(Relay *relay);                            /* the reply is whole */
    void (*after)(Relay *relay, const char *p, size_t n); /* what comes after it; NULL: it is not for us */
    size_t (*flush)(Relay *relay); /* after anything came: bytes that wait for the client to take them */
} RelayWay;

struct Relay {
    Exchange *exchange;
    const RelayPlan *plan;
    int refs;
    int code;      /* of what the client was answered */
    bool answered; /* the client was, or is being */
    bool client_gone;

    Duplex *up;
    int connect_error;
    char *connect_why; /* owned */
    bool connected;    /* `up` is the loop's from then on */
    bool up_ended;
    Source *timer; /* until the reply begins */

    bool sending;   /* a body that comes while it goes on */
    bool in_chunks; /* which says no length */

    AnswerReader reader;
    RelayHead head;
    const RelayWay *way; /* NULL: no reply yet */
    Buf body;            /* what waits for the client, or is collected */
    Duplex *down;        /* the client's connection, once it is ours */
    WebSocket *ws;       /* over `down` */
    bool base64;
};

/* relay.c */
/* There will be no reply, if none has begun. */
void relay_fail(Relay *relay, RelayFault fault, const char *why);
void relay_answering(Relay *relay); /* one begins */
void relay_unref(Relay *relay);

/* relay_request.c: the way out. */
void relay_request_send(Relay *relay);
void relay_request_pump(Relay *relay); /* the other side may take more of the body */

/* relay_reply.c: the way back. */
extern const RelayWay relay_ways[];
