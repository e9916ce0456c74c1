/* Stands between the worker and the world (LD_PRELOAD): its wall clock and where it connects to. Built by world.py.

   FAULTS_CLOCK   a file with one int64: seconds that the wall clock is off. The monotonic clock is as it is.
   FAULTS_CALLS   a file that gets a line for each connection to an address beyond this machine; none is made.
   A host's name such as "169-254-169-254.test" is resolved to that address, without a name server.
*/
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t offset(void) {
    static const volatile int64_t *shared;
    if (!shared) {
        const char *path = getenv("FAULTS_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0) return 0;
        void *mapped = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (mapped == MAP_FAILED) return 0;
        shared = mapped;
    }
    return *shared;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}

static void tell(const char *address) {
    const char *path = getenv("FAULTS_CALLS");
    char line[INET6_ADDRSTRLEN + 2];
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    int size = snprintf(line, sizeof line, "%s\n", address);
    if (write(fd, line, size) != size) abort();
    close(fd);
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!real) real = dlsym(RTLD_NEXT, "connect");
    char address[INET6_ADDRSTRLEN] = "";
    if (to->sa_family == AF_INET) {
        const struct in_addr *in = &((const struct sockaddr_in *)to)->sin_addr;
        if (ntohl(in->s_addr) >> 24 != 127) inet_ntop(AF_INET, in, address, sizeof address);
    } else if (to->sa_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)to)->sin6_addr;
        if (!IN6_IS_ADDR_LOOPBACK(in)) inet_ntop(AF_INET6, in, address, sizeof address);
    }
    if (!*address) return real(fd, to, size);
    tell(address);
    errno = ECONNREFUSED;
    return -1;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real) real = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *end = name ? strstr(name, ".test") : NULL;
    char address[NI_MAXHOST];
    if (!end || end[5] || (size_t)(end - name) >= sizeof address) return real(name, service, hints, found);
    memcpy(address, name, end - name);
    address[end - name] = 0;
    char separator = !strncmp(address, "v6-", 3) ? ':' : '.';
    if (separator == ':') memmove(address, address + 3, strlen(address) - 2);
    for (char *each = address; *each; each++)
        if (*each == '-') *each = separator;
    return real(address, service, hints, found);
}
