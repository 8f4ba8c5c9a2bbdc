/* Stands between a process and its disk (LD_PRELOAD), for files under $SHIM_ROOT.
   SHIM_TRACE  a file: every change and every sync is appended to it, in order.
   SHIM_EIO    a file: while it exists, fsync and fdatasync fail with EIO and sync nothing.
   SHIM_CUT    a file: while it exists, the process dies instead of sending a reply that says 2xx.  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int trace_fd = -1;
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_TRACE");
    if (path) trace_fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int exists(const char *name) {
    const char *path = getenv(name);
    return path && access(path, F_OK) == 0;
}

static const char *below_root(const char *path) {
    const char *root = getenv("SHIM_ROOT");
    size_t n = root ? strlen(root) : 0;
    if (!n || strncmp(path, root, n)) return NULL;
    if (path[n] == 0) return ".";
    return path[n] == '/' ? path + n + 1 : NULL;
}

static void tell(char kind, const char *path, const char *other, uint64_t at, const void *data, uint64_t size) {
    const char *name = below_root(path);
    if (trace_fd < 0 || !name) return;
    const char *second = other ? below_root(other) : "";
    if (!second) return;
    char head[2 * PATH_MAX + 64];
    int n = snprintf(head, sizeof head, "%c\t%s\t%s\t%llu\t%llu\n", kind, name, second,
                     (unsigned long long)at, (unsigned long long)size);
    struct iovec parts[2] = {{head, (size_t)n}, {(void *)data, data ? size : 0}};
    if (REAL(writev)(trace_fd, parts, 2) < 0) abort();
}

static void tell_fd(char kind, int fd, uint64_t at, const void *data, uint64_t size) {
    char link[64], path[PATH_MAX + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX);
    if (n <= 0) return;
    path[n] = 0;
    tell(kind, path, NULL, at, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    if (done > 0) tell_fd('w', fd, (uint64_t)at, data, (uint64_t)done);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t done = REAL(pwrite)(fd, data, size, at);
    if (done > 0) tell_fd('w', fd, (uint64_t)at, data, (uint64_t)done);
    return done;
}
static void cut(const void *data, size_t size);
ssize_t write(int fd, const void *data, size_t size) {
    cut(data, size);
    off_t at = trace_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0 && at >= 0) tell_fd('w', fd, (uint64_t)at, data, (uint64_t)done);
    return done;
}
int ftruncate64(int fd, off64_t size) {
    int done = REAL(ftruncate64)(fd, size);
    if (!done) tell_fd('t', fd, (uint64_t)size, NULL, 0);
    return done;
}
int ftruncate(int fd, off_t size) {
    int done = REAL(ftruncate)(fd, size);
    if (!done) tell_fd('t', fd, (uint64_t)size, NULL, 0);
    return done;
}
int rename(const char *old, const char *new) {
    int done = REAL(rename)(old, new);
    if (!done) tell('r', old, new, 0, NULL, 0);
    return done;
}
int unlink(const char *path) {
    int done = REAL(unlink)(path);
    if (!done) tell('u', path, NULL, 0, NULL, 0);
    return done;
}

static int sync_with(int (*real)(int), int fd) {
    if (exists("SHIM_EIO")) {
        errno = EIO;
        return -1;
    }
    int done = real(fd);
    if (!done) tell_fd('s', fd, 0, NULL, 0);
    return done;
}
int fsync(int fd) { return sync_with(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

static int is_reply(const void *data, size_t size) { return size > 10 && !memcmp(data, "HTTP/1.1 2", 10); }
static void cut(const void *data, size_t size) {
    if (is_reply(data, size) && exists("SHIM_CUT")) kill(getpid(), SIGKILL);
}
ssize_t send(int fd, const void *data, size_t size, int flags) {
    cut(data, size);
    return REAL(send)(fd, data, size, flags);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (message->msg_iovlen) cut(message->msg_iov->iov_base, message->msg_iov->iov_len);
    return REAL(sendmsg)(fd, message, flags);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (count) cut(parts->iov_base, parts->iov_len);
    return REAL(writev)(fd, parts, count);
}
