/* Records what a process does to the files of one folder, and what it says on its sockets, in one order.
 *
 *   LD_PRELOAD=recorder.so RECORD_FOLDER=/dir RECORD_TO=/log  program ...
 *
 * RECORD_FAIL_SYNC=n: every n-th sync of a file there fails with EIO, and does nothing.
 *
 * One record for each call: a head (below), a path, bytes. A record is one write() to a file opened O_APPEND, so that
 * threads and processes share one order. Writes and sends are recorded before they are made, the end of a sync after it
 * came back: whatever a reader concludes from the order is on the safe side. tests/rigs/crash.py reads it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096
#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

struct head { uint32_t kind, pid; uint64_t at; uint32_t size, path, thread, port; };

static char *paths[FDS];
static const char *folder;
static int out = -1;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("RECORD_FOLDER");
    const char *to = getenv("RECORD_TO");
    if (folder && to) out = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(char kind, const char *path, uint64_t at, const void *data, size_t size, int port) {
    if (out < 0) return;
    int saved = errno;
    struct head head = {kind, getpid(), at, size, strlen(path), syscall(SYS_gettid), port};
    struct iovec all[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, data ? size : 0}};
    if (!data) head.size = 0;
    if (syscall(SYS_writev, out, all, 3) < 0) _exit(99);
    errno = saved;
}

static const char *of(int fd) { return fd >= 0 && fd < FDS ? paths[fd] : NULL; }

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < FDS && folder && !strncmp(path, folder, strlen(folder))) {
        free(paths[fd]);
        paths[fd] = strdup(path);
        if (!(flags & O_DIRECTORY) && flags & (O_CREAT | O_TRUNC)) note(flags & O_TRUNC ? 'Z' : 'C', path, 0, NULL, 0, 0);
    }
    return fd;
}

#define OPEN(name)                                                                                       \
    int name(const char *path, int flags, ...) {                                                         \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);           \
        return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags);                    \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                                                     \
    int name(int dir, const char *path, int flags, ...) {                                                \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);           \
        return opened(syscall(SYS_openat, dir, path, flags, mode), path, flags);                         \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (of(fd)) { free(paths[fd]); paths[fd] = NULL; }
    return syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    if (of(fd)) note('W', of(fd), at, data, size, 0);
    return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
    if (of(fd)) note('W', of(fd), lseek(fd, 0, SEEK_CUR), data, size, 0);
    return syscall(SYS_write, fd, data, size);
}

int ftruncate(int fd, off_t size) {
    if (of(fd)) note('T', of(fd), size, NULL, 0, 0);
    return syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int fails(void) {
    static int every = -1, count;
    if (every < 0) every = getenv("RECORD_FAIL_SYNC") ? atoi(getenv("RECORD_FAIL_SYNC")) : 0;
    return every && ++count % every == 0;
}

#define SYNC(name, number)                                                                               \
    int name(int fd) {                                                                                   \
        const char *path = of(fd);                                                                       \
        if (path) note('B', path, 0, NULL, 0, 0);                                                        \
        if (path && fails()) {                                                                           \
            note('F', path, 0, NULL, 0, 0);                                                              \
            errno = EIO;                                                                                 \
            return -1;                                                                                   \
        }                                                                                                \
        int result = syscall(number, fd);                                                                \
        if (path && !result) note('E', path, 0, NULL, 0, 0);                                             \
        return result;                                                                                   \
    }
SYNC(fsync, SYS_fsync)
SYNC(fdatasync, SYS_fdatasync)

int unlink(const char *path) {
    if (folder && !strncmp(path, folder, strlen(folder))) note('U', path, 0, NULL, 0, 0);
    return syscall(SYS_unlink, path);
}

int rename(const char *from, const char *to) {
    if (folder && !strncmp(from, folder, strlen(folder))) note('R', from, 0, to, strlen(to), 0);
    return syscall(SYS_rename, from, to);
}

static void said(int fd, const void *data, size_t size) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (out < 0 || getpeername(fd, (struct sockaddr *)&peer, &length)) return;
    char name[32];
    snprintf(name, sizeof name, "%d", fd);
    note('S', name, 0, data, size, peer.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&peer)->sin_port) : 0);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    said(fd, data, size);
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
