/* Pulls from Debian's docker-registry, and from a server of the test's own that misbehaves in every way a registry can.
 */
#include "../../support/image_fixture.h"

#include "kubelet/images/images.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

typedef struct Registry {
    char *dir, host[32];
    pid_t pid;
} TestRegistry;

static int free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    getsockname(fd, (struct sockaddr *)&a, &n);
    close(fd);
    return ntohs(a.sin_port);
}

static bool answers(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

static size_t drop_body(char *p, size_t size, size_t n, void *userdata) {
    (void)p;
    (void)userdata;
    return size * n;
}

static size_t find_location(char *p, size_t size, size_t n, void *userdata) {
    char *out = userdata;
    if (size * n > 10 && strncasecmp(p, "location: ", 10) == 0)
        snprintf(out, 1024, "%.*s", (int)strcspn(p + 10, "\r\n"), p + 10);
    return size * n;
}

static void upload(const char *method, const char *url, const char *type, const void *data, size_t n, char *location) {
    CURL *c = curl_easy_init();
    struct curl_slist *h = type ? curl_slist_append(NULL, type) : NULL;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)n);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, data);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body);
    if (location) {
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, find_location);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, location);
    }
    long status = 0;
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2)
        fail_msg("%s %s: %ld", method, url, status);
    curl_slist_free_all(h);
    curl_easy_cleanup(c);
}

static void push_blob(const TestRegistry *r, const char *repository, const void *data, size_t n,
                      char digest[DIGEST_TEXT + 1]) {
    char url[512], location[1024] = "", put[1200];
    digest_of(data, n, digest);
    snprintf(url, sizeof url, "http://%s/v2/%s/blobs/uploads/", r->host, repository);
    upload("POST", url, "Content-Length: 0", "", 0, location);
    snprintf(put, sizeof put, "%s%cdigest=%s", location, strchr(location, '?') ? '&' : '?', digest);
    upload("PUT", put, "Content-Type: application/octet-stream", data, n, NULL);
}

/* Two layers; *manifest_digest of the manifest under `tag`. */
static void push_image(const TestRegistry *r, const char *repository, const char *tag, bool index,
                       char id[DIGEST_TEXT + 1], char manifest_digest[DIGEST_TEXT + 1]) {
    static const Entry low[] = {{"a", AE_IFREG, 0644, "low", 0, 0, NULL, NULL, 0, 0}},
                       high[] = {{"b", AE_IFREG, 0644, "high", 0, 0, NULL, NULL, 0, 0}};
    char diff[2][DIGEST_TEXT + 1], blob[2][DIGEST_TEXT + 1], url[512];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        _cleanup_buf_ Buf plain = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20);
        tar_make(i ? high : low, 1, PLAIN, &plain);
        tar_make(i ? high : low, 1, i ? ZSTD : GZIP, &packed);
        digest_of(plain.data, plain.len, diff[i]);
        push_blob(r, repository, packed.data, packed.len, blob[i]);
        size[i] = packed.len;
    }
    _cleanup_free_ char *config =
        xasprintf("{\"config\":{\"Cmd\":[\"%d\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}",
                  index, diff[0], diff[1]);
    push_blob(r, repository, config, strlen(config), id);
    const char *kind = index ? "application/vnd.oci.image" : "application/vnd.docker";
    _cleanup_free_ char *manifest = xasprintf(
        "{\"schemaVersion\":2,\"mediaType\":\"%s.%smanifest.v%s+json\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"%"
        "s\",\"size\":%zu},"
        "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu},{\"mediaType\":\"%s\",\"digest\":\"%s\","
        "\"size\":%zu}]}",
        kind, index ? "" : "distribution.", index ? "1" : "2",
        index ? "application/vnd.oci.image.config.v1+json" : "application/vnd.docker.container.image.v1+json", id,
        strlen(config),
        index ? "application/vnd.oci.image.layer.v1.tar+gzip" : "application/vnd.docker.image.rootfs.diff.tar.gzip",
        blob[0], size[0],
        index ? "application/vnd.oci.image.layer.v1.tar+zstd" : "application/vnd.docker.image.rootfs.diff.tar.gzip",
        blob[1], size[1]);
    digest_of(manifest, strlen(manifest), manifest_digest);
    snprintf(url, sizeof url, "http://%s/v2/%s/manifests/%s", r->host, repository, index ? manifest_digest : tag);
    upload("PUT", url,
           index ? "Content-Type: application/vnd.oci.image.manifest.v1+json"
                 : "Content-Type: application/vnd.docker.distribution.manifest.v2+json",
           manifest, strlen(manifest), NULL);
    if (!index)
        return;
    _cleanup_free_ char *list =
        xasprintf("{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":["
                  "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
                  "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
                  manifest_digest, strlen(manifest));
    digest_of(list, strlen(list), manifest_digest);
    snprintf(url, sizeof url, "http://%s/v2/%s/manifests/%s", r->host, repository, tag);
    upload("PUT", url, "Content-Type: application/vnd.oci.image.index.v1+json", list, strlen(list), NULL);
}

static TestRegistry *registry_start(const char *storage, const char *http_options, const char *more) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    TestRegistry *r = NEW0(TestRegistry);
    r->dir = temporary_folder();
    int port = free_port();
    snprintf(r->host, sizeof r->host, "127.0.0.1:%d", port);
    _cleanup_free_ char *own = xasprintf("%s/registry", r->dir);
    _cleanup_free_ char *config =
        xasprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n"
                  "http: {addr: '%s', secret: test%s}\n%s",
                  storage ? storage : own, r->host, http_options, more);
    write_file(r->dir, "config.yml", config, strlen(config));
    _cleanup_free_ char *path = xasprintf("%s/config.yml", r->dir), *log = xasprintf("%s/log", r->dir);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const char *argv[] = {"/usr/bin/docker-registry", "serve", path, NULL};
    if (posix_spawn(&r->pid, argv[0], &actions, NULL, (char *const *)argv, environ) != 0)
        fail_msg("docker-registry is not installed");
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; !answers(port); i++) {
        assert_true(i < 1000);
        usleep(10000);
    }
    return r;
}

static void registry_stop(TestRegistry *r) {
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    assert_int_equal(fs_remove_tree(r->dir), 0);
    free(r->dir);
    free(r);
}

static int start_registry(void **state) {
    *state = registry_start(NULL, "", "");
    return 0;
}

static int stop_registry(void **state) {
    registry_stop(*state);
    return 0;
}

static ImageStore *open_store(const char *dir, unsigned stall, const char *const *insecure) {
    char *error = NULL;
    ImageStore *store = NULL;
    _cleanup_free_ char *root = xasprintf("%s/store", dir);
    _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack"),
                        *puller = fs_beside_program("../bin/lighter-pull");
    if (image_store_open(&(ImageStoreConfig){.root = root,
                                             .unpacker = unpacker,
                                             .puller = puller,
                                             .stall_seconds = stall,
                                             .insecure_hosts = insecure},
                         &store, &error) < 0)
        fail_msg("%s", error);
    return store;
}

/* TLS with a certificate of the test's own, and a password. The same blobs as the plain registry's. */
static void tls_and_passwords(void **state) {
    TestRegistry *plain = *state;
    char id[DIGEST_TEXT + 1], digest[DIGEST_TEXT + 1], *error = NULL;
    push_image(plain, "secret", "1", false, id, digest);
    _cleanup_free_ char *make =
        xasprintf("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext "
                  "subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null",
                  plain->dir);
    assert_int_equal(system(make), 0);
    static const char password[] =
        "user:$2y$05$abcdefghijklmnopqrstuuZFBUbfXoM8LFiPx8LYlO/sXZB/Cwk3K\n"; /* bcrypt of "pass" */
    write_file(plain->dir, "htpasswd", password, strlen(password));
    _cleanup_free_ char *tls = xasprintf(", tls: {certificate: %s/cert.pem, key: %s/key.pem}", plain->dir, plain->dir);
    _cleanup_free_ char *auth = xasprintf("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", plain->dir);
    _cleanup_free_ char *storage = xasprintf("%s/registry", plain->dir), *ca = xasprintf("%s/cert.pem", plain->dir);
    TestRegistry *r = registry_start(storage, tls, auth);
    _cleanup_free_ char *dir = temporary_folder(), *root = xasprintf("%s/store", dir);
    _cleanup_free_ char *reference = xasprintf("%s/secret:1", r->host);
    const RegistryAuth auths[] = {{.username = "user", .password = "wrong"}, {.username = "user", .password = "pass"}};
    /* A certificate that nobody vouches for is an error, on loopback too; nothing is sent in the clear instead. */
    ImageStore *store = open_store(dir, 5, NULL);
    assert_int_equal(image_pull(store, reference, auths, 2, NULL, NULL, NULL, &error), -EPROTO);
    assert_non_null(strstr(error, "certificate"));
    free(error);
    image_store_free(store);
    _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack"),
                        *puller = fs_beside_program("../bin/lighter-pull");
    const ImageStoreConfig config = {.root = root, .unpacker = unpacker, .puller = puller, .ca_file = ca};
    assert_int_equal(image_store_open(&config, &store, &error), 0);
    assert_int_equal(image_pull(store, reference, NULL, 0, NULL, NULL, NULL, &error), -EACCES);
    assert_non_null(strstr(error, "no basic auth credentials"));
    free(error);
    assert_int_equal(image_pull(store, reference, auths, 1, NULL, NULL, NULL, &error), -EACCES);
    assert_null(strstr(error, "wrong"));
    free(error);
    Image *image = NULL;
    if (image_pull(store, reference, auths, 2, NULL, NULL, &image, &error) < 0) /* the second fits */
        fail_msg("%s", error);
    assert_string_equal(image->id, id);
    image_free(image);
    image_store_free(store);
    registry_stop(r);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void count_progress(const char *what, uint64_t done, uint64_t total, void *userdata) {
    assert_true(str_has_prefix(what, "sha256:"));
    assert_true(done <= total);
    (*(unsigned *)userdata)++;
}

static void pulls_docker_and_oci_images(void **state) {
    TestRegistry *r = *state;
    _cleanup_free_ char *dir = temporary_folder();
    ImageStore *store = open_store(dir, 0, NULL);
    for (int index = 0; index < 2; index++) {
        char id[DIGEST_TEXT + 1], digest[DIGEST_TEXT + 1], *error = NULL;
        push_image(r, index ? "team/oci" : "docker", "1", index, id, digest);
        _cleanup_free_ char *reference = xasprintf("%s/%s:1", r->host, index ? "team/oci" : "docker");
        unsigned calls = 0;
        Image *image = NULL;
        if (image_pull(store, reference, NULL, 0, count_progress, &calls, &image, &error) < 0)
            fail_msg("%s", error);
        assert_string_equal(image->id, id);
        assert_string_equal(image->tags[0], reference);
        assert_true(str_has_suffix(image->digests[0], digest));
        assert_true(calls > 0);
        _cleanup_free_ char *a = xasprintf("%s/a", image->layer_dirs[0]), *b = xasprintf("%s/b", image->layer_dirs[1]);
        assert_true(fs_exists(a) && fs_exists(b));
        /* By digest, into the same image. */
        Image *again = NULL;
        if (image_pull(store, image->digests[0], NULL, 0, NULL, NULL, &again, &error) < 0)
            fail_msg("%s", error);
        assert_string_equal(again->id, id);
        image_free(again);
        image_free(image);
    }
    char *error = NULL;
    _cleanup_free_ char *missing = xasprintf("%s/docker:nope", r->host);
    assert_int_equal(image_pull(store, missing, NULL, 0, NULL, NULL, NULL, &error), -ENOENT);
    _cleanup_free_ char *expected =
        xasprintf("failed to pull and unpack image \"%s\": failed to resolve reference \"%s\": %s: not found", missing,
                  missing, missing);
    assert_string_equal(error, expected);
    free(error);
    image_store_free(store);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* A server that answers from a table: method and path prefix to a whole response. %s in a body is not expanded. */
typedef struct Answer {
    const char *path, *needs_header; /* needs_header: only when the request has it */
    const char *response;
    size_t len; /* of response; 0: strlen */
    bool hang;  /* after the response, silence */
} Answer;

typedef struct Server {
    int listener, port;
    const Answer *answers;
    size_t n;
    pthread_t thread;
    _Atomic bool stop, leaked;
    const char *secret; /* must not be seen here */
    _Atomic unsigned served;
} Server;

static void serve_one(Server *s, int fd) {
    char request[8192] = "";
    size_t len = 0;
    while (len < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
        ssize_t n = read(fd, request + len, sizeof request - 1 - len);
        if (n <= 0 || request[0] == 0x16) /* a TLS hello: not here */
            return;
        len += (size_t)n;
        request[len] = 0;
    }
    if (s->secret && strstr(request, s->secret))
        s->leaked = true;
    s->served++;
    const char *path = strchr(request, ' ') ? strchr(request, ' ') + 1 : "";
    for (size_t i = 0; i < s->n; i++) {
        const Answer *a = &s->answers[i];
        if (!str_has_prefix(path, a->path) || (a->needs_header && !strstr(request, a->needs_header)))
            continue;
        size_t n = a->len ? a->len : strlen(a->response);
        if (write(fd, a->response, n) != (ssize_t)n)
            return;
        while (a->hang && !s->stop)
            usleep(20000);
        return;
    }
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    ssize_t n = write(fd, missing, sizeof missing - 1);
    (void)n;
}

static void *serve(void *userdata) {
    Server *s = userdata;
    while (!s->stop) {
        struct pollfd p = {.fd = s->listener, .events = POLLIN};
        if (poll(&p, 1, 50) <= 0)
            continue;
        int fd = accept(s->listener, NULL, NULL);
        if (fd >= 0) {
            serve_one(s, fd);
            close(fd);
        }
    }
    return NULL;
}

static void server_start(Server *s, const Answer *answers, size_t n) {
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    getsockname(s->listener, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    s->answers = answers;
    s->n = n;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(Server *s) {
    s->stop = true;
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static int pull_from(const Server *s, const char *name, unsigned stall, const RegistryAuth *auth, char **ret_error) {
    _cleanup_free_ char *dir = temporary_folder(), *reference = xasprintf("127.0.0.1:%d/%s", s->port, name);
    ImageStore *store = open_store(dir, stall, NULL);
    int r = image_pull(store, reference, auth, auth ? 1 : 0, NULL, NULL, NULL, ret_error);
    Image **list;
    size_t n;
    assert_int_equal(image_list(store, &list, &n), 0);
    assert_int_equal(n, r == 0 ? 1 : 0);
    for (size_t i = 0; i < n; i++)
        image_free(list[i]);
    free(list);
    image_store_free(store);
    _cleanup_free_ char *command = xasprintf("test -z \"$(ls %s/store/tmp)\"", dir);
    assert_int_equal(system(command), 0); /* no leftovers */
    assert_int_equal(fs_remove_tree(dir), 0);
    return r;
}

#define HEADERS "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void a_registry_that_hangs(void **state) {
    (void)state;
    static const Answer answers[] = {{"/v2/silent/", NULL, "", 0, true},
                                     {"/v2/stuck/", NULL, HEADERS "Content-Length: 1000\r\n\r\n{\"half\":", 0, true}};
    const char *names[] = {"silent", "stuck"};
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        Server s = {0};
        server_start(&s, answers, ELEMENTSOF(answers));
        char *error = NULL;
        uint64_t start = now_monotonic_ns();
        int r = pull_from(&s, names[i], 1, NULL, &error);
        assert_int_equal(r, -ETIMEDOUT);
        assert_true(now_monotonic_ns() - start < 60 * NS_PER_SEC);
        assert_non_null(strstr(error, "timeout"));
        free(error);
        server_stop(&s);
    }
}

static void *interrupt_soon(void *store) {
    usleep(200000);
    image_store_interrupt(store, true);
    return NULL;
}

/* An agent that ends does not wait for a registry; what the pull leaves goes when the store is opened again. */
static void interrupted(void **state) {
    (void)state;
    static const Answer answers[] = {{"/v2/silent/", NULL, "", 0, true}};
    Server s = {0};
    server_start(&s, answers, ELEMENTSOF(answers));
    _cleanup_free_ char *dir = temporary_folder(), *reference = xasprintf("127.0.0.1:%d/silent", s.port);
    _cleanup_free_ char *empty = xasprintf("test -z \"$(ls %s/store/tmp)\"", dir), *error = NULL;
    ImageStore *store = open_store(dir, 30, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, store), 0);
    uint64_t start = now_monotonic_ns();
    assert_int_equal(image_pull(store, reference, NULL, 0, NULL, NULL, NULL, &error), -ECANCELED);
    assert_true(now_monotonic_ns() - start < 60 * NS_PER_SEC);
    pthread_join(thread, NULL);
    image_store_free(store);
    image_store_free(open_store(dir, 30, NULL));
    assert_int_equal(system(empty), 0);
    server_stop(&s);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* A store whose program for pulls is missing says which; one that dies says how. */
static void no_puller(void **state) {
    (void)state;
    static const struct {
        const char *path;
        int error;
        const char *says;
    } cases[] = {{"/nonexistent/lighter-pull", -ENOENT, "/nonexistent/lighter-pull: No such file or directory"},
                 {"/bin/false", -ECHILD, "/bin/false ended with status 1"}};
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_free_ char *dir = temporary_folder(), *error = NULL, *failed = NULL;
        _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack");
        ImageStore *store = NULL;
        const ImageStoreConfig config = {.root = dir, .unpacker = unpacker, .puller = cases[i].path};
        assert_int_equal(image_store_open(&config, &store, &failed), 0);
        assert_int_equal(image_pull(store, "127.0.0.1:1/a", NULL, 0, NULL, NULL, NULL, &error), cases[i].error);
        assert_string_equal(error, cases[i].says);
        image_store_free(store);
        assert_int_equal(fs_remove_tree(dir), 0);
    }
}

static void bad_manifests(void **state) {
    (void)state;
    static const Answer answers[] = {
        {"/v2/html/", NULL, HEADERS "Content-Length: 6\r\n\r\n<html>"},
        {"/v2/array/", NULL, HEADERS "Content-Length: 2\r\n\r\n[]"},
        {"/v2/old/", NULL, HEADERS "Content-Length: 19\r\n\r\n{\"schemaVersion\":1}"},
        {"/v2/empty/", NULL, HEADERS "Content-Length: 19\r\n\r\n{\"schemaVersion\":2}"},
        {"/v2/platform/", NULL,
         HEADERS
         "Content-Length: 69\r\n\r\n{\"manifests\":[{\"platform\":{\"os\":\"linux\",\"architecture\":\"mips64le\"}}]}"},
        {"/v2/denied/", NULL,
         "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: "
         "50\r\n\r\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"go away\"}]}"},
        {"/v2/busy/", NULL, "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {"/v2/plain/", NULL,
         "HTTP/1.1 302 Found\r\nLocation: http://registry.example/v2/\r\nConnection: close\r\nContent-Length: "
         "0\r\n\r\n"},
        {"/v2/loop/", NULL,
         "HTTP/1.1 302 Found\r\nLocation: /v2/loop/again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {"/v2/token/", NULL,
         "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://auth.example/token\"\r\nConnection: "
         "close\r\nContent-Length: 0\r\n\r\n"},
    };
    static const struct {
        const char *name;
        int error;
        const char *says;
    } cases[] = {{"html", -EBADMSG, "not valid"},
                 {"array", -EBADMSG, "not an object"},
                 {"old", -EPROTONOSUPPORT, "schema 1"},
                 {"empty", -EBADMSG, "config and layers"},
                 {"platform", -ENOENT, "linux/mips64le"},
                 {"denied", -EACCES, "DENIED: go away"},
                 {"busy", -EIO, "503"},
                 {"plain", -EPROTO, "not safe"},
                 {"loop", -ELOOP, "redirects more than"},
                 {"token", -EACCES, "not safe to talk to"},
                 {"absent", -ENOENT, "not found"}};
    Server s = {0};
    server_start(&s, answers, ELEMENTSOF(answers));
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        char *error = NULL;
        int r = pull_from(&s, cases[i].name, 2, NULL, &error);
        if (r != cases[i].error || !strstr(error, cases[i].says))
            fail_msg("%s: %d %s", cases[i].name, r, error);
        free(error);
    }
    server_stop(&s);
}

/* An image on the test's own server: the wrong blob, a broken connection that is resumed, tokens, redirects. */
typedef struct Served {
    Buf manifest, config, layer;
    char *responses[6];
    size_t lens[6];
    char config_path[160], layer_path[160];
} Served;

static char *http(const char *head, const char *body, size_t n, size_t *ret_len) {
    Buf b = BUF_INIT(4 << 20);
    buf_printf(&b, "%sContent-Length: %zu\r\n\r\n", head, n);
    buf_append(&b, body, n);
    return buf_take(&b, ret_len);
}

static void served_make(Served *v, const char *repository) {
    Buf plain = BUF_INIT(4 << 20);
    v->layer = v->config = v->manifest = BUF_INIT(4 << 20);
    Buf noise = BUF_INIT(1 << 20);
    for (unsigned i = 0, x = 12345; i < 200000; i++, x = x * 1103515245 + 12345)
        buf_putc(&noise, (char)('a' + (x >> 16) % 26));
    Entry entries[] = {{"noise", AE_IFREG, 0644, noise.data, 0, 0, NULL, NULL, 0, 0}};
    tar_make(entries, 1, PLAIN, &plain);
    tar_make(entries, 1, GZIP, &v->layer);
    char diff[DIGEST_TEXT + 1], blob[DIGEST_TEXT + 1], id[DIGEST_TEXT + 1];
    digest_of(plain.data, plain.len, diff);
    digest_of(v->layer.data, v->layer.len, blob);
    buf_printf(&v->config, "{\"rootfs\":{\"diff_ids\":[\"%s\"]}}", diff);
    digest_of(v->config.data, v->config.len, id);
    buf_printf(&v->manifest,
               "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"digest\":\"%s\","
               "\"size\":%zu}]}",
               id, v->config.len, blob, v->layer.len);
    snprintf(v->config_path, sizeof v->config_path, "/v2/%s/blobs/%s", repository, id);
    snprintf(v->layer_path, sizeof v->layer_path, "/v2/%s/blobs/%s", repository, blob);
    v->responses[0] = http(HEADERS, v->manifest.data, v->manifest.len, &v->lens[0]);
    v->responses[1] = http(HEADERS, v->config.data, v->config.len, &v->lens[1]);
    v->responses[2] = http(HEADERS, v->layer.data, v->layer.len, &v->lens[2]);
    buf_done(&plain);
    buf_done(&noise);
}

static void served_done(Served *v) {
    buf_done(&v->manifest);
    buf_done(&v->config);
    buf_done(&v->layer);
    for (size_t i = 0; i < ELEMENTSOF(v->responses); i++)
        free(v->responses[i]);
}

static void corrupt_and_short_blobs(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        Served v = {0};
        served_make(&v, "app");
        if (kind == 0)
            v.responses[2][v.lens[2] - 100] ^= 1; /* the right size, the wrong content */
        Answer answers[] = {{"/v2/app/manifests/", NULL, v.responses[0], v.lens[0], false},
                            {v.config_path, NULL, v.responses[1], v.lens[1], false},
                            {v.layer_path, NULL, v.responses[2], v.lens[2], false}};
        if (kind == 1) { /* a sound answer that is shorter than the manifest says */
            v.responses[3] = http(HEADERS, v.layer.data, v.layer.len - 10, &v.lens[3]);
            answers[2].response = v.responses[3];
            answers[2].len = v.lens[3];
        } else if (kind == 2) { /* and one that is longer */
            buf_puts(&v.layer, "tail");
            v.responses[3] = http(HEADERS, v.layer.data, v.layer.len, &v.lens[3]);
            answers[2].response = v.responses[3];
            answers[2].len = v.lens[3];
        }
        Server s = {0};
        server_start(&s, answers, ELEMENTSOF(answers));
        char *error = NULL;
        int r = pull_from(&s, "app", 2, NULL, &error);
        assert_int_equal(r, kind == 2 ? -EFBIG : -EBADMSG);
        static const char *const says[] = {"corrupt", "bytes instead of", "more than it announced"};
        assert_non_null(strstr(error, says[kind]));
        free(error);
        server_stop(&s);
        served_done(&v);
    }
}

static void a_broken_download_goes_on(void **state) {
    (void)state;
    Served v = {0};
    served_make(&v, "app");
    size_t half = v.layer.len / 2;
    char range[64], head[256];
    snprintf(range, sizeof range, "Range: bytes=%zu-", half);
    snprintf(head, sizeof head,
             "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes %zu-%zu/%zu\r\n", half,
             v.layer.len - 1, v.layer.len);
    v.responses[3] = http(head, v.layer.data + half, v.layer.len - half, &v.lens[3]);
    Answer answers[] = {
        {"/v2/app/manifests/", NULL, v.responses[0], v.lens[0], false},
        {v.config_path, NULL, v.responses[1], v.lens[1], false},
        {v.layer_path, range, v.responses[3], v.lens[3], false},
        {v.layer_path, NULL, v.responses[2], v.lens[2] - (v.layer.len - half), false}}; /* breaks off half way */
    Server s = {0};
    server_start(&s, answers, ELEMENTSOF(answers));
    char *error = NULL;
    if (pull_from(&s, "app", 5, NULL, &error) < 0)
        fail_msg("%s", error);
    server_stop(&s);
    served_done(&v);
}

static void tokens_and_redirects(void **state) {
    (void)state;
    Served v = {0};
    served_make(&v, "app");
    /* The blob is elsewhere: there, neither the password nor the token may be seen. */
    Answer elsewhere[] = {{"/cdn", NULL, v.responses[2], v.lens[2], false}};
    Server cdn = {.secret = "Authorization"};
    server_start(&cdn, elsewhere, 1);
    char challenge[256], redirect[256],
        token[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 23\r\n\r\n{\"token\":\"very-secret\"} ";
    Server s = {0};
    Answer answers[7];
    memset(answers, 0, sizeof answers);
    server_start(&s, answers, 6);
    snprintf(challenge, sizeof challenge,
             "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
             "realm=\"http://127.0.0.1:%d/token\",service=\"s\",scope=\"repository:app:pull\"\r\n"
             "Connection: close\r\nContent-Length: 0\r\n\r\n",
             s.port);
    snprintf(redirect, sizeof redirect,
             "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/cdn\r\nConnection: "
             "close\r\nContent-Length: 0\r\n\r\n",
             cdn.port);
    const Answer table[] = {
        {"/token?service=s&scope=repository%3Aapp%3Apull", "Authorization: Basic dXNlcjpwYXNz", token, 0, false},
        {"/v2/app/manifests/", "Authorization: Bearer very-secret", v.responses[0], v.lens[0], false},
        {v.config_path, "Authorization: Bearer very-secret", v.responses[1], v.lens[1], false},
        {v.layer_path, "Authorization: Bearer very-secret", redirect, 0, false},
        {"/token", NULL, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0, false},
        {"/v2/", NULL, challenge, 0, false}};
    memcpy(answers, table, sizeof table);
    char *error = NULL;
    assert_int_equal(pull_from(&s, "app", 5, &(RegistryAuth){.username = "user", .password = "wrong"}, &error),
                     -EACCES);
    assert_null(strstr(error, "wrong"));
    free(error);
    if (pull_from(&s, "app", 5, &(RegistryAuth){.username = "user", .password = "pass"}, &error) < 0)
        fail_msg("%s", error);
    assert_true(cdn.served > 0);
    assert_false(cdn.leaked);
    server_stop(&s);
    server_stop(&cdn);
    served_done(&v);
}

static void plain_http_is_for_loopback(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder();
    ImageStore *store = open_store(dir, 2, NULL);
    char *error = NULL;
    /* A name that resolves nowhere: the error is about that, and no plain attempt is made. */
    assert_true(image_pull(store, "registry.invalid/app:1", NULL, 0, NULL, NULL, NULL, &error) < 0);
    assert_non_null(strstr(error, "registry.invalid"));
    free(error);
    assert_int_equal(image_pull(store, "Not A Reference", NULL, 0, NULL, NULL, NULL, &error), -EINVAL);
    free(error);
    image_store_free(store);
    assert_int_equal(fs_remove_tree(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pulls_docker_and_oci_images, start_registry, stop_registry),
        cmocka_unit_test_setup_teardown(tls_and_passwords, start_registry, stop_registry),
        cmocka_unit_test(a_registry_that_hangs),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(no_puller),
        cmocka_unit_test(bad_manifests),
        cmocka_unit_test(corrupt_and_short_blobs),
        cmocka_unit_test(a_broken_download_goes_on),
        cmocka_unit_test(tokens_and_redirects),
        cmocka_unit_test(plain_http_is_for_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
