/* Counts syncs of a process: one byte appended to the file named by SYNCS for each. Loaded by LD_PRELOAD. With SYNCS_US
   each takes that many microseconds more, as on a slower disk. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void count(void) {
    const char *slower = getenv("SYNCS_US");
    if (slower != NULL)
        usleep((useconds_t)atoi(slower));
    const char *path = getenv("SYNCS");
    if (path == NULL)
        return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        ssize_t written = write(file, ".", 1);
        (void)written;
        close(file);
    }
}

int fsync(int file) {
    count();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    count();
    return (int)syscall(SYS_fdatasync, file);
}
