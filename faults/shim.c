/* Stands between the worker and its disk (LD_PRELOAD). Built and armed by shim.py; looks only at the database's files.

   FAULTS_DATABASE   the database's absolute path
   FAULTS_CONTROL    a directory: a file `kill-POINT` in it kills the process there, before anything else happens
                       wal-write   the next write to the WAL: nothing of the commit is in the file yet
                       wal-sync    the next sync of the WAL: all is written, nothing is promised yet
                       wal-synced  after the next sync of the WAL: SQLite is about to hear of it
                       db-write, db-sync, db-synced   the same of the database itself, in a checkpoint
                     and a directory `synced` in it gets a copy of each file as it was at its last sync; one that was
                     deleted keeps its copy until its directory is synced
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

enum kind { OTHER, DATABASE, WAL, JOURNAL, DIRECTORY };
static const char *const suffixes[] = {[DATABASE] = "", [WAL] = "-wal", [JOURNAL] = "-journal"};
static const char *const copies[] = {[DATABASE] = "database", [WAL] = "wal", [JOURNAL] = "journal"};

static enum kind kind_of(int fd) {
    const char *database = getenv("FAULTS_DATABASE");
    char link[64], path[PATH_MAX];
    if (!database) return OTHER;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return OTHER;
    path[length] = 0;
    size_t base = strlen(database);
    for (enum kind kind = DATABASE; kind <= JOURNAL; kind++)
        if (!strncmp(path, database, base) && !strcmp(path + base, suffixes[kind])) return kind;
    return !strncmp(path, database, length) && strrchr(database, '/') == database + length ? DIRECTORY : OTHER;
}

static void controlled(char *path, const char *name) {
    const char *control = getenv("FAULTS_CONTROL");
    snprintf(path, PATH_MAX, "%s/%s", control ? control : "/nonexistent", name);
}

static void point(enum kind kind, const char *what) {
    char path[PATH_MAX], name[32];
    if (kind != DATABASE && kind != WAL) return;
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
    if (kind == OTHER || kind == DIRECTORY || access(directory, F_OK)) return 0;
    snprintf(kept, PATH_MAX, "%s/%s", directory, copies[kind]);
    snprintf(draft, PATH_MAX, "%s/%s.draft", directory, copies[kind]);
    int copy = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (copy < 0) abort();
    ssize_t got;
    for (off_t at = 0; (got = pread(fd, buffer, sizeof buffer, at)) > 0; at += got)
        if (really_write(copy, buffer, got) != got) abort();
    if (got < 0) abort();
    close(copy);
    return 1;
}

/* The directory is synced: what was deleted does not come back. */
static void forgotten(void) {
    char name[32], path[PATH_MAX];
    for (enum kind kind = DATABASE; kind <= JOURNAL; kind++) {
        snprintf(path, sizeof path, "%s%s", getenv("FAULTS_DATABASE"), suffixes[kind]);
        if (!access(path, F_OK)) continue;
        snprintf(name, sizeof name, "synced/%s", copies[kind]);
        controlled(path, name);
        unlink(path);
    }
}

static int synced(int fd, const char *name) {
    char draft[PATH_MAX], kept[PATH_MAX];
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    enum kind kind = kind_of(fd);
    point(kind, "sync");
    int copy = copied(fd, kind, draft, kept);
    int result = real(fd), kept_errno = errno;
    if (copy && !result && rename(draft, kept)) abort();
    if (kind == DIRECTORY && !result) forgotten();
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
