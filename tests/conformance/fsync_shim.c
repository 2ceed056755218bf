/* What a power cut would leave, kept beside the real files, without root.
 *
 * Preloaded into a process, it notes every write below SHIM_FOLDER and applies it to the copy of that file below
 * SHIM_SHADOW only when an fsync or fdatasync of the file succeeds. While the file SHIM_FAIL exists, such a call
 * fails with EIO and, as Linux does, forgets what it should have written: a later success does not bring it back.
 * Names are taken for durable at once; the block device rig tests folders.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 4096
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct change { char *path; off_t offset; ssize_t length; char *bytes; struct change *next; };

static char *paths[FDS];
static struct change *pending, **tail = &pending;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static const char *leaf(const char *path) { const char *cut = strrchr(path, '/'); return cut ? cut + 1 : path; }

static void opened(int fd, const char *path) {
    const char *folder = getenv("SHIM_FOLDER");
    if (fd < 0 || fd >= FDS || !folder) return;
    size_t length = strlen(path);
    int is_watched = strncmp(path, folder, strlen(folder)) == 0 && !(length > 4 && !strcmp(path + length - 4, "-shm"));
    pthread_mutex_lock(&mutex);
    free(paths[fd]);
    paths[fd] = is_watched ? strdup(path) : NULL;
    pthread_mutex_unlock(&mutex);
}

static void note(int fd, const void *bytes, ssize_t length, off_t offset) {
    if (fd < 0 || fd >= FDS || !paths[fd] || length < 0) return;
    struct change *change = malloc(sizeof *change);
    char *copy = NULL;
    if (bytes) { copy = malloc(length ? length : 1); memcpy(copy, bytes, length); }
    pthread_mutex_lock(&mutex);
    *change = (struct change){strdup(paths[fd]), offset, length, copy, NULL};
    *tail = change;
    tail = &change->next;
    pthread_mutex_unlock(&mutex);
}

static void apply(int shadow, const struct change *change) {
    if (change->bytes) {
        if (REAL(pwrite)(shadow, change->bytes, change->length, change->offset) != change->length) abort();
    } else if (REAL(ftruncate)(shadow, change->offset)) abort();
}

static int synced(int fd, int is_durable) {
    if (fd < 0 || fd >= FDS || !paths[fd]) return 0;
    char name[4096];
    snprintf(name, sizeof name, "%s/%s", getenv("SHIM_SHADOW"), leaf(paths[fd]));
    pthread_mutex_lock(&mutex);
    int shadow = is_durable ? REAL(open)(name, O_RDWR | O_CREAT, 0600) : -1;
    for (struct change **link = &pending; *link;) {
        struct change *change = *link;
        if (strcmp(change->path, paths[fd])) { link = &change->next; continue; }
        if (shadow >= 0) apply(shadow, change);
        *link = change->next;
        free(change->path); free(change->bytes); free(change);
    }
    for (tail = &pending; *tail;) tail = &(*tail)->next;
    if (shadow >= 0) REAL(close)(shadow);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static int sync_or_fail(int fd) {
    const char *fail = getenv("SHIM_FAIL");
    if (fd >= 0 && fd < FDS && paths[fd] && fail && access(fail, F_OK) == 0) {
        synced(fd, 0);
        errno = EIO;
        return -1;
    }
    return synced(fd, 1);
}

int fsync(int fd) { return sync_or_fail(fd); }
int fdatasync(int fd) { return sync_or_fail(fd); }

#define OPENED(name)                                                                     \
    int name(const char *path, int flags, ...) {                                         \
        va_list arguments; va_start(arguments, flags);                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;     \
        va_end(arguments);                                                               \
        int fd = REAL(name)(path, flags, mode);                                          \
        opened(fd, path);                                                                \
        return fd;                                                                       \
    }
OPENED(open)
OPENED(open64)

#define WRITTEN(name, offset_type)                                                       \
    ssize_t name(int fd, const void *bytes, size_t length, offset_type offset) {         \
        ssize_t done = REAL(name)(fd, bytes, length, offset);                            \
        note(fd, bytes, done, offset);                                                   \
        return done;                                                                     \
    }
WRITTEN(pwrite, off_t)
WRITTEN(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t offset = fd >= 0 && fd < FDS && paths[fd] ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, bytes, length);
    note(fd, bytes, done, offset);
    return done;
}

int ftruncate(int fd, off_t length) {
    int result = REAL(ftruncate)(fd, length);
    if (!result) note(fd, NULL, 0, length);
    return result;
}

int ftruncate64(int fd, off64_t length) {
    int result = REAL(ftruncate64)(fd, length);
    if (!result) note(fd, NULL, 0, length);
    return result;
}

int unlink(const char *path) {
    const char *folder = getenv("SHIM_FOLDER");
    if (folder && strncmp(path, folder, strlen(folder)) == 0) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", getenv("SHIM_SHADOW"), leaf(path));
        REAL(unlink)(name);
    }
    return REAL(unlink)(path);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS && paths[fd]) {
        pthread_mutex_lock(&mutex);
        free(paths[fd]);
        paths[fd] = NULL;
        pthread_mutex_unlock(&mutex);
    }
    return REAL(close)(fd);
}

int rename(const char *old, const char *new) {
    int result = REAL(rename)(old, new);
    const char *folder = getenv("SHIM_FOLDER");
    if (result || !folder || strncmp(old, folder, strlen(folder))) return result;
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/%s", getenv("SHIM_SHADOW"), leaf(old));
    snprintf(to, sizeof to, "%s/%s", getenv("SHIM_SHADOW"), leaf(new));
    pthread_mutex_lock(&mutex);
    REAL(rename)(from, to);
    for (struct change *change = pending; change; change = change->next)
        if (!strcmp(change->path, old)) { free(change->path); change->path = strdup(new); }
    pthread_mutex_unlock(&mutex);
    return 0;
}
