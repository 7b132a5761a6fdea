/* LD_PRELOAD=slow_sync.so SLOW_SYNC_MS=500 program: every fsync and fdatasync takes so much longer. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_the_disk(void) {
    const char *ms = getenv("SLOW_SYNC_MS");
    if (ms) usleep(atoi(ms) * 1000);
}

int fsync(int fd) {
    wait_for_the_disk();
    return syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_for_the_disk();
    return syscall(SYS_fdatasync, fd);
}
