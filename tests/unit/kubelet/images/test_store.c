#include "../../support/image_fixture.h"

#include "kubelet/images/images.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static ImageStore *open_store(const char *dir) {
    char path[512];
    char *error = NULL;
    ImageStore *store = NULL;
    snprintf(path, sizeof path, "%s/store", dir);
    _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack");
    if (image_store_open(&(ImageStoreConfig){.root = path, .unpacker = unpacker}, &store, &error) < 0)
        fail_msg("%s", error);
    return store;
}

static size_t count(const char *dir, const char *below) {
    char command[600];
    snprintf(command, sizeof command, "ls %s/store/%s | wc -l", dir, below);
    FILE *p = popen(command, "r");
    unsigned n = 0;
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void imports_lists_and_removes(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL, *archive = xasprintf("%s/a.tar", dir);
    Made m;
    make_image(&m, "one", GZIP);
    docker_archive(dir, "a.tar", &m, "app:1");
    ImageStore *store = open_store(dir);
    Image *image = NULL;
    if (image_import(store, archive, NULL, &image, &error) < 0)
        fail_msg("%s", error);
    assert_string_equal(image->id, m.id);
    assert_string_equal(image->tags[0], "docker.io/library/app:1");
    assert_string_equal(image->config.entrypoint[0], "/e");
    assert_string_equal(image->config.cmd[1], "c2");
    assert_string_equal(image->config.env[0], "A=b");
    assert_string_equal(image->config.user, "u:g");
    assert_string_equal(image->config.working_dir, "/w");
    assert_string_equal(image->config.stop_signal, "SIGQUIT");
    _cleanup_free_ char *file = xasprintf("%s/file", image->layer_dirs[0]), *text = NULL;
    assert_int_equal(fs_read_file(file, 10, &text, NULL), 0);
    assert_string_equal(text, "one");
    image_free(image);
    /* Another process sees it, by every name. */
    ImageStore *other = open_store(dir);
    const char *names[] = {"app:1", "docker.io/library/app:1", m.id, m.id + 7};
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        assert_int_equal(image_get(other, names[i], &image), 0);
        image_free(image);
    }
    assert_int_equal(image_get(other, "app:2", &image), -ENOENT);
    if (image_import(other, archive, "mine:2", &image, &error) < 0)
        fail_msg("%s", error);
    image_free(image);
    Image **list;
    size_t n;
    assert_int_equal(image_list(store, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_non_null(list[0]->tags[1]);
    image_free(list[0]);
    free(list);
    /* One name of two goes, the image stays; the last takes it along. */
    assert_int_equal(image_remove(store, "app:1", &error), 0);
    assert_int_equal(image_get(other, "mine:2", &image), 0);
    image_free(image);
    assert_int_equal(image_remove(store, "mine:2", &error), 0);
    assert_int_equal(image_get(other, "mine:2", &image), -ENOENT);
    assert_int_equal(count(dir, "layers"), 0);
    assert_int_equal(count(dir, "blobs/sha256"), 0);
    assert_int_equal(image_remove(store, "mine:2", &error), -ENOENT);
    assert_non_null(strstr(error, "mine:2"));
    image_store_free(store);
    image_store_free(other);
    made_done(&m);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void a_tag_moves(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
    ImageStore *store = open_store(dir);
    char ids[2][DIGEST_TEXT + 1];
    for (int i = 0; i < 2; i++) {
        Made m;
        make_image(&m, i ? "two" : "one", PLAIN);
        docker_archive(dir, "a.tar", &m, "app:1");
        _cleanup_free_ char *archive = xasprintf("%s/a.tar", dir);
        assert_int_equal(image_import(store, archive, NULL, NULL, &error), 0);
        memcpy(ids[i], m.id, sizeof m.id);
        made_done(&m);
    }
    Image *image;
    assert_int_equal(image_get(store, "app:1", &image), 0);
    assert_string_equal(image->id, ids[1]);
    image_free(image);
    assert_int_equal(image_get(store, ids[0], &image), 0);
    assert_null(image->tags[0]);
    image_free(image);
    image_store_free(store);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void leases_keep_layers(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL, *archive = xasprintf("%s/a.tar", dir);
    Made m;
    make_image(&m, "one", PLAIN);
    docker_archive(dir, "a.tar", &m, "app:1");
    ImageStore *store = open_store(dir);
    assert_int_equal(image_import(store, archive, NULL, NULL, &error), 0);
    assert_int_equal(image_lease(store, m.id, "container-1"), 0);
    assert_int_equal(image_lease(store, m.id, "../x"), -EINVAL);
    assert_int_equal(image_lease(store, "sha256:nope", "x"), -ENOENT);
    assert_int_equal(image_remove(store, "app:1", &error), 0);
    assert_int_equal(count(dir, "layers"), 1);
    assert_int_equal(image_release(store, "container-1"), 0);
    assert_int_equal(image_release(store, "container-1"), 0);
    uint64_t bytes = 0;
    assert_int_equal(image_prune(store, &bytes), 0);
    assert_true(bytes > 0);
    assert_int_equal(count(dir, "layers"), 0);
    image_store_free(store);
    made_done(&m);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void a_corrupt_layer_leaves_nothing(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *archive = xasprintf("%s/a.tar", dir);
    Made m;
    make_image(&m, "one", GZIP);
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            m.layer.data[m.layer.len / 2] ^= 0x55; /* damaged */
        else {
            Made another; /* sound, but not the layer the config names */
            make_image(&another, "other", GZIP);
            buf_done(&m.layer);
            m.layer = another.layer;
            buf_done(&another.config);
        }
        docker_archive(dir, "a.tar", &m, "app:1");
        ImageStore *store = open_store(dir);
        char *error = NULL;
        assert_true(image_import(store, archive, NULL, NULL, &error) < 0);
        assert_non_null(strstr(error, "a.tar"));
        assert_non_null(strstr(error, "layer"));
        free(error);
        Image **list;
        size_t n;
        assert_int_equal(image_list(store, &list, &n), 0);
        assert_int_equal(n, 0);
        free(list);
        assert_int_equal(count(dir, "layers"), 0);
        assert_int_equal(count(dir, "tmp"), 0);
        image_store_free(store);
    }
    made_done(&m);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* What a killed process left in tmp/ goes when the store is opened; a half-written index cannot be. */
static void leftovers_go(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *left = xasprintf("%s/store/tmp/abc/layer", dir);
    ImageStore *store = open_store(dir);
    image_store_free(store);
    assert_int_equal(fs_mkdir_p(left, 0700), 0);
    store = open_store(dir);
    assert_int_equal(count(dir, "tmp"), 0);
    image_store_free(store);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void oci_layouts(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL, *archive = xasprintf("%s/oci.tar", dir);
    Made m;
    make_image(&m, "oci", ZSTD);
    _cleanup_free_ char *manifest = xasprintf(
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
        "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
        "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+zstd\",\"digest\":\"%s\",\"size\":%zu}]}",
        m.id, m.config.len, m.blob, m.layer.len);
    char manifest_digest[DIGEST_TEXT + 1], inner_digest[DIGEST_TEXT + 1];
    digest_of(manifest, strlen(manifest), manifest_digest);
    _cleanup_free_ char *inner = xasprintf(
        "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":1,\"platform\":{\"os\":\"linux\","
        "\"architecture\":\"s390x\"}},"
        "{\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000", manifest_digest, strlen(manifest));
    digest_of(inner, strlen(inner), inner_digest);
    _cleanup_free_ char *index =
        xasprintf("{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":%zu,\"annotations\":"
                  "{\"org.opencontainers.image.ref.name\":\"registry.example/app:7\"}}]}",
                  inner_digest, strlen(inner));
    _cleanup_free_ char *blobs = xasprintf("%s/layout/blobs/sha256", dir), *layout = xasprintf("%s/layout", dir);
    assert_int_equal(fs_mkdir_p(blobs, 0700), 0);
    write_file(blobs, m.id + 7, m.config.data, m.config.len);
    write_file(blobs, m.blob + 7, m.layer.data, m.layer.len);
    write_file(blobs, manifest_digest + 7, manifest, strlen(manifest));
    write_file(blobs, inner_digest + 7, inner, strlen(inner));
    write_file(layout, "index.json", index, strlen(index));
    write_file(layout, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
    _cleanup_free_ char *command = xasprintf("tar -C %s -czf %s .", layout, archive);
    assert_int_equal(system(command), 0);
    ImageStore *store = open_store(dir);
    Image *image = NULL;
    if (image_import(store, archive, NULL, &image, &error) < 0)
        fail_msg("%s", error);
    assert_string_equal(image->id, m.id);
    assert_string_equal(image->tags[0], "registry.example/app:7");
    image_free(image);
    image_store_free(store);
    made_done(&m);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* A full disk: an error that says so, and nothing left that takes space. */
static void a_full_disk(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *root = xasprintf("%s/store", dir),
                        *archive = xasprintf("%s/a.tar", dir), *error = NULL;
    assert_int_equal(mkdir(root, 0700), 0);
    if (mount("t", root, "tmpfs", 0, "size=256k") < 0)
        skip();
    size_t n = 300000;
    _cleanup_free_ char *big = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)('a' + i % 23);
    big[n] = 0;
    Made m;
    make_image(&m, big, GZIP);
    docker_archive(dir, "a.tar", &m, "app:1");
    ImageStore *store = open_store(dir);
    assert_int_equal(image_import(store, archive, NULL, NULL, &error), -ENOSPC);
    assert_non_null(strstr(error, "No space left on device"));
    assert_int_equal(count(dir, "tmp"), 0);
    assert_int_equal(count(dir, "layers"), 0);
    image_store_free(store);
    made_done(&m);
    assert_int_equal(umount2(root, MNT_DETACH), 0);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* Killed at any instant: the next to open the store finds all of an image or nothing, and can go on. */
static void killed_at_any_instant(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *archive = xasprintf("%s/a.tar", dir), *error = NULL;
    Made m;
    make_image(&m, "content", GZIP);
    docker_archive(dir, "a.tar", &m, "app:1");
    for (unsigned i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0) {
            ImageStore *store = open_store(dir);
            for (;;) {
                if (image_import(store, archive, NULL, NULL, NULL) < 0 || image_remove(store, "app:1", NULL) < 0)
                    _exit(1);
            }
        }
        usleep(1000 + i * 371);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        ImageStore *store = open_store(dir);
        assert_int_equal(count(dir, "tmp"), 0);
        Image *image = NULL;
        if (image_get(store, "app:1", &image) == 0) {
            _cleanup_free_ char *file = xasprintf("%s/file", image->layer_dirs[0]), *text = NULL;
            assert_int_equal(fs_read_file(file, 100, &text, NULL), 0);
            assert_string_equal(text, "content");
            image_free(image);
        }
        if (image_import(store, archive, NULL, NULL, &error) < 0)
            fail_msg("%s", error);
        image_store_free(store);
    }
    made_done(&m);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void other_files_are_refused(void **state) {
    (void)state;
    _cleanup_free_ char *dir = temporary_folder(), *path = xasprintf("%s/x", dir);
    ImageStore *store = open_store(dir);
    char *error = NULL;
    assert_int_equal(image_import(store, path, NULL, NULL, &error), -ENOENT);
    free(error);
    write_file(dir, "x", "not a tar at all", 16);
    assert_true(image_import(store, path, NULL, NULL, &error) < 0);
    free(error);
    Entry entries[] = {{"hello", AE_IFREG, 0644, "x", 0, 0, NULL, NULL, 0, 0}};
    _cleanup_buf_ Buf tar = BUF_INIT(4 << 20);
    tar_make(entries, 1, PLAIN, &tar);
    write_file(dir, "x", tar.data, tar.len);
    assert_true(image_import(store, path, NULL, NULL, &error) < 0);
    assert_non_null(strstr(error, "not an image archive"));
    free(error);
    assert_int_equal(image_import(store, path, "Bad:Tag:", NULL, &error), -EINVAL);
    free(error);
    image_store_free(store);
    assert_int_equal(fs_remove_tree(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_lists_and_removes),
        cmocka_unit_test(a_tag_moves),
        cmocka_unit_test(leases_keep_layers),
        cmocka_unit_test(a_corrupt_layer_leaves_nothing),
        cmocka_unit_test(leftovers_go),
        cmocka_unit_test(oci_layouts),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(killed_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
