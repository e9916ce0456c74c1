/* Stands between the worker and its disk (LD_PRELOAD). Built and armed by shim.py; looks only at the database's files.

   FAULTS_DATABASE   the database's absolute path
   FAULTS_CONTROL    a directory: a file `kill-POINT` in it kills the process there, before anything else happens
                       wal-write   the next write to the WAL: nothing of the commit is in the file yet
                       wal-sync    the next sync of the WAL: all is written, nothing is promised yet
                       wal-synced  after the next sync of the WAL: SQLite is about to hear of it
                       db-write, db-sync, db-synced   the same of the database itself, in a checkpoint
                     and a directory `synced` in it gets a copy of each file as it was at its last sync
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { OTHER, DATABASE, WAL };

static enum kind kind_of(int fd) {
    const char *database = getenv("FAULTS_DATABASE");
    char link[64], path[PATH_MAX];
    if (!database) return OTHER;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return OTHER;
    path[length] = 0;
    size_t base = strlen(database);
    if (strncmp(path, database, base)) return OTHER;
    return !path[base] ? DATABASE : !strcmp(path + base, "-wal") ? WAL : OTHER;
}

static void controlled(char *path, const char *name) {
    const char *control = getenv("FAULTS_CONTROL");
    snprintf(path, PATH_MAX, "%s/%s", control ? control : "/nonexistent", name);
}

static void point(enum kind kind, const char *what) {
    char path[PATH_MAX], name[32];
    if (kind == OTHER) return;
    snprintf(name, sizeof name, "kill-%s-%s", kind == WAL ? "wal" : "db", what);
    controlled(path, name);
    if (!access(path, F_OK)) {
        unlink(path); /* it killed once: whoever armed it sees that it was here */
        kill(getpid(), SIGKILL);
        pause();
    }
}

static ssize_t really_write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return real(fd, bytes, size);
}

/* What of the file is safe once the sync under way returns; 0 where nobody wants to know. */
static int copied(int fd, enum kind kind, char *draft, char *kept) {
    char directory[PATH_MAX - 16], buffer[1 << 16];
    controlled(directory, "synced");
    if (kind == OTHER || access(directory, F_OK)) return 0;
    const char *name = kind == WAL ? "wal" : "database";
    snprintf(kept, PATH_MAX, "%s/%s", directory, name);
    snprintf(draft, PATH_MAX, "%s/%s.draft", directory, name);
    int copy = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (copy < 0) abort();
    ssize_t got;
    for (off_t at = 0; (got = pread(fd, buffer, sizeof buffer, at)) > 0; at += got)
        if (really_write(copy, buffer, got) != got) abort();
    if (got < 0) abort();
    close(copy);
    return 1;
}

static int synced(int fd, const char *name) {
    char draft[PATH_MAX], kept[PATH_MAX];
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    enum kind kind = kind_of(fd);
    point(kind, "sync");
    int copy = copied(fd, kind, draft, kept);
    int result = real(fd), kept_errno = errno;
    if (copy && !result && rename(draft, kept)) abort();
    point(kind, "synced");
    errno = kept_errno;
    return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

#define WRITES(name, offset)                                                          \
    ssize_t name(int fd, const void *bytes, size_t size, offset at) {                 \
        static ssize_t (*real)(int, const void *, size_t, offset);                    \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                    \
        point(kind_of(fd), "write");                                                 \
        return real(fd, bytes, size, at);                                             \
    }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t size) {
    int kept_errno = errno;
    point(kind_of(fd), "write");
    errno = kept_errno;
    return really_write(fd, bytes, size);
}
