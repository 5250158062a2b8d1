/* Pulls by lighter-pull, a process of its own for each: what it is told, on its standard input, as JSON. Inside the
 * image store and that program. */
#pragma once

#include "base/clock.h"
#include "kubelet/images/images.h"

#include <jansson.h>
#include <stdio.h>

#define PULL_REQUEST_MAX (1024 * 1024) /* bytes */
#define PULL_LINE_MAX (64 * 1024)
#define PULL_PROGRESS_NS (50 * NS_PER_MS) /* between two lines of progress */

typedef struct PullRequest {
    ImageStoreConfig store; /* strings are borrowed from the document */
    const char *reference;
    RegistryAuth *auths;
    size_t n_auths;
    const char **insecure_hosts;
    bool progress; /* is asked for */
    json_t *document;
} PullRequest;

/* -EINVAL when it is not what pull_request_write wrote. */
int pull_request_parse(const char *text, size_t n, PullRequest *ret);
void pull_request_done(PullRequest *request);
/* Appends the request; it may hold secrets. */
void pull_request_write(Buf *out, const PullRequest *request);

/* Lines of the program: how far it is, and in the end the image's "id" or an "error". */
void pull_say_progress(FILE *out, const char *what, uint64_t done, uint64_t total);
void pull_say(FILE *out, const char *name, const char *text);
