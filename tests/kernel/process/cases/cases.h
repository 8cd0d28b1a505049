/* SPDX-License-Identifier: MIT */
/* What the cases have in common: system calls beyond those of programs/common, threads, children. */
#ifndef CASES_H
#define CASES_H
#include "print.h"

#define PAGE            4096
#define SIGINT          2
#define SIGILL          4
#define SIGKILL         9
#define SIGUSR1         10
#define SIGSEGV         11
#define SIGUSR2         12
#define SIGPIPE         13
#define SIG_IGN         1
#define SA_NOCLDWAIT    2
#define SA_SIGINFO      4
#define SA_ONSTACK      0x08000000
#define SA_RESTART      0x10000000
#define WNOHANG         1
#define ECHILD          10
#define EINTR           4
#define EACCES          13
#define ENOENT          2
#define ENOEXEC         8
#define E2BIG           7
#define EEXIST          17
#define EINVAL          22
#define ESRCH           3
#define EPIPE           32
#define CLONE_THREADS   0x3d0f00                /* what pthread_create wants */
#define CLONE_VFORK_VM  (0x4100 | SIGCHLD)
#define PROT_EXEC       4
#define PROT_NONE       0

struct action { void (*handler)(int, void *, void *); unsigned long flags, mask; };

static inline long sigaction(int signal, void *handler, unsigned long flags)
{
    struct action action = { (void (*)(int, void *, void *))handler, flags, 0 };

    return SYS(134, signal, &action, 0, 8);
}
static inline long gettid(void) { return SYS(178, 0); }
static inline void pause_ms(long ms) { long time[2] = { ms / 1000, ms % 1000 * 1000000 }; SYS(101, time, 0); }
static inline long futex(void *at, int operation, unsigned value, long *timeout) { return SYS(98, at, operation, value, timeout, 0, 0); }
static inline void *pages(long count, int flags)
{
    void *at = mmap(0, count * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    CHECK(!failed(at));
    return at;
}
static inline int status_of(int pid)
{
    int status;

    CHECK(wait4(pid, &status, 0) == pid);
    return status;
}

/* A thread's stack is its own; its number and what it does are in what it is given. */
struct thread { volatile int tid; int number; void (*work)(struct thread *); };
void begin(struct thread *thread, int number, void (*work)(struct thread *));
void join(struct thread *thread);
/* clone(flags, stack, parent_tid, tls, child_tid); the child has nothing but its stack, on which its thread is. */
long start(unsigned long flags, void *stack, volatile int *tid, void *tls, volatile int *ctid);

/* Check that `work(argument)` in a child ends by `signal`, 0 for none. */
void in_child(void (*work)(long), long argument, int signal);
/* Threads that count, for ever. */
void three_spin(void);
/* A signal handler that says so in `handled`. */
void handler(int signal);

extern volatile long counter;
extern volatile long *area;                     /* pages that several look at */
extern volatile int ready, handled, seen;
#define MUCH 300000
extern char much[MUCH];

void threads(void);
void exit_with_threads(void);
void exit_by_thread(void);
void exec_with_threads(void);
void hello(void);
void fault_in_thread(void);
void fork_while_threads_write(void);
void taken_by_munmap(void);
void taken_by_none(void);
void taken_by_read(void);
void kill_spinning(void);
void signal_spinning(void);
void sleeper(void);
void leave_children(void);
void sleep_beside(void);
void thread_ends(void);
void fp_in_handler(void);
void fp_zero(void);
void fp_secret(void);
void fp_fork(void);
void sigreturn(void);
void handler_stack(void);
void alt_stack(void);
void restart(void);
void partial_write(void);
void no_reader(void);
void sigkill(void);
void ignored_by_exec(void);
void ignores(void);
void children_ignored(void);
void waits(void);
void futex_after_fork(void);
void futex_shared(void);
void vforks(void);
void vfork_exec(void);
void slow(void);
void exec_fails(void);
void limits(void);
void rights(void);
void shared_is_given_back(void);
void shared_file(void);
void out_of_memory(void);
void everything(void);
void sleep_left(void);
void fork_signals(void);
void vfork_signal(void);
void many_areas(void);
#endif
