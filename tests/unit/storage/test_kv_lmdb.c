/* What only the backend on disk can do: persist, be locked, be backed up, fill its disk, be killed. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include "fixture.h"
#include "kv_helper.h"

extern char **environ;

static const char *const tables[] = {"one", "two"};
static char dir[256];

static void set_up(void) { fixture_make_dir(dir); }
static void tear_down(void) {
        fixture_remove(dir);
        check_leaks();
}
TestSuite(kv_lmdb, .init = set_up, .fini = tear_down);

static int open_at(const char *path, Report *report, Kv **ret) {
        KvOptions options = {.path = path, .map_size = 1 << 20};
        return kv_open_lmdb(&options, tables, 2, report, ret);
}

static Kv *open_fine(const char *path) {
        _cleanup_(report_deinit) Report report = {0};
        Kv *kv = NULL;
        int r = open_at(path, &report, &kv);
        cr_assert_eq(r, 0, "%d: %s", r, report_text(&report));
        return kv;
}

/** Opening must fail with @error and a sentence that holds @part. */
static void check_refused(const char *path, int error, const char *part) {
        _cleanup_(report_deinit) Report report = {0};
        Kv *kv = NULL;
        int r = open_at(path, &report, &kv);
        cr_assert_eq(r, error, "%d: %s", r, report_text(&report));
        cr_assert_null(kv);
        cr_assert_not_null(strstr(report_text(&report), part), "%s", report_text(&report));
        cr_assert_not_null(strstr(report_text(&report), path), "%s", report_text(&report));
}

static int put_one(Kv *kv, const char *key, const char *value) {
        KvTxn *t;
        cr_assert_eq(kv_begin_write(kv, &t), 0);
        (void)kv_put(t, 0, slice_from_str(key), slice_from_str(value));
        return kv_commit(t);
}

static void check_one(Kv *kv, const char *key, const char *value) {
        KvTxn *t;
        Slice v;
        cr_assert_eq(kv_begin_read(kv, &t), 0);
        cr_assert(kv_get(t, 0, slice_from_str(key), &v) == 0 && slice_eq_str(v, value));
        kv_abort(t);
}

/* ---- the directory
 * ------------------------------------------------------------------------------------------ */

static void write_file(const char *name, const char *content) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        FILE *f = fopen(path, "w");
        cr_assert_not_null(f);
        fputs(content, f);
        cr_assert_eq(fclose(f), 0);
}

/** What a power failure within the very first start leaves behind is made anew: nothing was promised yet. */
Test(kv_lmdb, a_store_whose_making_was_cut_short_is_made_again) {
        write_file("fresh.mdb", "half of a page");
        write_file("data.mdb", "");
        Kv *kv = open_fine(dir);
        cr_assert_eq(put_one(kv, "a", "1"), 0);
        kv_close(kv);
        char path[512];
        snprintf(path, sizeof(path), "%s/fresh.mdb", dir);
        cr_assert_lt(access(path, F_OK), 0);
        kv = open_fine(dir);
        check_one(kv, "a", "1");
        kv_close(kv);
}

Test(kv_lmdb, records_outlive_the_store) {
        Kv *kv = open_fine(dir);
        cr_assert_eq(put_one(kv, "a", "1"), 0);
        kv_close(kv);
        kv = open_fine(dir);
        check_one(kv, "a", "1");
        kv_close(kv);
}

Test(kv_lmdb, directory_is_made_with_its_parents_for_its_owner_alone) {
        char path[300];
        struct stat st;
        snprintf(path, sizeof(path), "%s/a/b/c/", dir);
        Kv *kv = open_fine(path);
        kv_close(kv);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0700);
        snprintf(path, sizeof(path), "%s/a/b/c/data.mdb", dir);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0600);
}

Test(kv_lmdb, directory_troubles_are_explained) {
        char path[300];
        _cleanup_(report_deinit) Report report = {0};
        Kv *kv = NULL;
        cr_assert_eq(open_at("", &report, &kv), -EINVAL);
        cr_assert_not_null(strstr(report_text(&report), "DATA_DIR"));

        snprintf(path, sizeof(path), "%s/file", dir);
        close(open(path, O_CREAT | O_WRONLY, 0600));
        check_refused(path, -ENOTDIR, "not a directory");
        snprintf(path, sizeof(path), "%s/file/below", dir);
        check_refused(path, -ENOTDIR, "can't be made");
        check_refused("/proc/nothing", -ENOENT, "can't be made");

        snprintf(path, sizeof(path), "%s/others", dir);
        mkdir(path, 0500);
        bool is_root = geteuid() == 0;
        if (is_root) {
                chmod(dir, 0755);
                cr_assert_eq(seteuid(65534), 0);
        }
        check_refused(path, -EACCES, "mode 0500");
        if (is_root)
                cr_assert_eq(seteuid(0), 0);
}

Test(kv_lmdb, what_is_no_store_is_refused) {
        char path[300];
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        char page[8192];
        memset(page, 'z', sizeof(page));
        cr_assert_eq(write(fd, page, sizeof(page)), (ssize_t)sizeof(page));
        close(fd);
        check_refused(dir, -EBADMSG, "not a store");
}

/* ---- the lock
 * --------------------------------------------------------------------------------------------------- */

typedef struct Helper {
        pid_t pid;
        int in, out;
} Helper;

static Helper helper_start(const char *mode) {
        int in[2], out[2];
        Helper h;
        posix_spawn_file_actions_t actions;
        char *argv[] = {(char *)HELPER, (char *)mode, dir, NULL};
        cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        cr_assert_eq(posix_spawn(&h.pid, HELPER, &actions, NULL, argv, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        close(in[0]);
        close(out[1]);
        h.in = in[1];
        h.out = out[0];
        return h;
}

/** Read what the helper says until a line or the end; false at the end. */
static bool helper_line(Helper *h, char text[256]) {
        size_t n = 0;
        while (n < 255 && read(h->out, text + n, 1) == 1)
                if (text[n++] == '\n') {
                        text[n - 1] = 0;
                        return true;
                }
        text[n] = 0;
        return false;
}

static int helper_end(Helper *h, int sig) {
        int status;
        if (sig)
                kill(h->pid, sig);
        close(h->in);
        cr_assert_eq(waitpid(h->pid, &status, 0), h->pid);
        close(h->out);
        return status;
}

Test(kv_lmdb, second_open_in_the_same_process_is_refused) {
        Kv *kv = open_fine(dir);
        check_refused(dir, -EBUSY, "this very process");
        kv_close(kv);
        kv_close(open_fine(dir));
}

Test(kv_lmdb, second_process_is_refused_by_name_of_the_first, .timeout = 20) {
        char text[256], pid[32];
        Helper h = helper_start("hold");
        cr_assert(helper_line(&h, text) && !strcmp(text, "open"), "%s", text);
        snprintf(pid, sizeof(pid), "process %d", (int)h.pid);
        check_refused(dir, -EBUSY, pid);
        cr_assert_eq(helper_end(&h, 0), 0);
        kv_close(open_fine(dir));

        /* however it ends */
        h = helper_start("hold");
        cr_assert(helper_line(&h, text));
        check_refused(dir, -EBUSY, "another engine");
        helper_end(&h, SIGKILL);
        Kv *kv = open_fine(dir);
        h = helper_start("hold");
        cr_assert(helper_line(&h, text));
        cr_assert_not_null(strstr(text, "in use by another engine"), "%s", text);
        cr_assert_eq(WEXITSTATUS(helper_end(&h, 0)), 3);
        kv_close(kv);
}

/* ---- backup
 * -------------------------------------------------------------------------------------------------------- */

Test(kv_lmdb, backup_is_a_store_of_its_own) {
        char path[300];
        _cleanup_(report_deinit) Report report = {0};
        Kv *kv = open_fine(dir), *copy;
        snprintf(path, sizeof(path), "%s/backups/today", dir);
        cr_assert_eq(put_one(kv, "a", "before"), 0);
        KvTxn *reader;
        cr_assert_eq(kv_begin_read(kv, &reader), 0); /* a reader does not hinder it */
        cr_assert_eq(kv_backup(kv, path, &report), 0, "%s", report_text(&report));
        kv_abort(reader);
        cr_assert_eq(put_one(kv, "a", "after"), 0);
        copy = open_fine(path);
        check_one(copy, "a", "before");
        check_one(kv, "a", "after");
        cr_assert_eq(put_one(copy, "a", "elsewhere"), 0);
        kv_close(copy);
        cr_assert_eq(kv_backup(kv, path, &report), -ENOTEMPTY);
        cr_assert_not_null(strstr(report_text(&report), "not empty"), "%s", report_text(&report));
        check_one(kv, "a", "after");
        kv_close(kv);
}

/* ---- a full disk
 * ------------------------------------------------------------------------------------------------------ */

static void limit_file_size(rlim_t bytes) {
        struct rlimit limit;
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/**
 * The largest file size stands in for the disk: writes come back short, then fail, as they do on a disk that
 * fills up. Nothing of the refused batch may be there, and when there is room again the same store goes on.
 */
Test(kv_lmdb, full_disk_refuses_and_goes_on_when_there_is_room) {
        char *fill = malloc(300000);
        memset(fill, 'f', 300000);
        signal(SIGXFSZ, SIG_IGN);
        KvOptions options = {.path = dir, .map_size = 64 << 20};
        Report report = {0};
        Kv *kv;
        cr_assert_eq(kv_open_lmdb(&options, tables, 2, &report, &kv), 0);
        cr_assert_eq(put_one(kv, "kept", "1"), 0);
        limit_file_size(1000001); /* not a whole number of pages */
        for (unsigned try = 0; try < 5; try++) {
                KvTxn *t;
                int r = kv_begin_write(kv, &t);
                cr_assert_eq(r, 0);
                for (unsigned i = 0; i < 5 && r == 0; i++) {
                        char key[8];
                        snprintf(key, sizeof(key), "%u", i);
                        r = kv_put(t, 1, slice_from_str(key), (Slice){fill, 300000});
                }
                r = kv_commit(t);
                cr_assert_eq(r, -ENOSPC, "%d", r);
                check_one(kv, "kept", "1");
                KvTxn *reader;
                cr_assert_eq(kv_begin_read(kv, &reader), 0);
                cr_assert_eq(kv_count(reader, 1), 0);
                kv_abort(reader);
        }
        cr_assert_eq(put_one(kv, "small", "fits still"), 0);
        limit_file_size(RLIM_INFINITY);
        cr_assert_eq(put_one(kv, "kept", "2"), 0);
        kv_close(kv);
        kv = open_fine(dir);
        check_one(kv, "kept", "2");
        check_one(kv, "small", "fits still");
        kv_close(kv);
        free(fill);
}

/** A disk smaller than the largest map is what bounds the store. */
Test(kv_lmdb, disk_bounds_what_the_store_can_grow_to) {
        struct statvfs fs;
        KvStats stats;
        Kv *kv = open_fine(dir); /* no map_size_max: 1 TiB */
        cr_assert_eq(statvfs(dir, &fs), 0);
        cr_assert_eq(kv_stats(kv, &stats), 0);
        uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, most = (uint64_t)1 << 40, slack = (uint64_t)2 << 30;
        if (room < most)
                cr_assert(stats.map_max_bytes < room + slack && stats.map_max_bytes + slack > room);
        else
                cr_assert_eq(stats.map_max_bytes, most);
        kv_close(kv);
}

/* ---- kill -9
 * ------------------------------------------------------------------------------------------------------------
 */

/** Every batch that was told is there whole; at most one more is; of none is there a part. Returns the last
 * one. */
static uint64_t check_batches(uint64_t told) {
        _cleanup_(buf_deinit) Buf key = {0};
        Kv *kv = open_fine(dir);
        uint64_t last = 0;
        KvTxn *t;
        Slice v;
        cr_assert_eq(kv_begin_read(kv, &t), 0);
        if (kv_get(t, 0, SLICE("last"), &v) == 0) {
                Reader r = reader_from_slice(v);
                last = reader_u64(&r);
        }
        cr_assert(last == told || last == told + 1, "told %llu, found %llu", (unsigned long long)told,
                  (unsigned long long)last);
        uint64_t kept = last < BATCHES_KEPT ? last : BATCHES_KEPT;
        cr_assert_eq(kv_count(t, 0) + kv_count(t, 1), kept * BATCH_ROWS + (last > 0));
        for (uint64_t n = last - kept + 1; n <= last; n++)
                for (uint64_t i = 0; i < BATCH_ROWS; i++) {
                        batch_key(&key, n, i);
                        cr_assert_eq(kv_get(t, i % 2, buf_slice(&key), &v), 0);
                        Reader r = reader_from_slice(v);
                        cr_assert_eq(reader_u64(&r), n);
                }
        kv_abort(t);
        kv_close(kv);
        return last;
}

Test(kv_lmdb, killed_writer_leaves_whole_batches_only, .timeout = 60) {
        char text[256];
        uint64_t told = 0, s = 12345;
        for (unsigned round = 0; round < 25; round++) {
                Helper h = helper_start("write");
                cr_assert(helper_line(&h, text) && !strcmp(text, "open"), "%s", text);
                s = s * 6364136223846793005ULL + 1442695040888963407ULL;
                struct timespec pause = {0, (long)(s >> 33) % 30 * 1000000 + (long)(s >> 40) % 1000000};
                nanosleep(&pause, NULL);
                kill(h.pid, SIGKILL);
                uint64_t n;
                while (helper_line(&h, text))
                        if (slice_to_u64(slice_from_str(text), &n))
                                told = n;
                helper_end(&h, 0);
                told = check_batches(told);
        }
        cr_assert_gt(told, 20, "it did write meanwhile");
}
