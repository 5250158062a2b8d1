/* What the files of the kubelet's HTTPS server share. A Call is one request while it is being answered: it is made on
 * the request's loop thread and then belongs to one thread of k->request_pool at a time. */
#pragma once

#include "kubelet/internal.h"

#include "base/str.h"

#define CALL_PARTS_MAX 8
#define CALL_QUERY_MAX 256

typedef struct CallQuery {
    const char *name, *value;
} CallQuery;

typedef struct Call {
    Kubelet *k;
    HttpRequest *http; /* a reference */
    Arena *arena;
    char **parts; /* of the path, decoded: {"exec", "ns", "pod", "container"} */
    size_t n_parts;
    CallQuery *query;
    size_t n_query;
} Call;

/* server_call.c */
void call_free(Call *call);
DEFINE_CLEANUP(Call, call_free)
const char *call_query(const Call *call, const char *name); /* the first; NULL when absent */
bool call_flag(const Call *call, const char *name);         /* "1" or "true" */
void call_error(Call *call, int status, const char *format, ...) _printf_(3, 4);
void call_reply(Call *call, int status, const char *content_type, Buf *body); /* takes the bytes */
/* The pod that the path names (its uid too, when the path has one); NULL: an error was replied. */
Pod *call_pod(Call *call, const char *uid, const char *missing);
/* Work for k->request_pool; `fn` owns the data. When the pool is full or the kubelet stops: negative errno. */
int server_submit(Kubelet *k, void (*fn)(void *userdata), void *userdata);

/* Each runs on the request pool and takes the call. */
void serve_logs(Call *call);       /* server_logs.c */
void serve_exec(Call *call);       /* server_exec.c */
void serve_attach(Call *call);     /* server_exec.c */
void serve_run(Call *call);        /* server_exec.c */
void serve_forward(Call *call);    /* server_forward.c */
void serve_summary(Call *call);    /* server_stats.c */
void serve_metrics(Call *call);    /* server_metrics.c */
void serve_resources(Call *call);  /* server_metrics.c */
void serve_cadvisor(Call *call);   /* server_metrics.c */
void serve_probes(Call *call);     /* server_metrics.c */
void serve_configz(Call *call);    /* server_debug.c */
void serve_running(Call *call);    /* server_debug.c */
void serve_checkpoint(Call *call); /* server_debug.c */
void serve_node_logs(Call *call);  /* server_node.c */
