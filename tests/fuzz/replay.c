/*
 * Runs a fuzz target over files: replay FOLDER… . Prints TAP, one case a file. A crash ends the program,
 * and so the test; the case under way was named on stderr before. Besides the files as they are, each is
 * tried cut short at a few places and with single bytes changed: little work that finds what a decoder
 * forgot to check.
 */

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include "fuzz.h"

#define FILE_BYTES_MAX (1 << 20)
#define FILES_MAX      4096
#define CUTS           64
#define CHANGES        256

static size_t n_cases;

/** A copy on the heap for each run, exactly as long as it is: the sanitizer then sees every byte read beyond
 * the end. */
static void run(const uint8_t *data, size_t n) {
        uint8_t *copy = malloc(n ? n : 1);

        if (!copy)
                abort();
        memcpy(copy, data, n);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
}

static void run_around(uint8_t *data, size_t n) {
        uint32_t state = 2463534242u;

        run(data, n);
        for (size_t i = 0; i < CUTS && i < n; i++)
                run(data, n * i / CUTS);
        for (size_t i = 0; i < CHANGES && n > 0; i++) {
                size_t at;
                uint8_t kept;

                state ^= state << 13; /* xorshift: the same changes every time */
                state ^= state >> 17;
                state ^= state << 5;
                at = state % n;
                kept = data[at];
                data[at] = (uint8_t)(state >> 24);
                run(data, n);
                data[at] = kept;
        }
}

static int replay_file(const char *path) {
        FILE *f = fopen(path, "rb");
        uint8_t *data = malloc(FILE_BYTES_MAX);
        size_t n;

        if (!f || !data) {
                printf("not ok %zu - cannot read %s\n", ++n_cases, path);
                free(data);
                if (f)
                        fclose(f);
                return 1;
        }
        n = fread(data, 1, FILE_BYTES_MAX, f);
        fclose(f);
        fprintf(stderr, "%s\n", path);
        run_around(data, n);
        free(data);
        printf("ok %zu - %s\n", ++n_cases, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
        return 0;
}

static int is_visible(const struct dirent *e) { return e->d_name[0] != '.'; }

static int replay_folder(const char *folder) {
        struct dirent **entries;
        int n = scandir(folder, &entries, is_visible, alphasort), n_failed = 0;

        if (n < 0 || n > FILES_MAX) {
                printf("Bail out! %s cannot be read or holds more than %d files\n", folder, FILES_MAX);
                exit(1);
        }
        printf("1..%d\n", n);
        for (int i = 0; i < n; i++) {
                char path[4096];

                snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
                n_failed += replay_file(path);
                free(entries[i]);
        }
        free(entries);
        return n_failed;
}

int main(int argc, char **argv) {
        if (argc != 2) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return 2;
        }
        return replay_folder(argv[1]) || n_cases == 0 ? 1 : 0;
}
