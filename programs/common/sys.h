/* SPDX-License-Identifier: MIT */
/* System calls of RISC-V Linux, as they are: an error is a negative number. */
#ifndef SYS_H
#define SYS_H

typedef unsigned long size_t;

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
    register long a7 asm("a7") = number;
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    register long a3 asm("a3") = d;
    register long a4 asm("a4") = e;
    register long a5 asm("a5") = f;
    asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}
#define SYS(number, ...) SYS_(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_(number, a, b, c, d, e, f, ...) sys6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#define AT_FDCWD        (-100)
#define O_RDONLY        0
#define O_WRONLY        1
#define O_RDWR          2
#define O_CREAT         0100
#define O_TRUNC         01000
#define SEEK_SET        0
#define SEEK_END        2
#define PROT_READ       1
#define PROT_WRITE      2
#define MAP_SHARED      1
#define MAP_PRIVATE     2
#define MAP_FIXED       0x10
#define MAP_ANONYMOUS   0x20
#define SIGCHLD         17
#define EAGAIN          11
#define ENOMEM          12
#define EFAULT          14

static inline long open(const char *path, int flags, int mode) { return SYS(56, AT_FDCWD, path, flags, mode); }
static inline long close(int fd) { return SYS(57, fd); }
static inline long pipe(int *fds) { return SYS(59, fds, 0); }
static inline long lseek(int fd, long offset, int whence) { return SYS(62, fd, offset, whence); }
static inline long read(int fd, void *buffer, size_t size) { return SYS(63, fd, buffer, size); }
static inline long write(int fd, const void *buffer, size_t size) { return SYS(64, fd, buffer, size); }
static inline long pread(int fd, void *buffer, size_t size, long at) { return SYS(67, fd, buffer, size, at); }
static inline long pwrite(int fd, const void *buffer, size_t size, long at) { return SYS(68, fd, buffer, size, at); }
static inline long ftruncate(int fd, long size) { return SYS(46, fd, size); }
static inline long unlink(const char *path) { return SYS(35, AT_FDCWD, path, 0); }
static inline _Noreturn void exit(int code) { SYS(94, code); __builtin_unreachable(); }
static inline long kill(int pid, int signal) { return SYS(129, pid, signal); }
static inline long sched_yield(void) { return SYS(124, 0); }
static inline long getpid(void) { return SYS(172, 0); }
static inline long brk(void *end) { return SYS(214, end); }
static inline long munmap(void *at, size_t size) { return SYS(215, at, size); }
static inline long mprotect(void *at, size_t size, int prot) { return SYS(226, at, size, prot); }
static inline long fork(void) { return SYS(220, SIGCHLD, 0); }
static inline long execve(const char *path, char **argv, char **envp) { return SYS(221, path, argv, envp); }
static inline long wait4(int pid, int *status, int options) { return SYS(260, pid, status, options, 0); }
static inline void *mmap(void *at, size_t size, int prot, int flags, int fd, long offset)
{
    return (void *)SYS(222, at, size, prot, flags, fd, offset);
}
/* Whether what mmap returned is an error. */
static inline int failed(const void *result) { return (unsigned long)result > -4096UL; }
#endif
