/* A program that calls in every way that a debugger has to find its way back from; see test_backtrace.py. */
typedef unsigned long word;

volatile word sink;

__attribute__((noinline)) word leaf(word a) { return a * 3 + 1; }

__attribute__((noinline)) word early(word a)
{
    if (a & 1)
        return a;
    sink = leaf(a);
    return leaf(sink) + leaf(a + 1);
}

__attribute__((noinline)) word large(word a)
{
    volatile word room[600];
    for (int i = 0; i < 600; i += 200)
        room[i] = leaf(a + i);
    return room[200] + early(a);
}

__attribute__((noinline)) word dynamic(word a)
{
    volatile word *room = __builtin_alloca(16 * (a & 7) + 16);
    room[0] = leaf(a);
    return room[0] + early(a + 1);
}

__attribute__((noinline)) word down(word n)
{
    if (n == 0)
        return large(4);
    word below = down(n - 1);
    return below + early(n) * n;
}

__attribute__((noinline)) word tail(word a)
{
    sink = a;
    return down(a);
}

word (*volatile pointer)(word) = dynamic;

int main(void)
{
    word total = tail(3);
    for (word i = 0; i < 2; i++)
        total += pointer(i) + early(i);
    switch (total & 3) {
    case 0: total += leaf(1); break;
    case 1: total += leaf(2); break;
    case 2: total += leaf(3); break;
    default: total += early(4); break;
    }
    sink = total;
    return 0;
}

__asm__(
    ".section .init, \"ax\"\n"
    ".globl _start\n"
    "_start: la sp, stack + 65536\n"
    "        call main\n"
    "        li t0, 0x5555\n"                    /* the test finisher: exit(0) */
    "        li t1, 0x100000\n"
    "        sw t0, (t1)\n"
    "1:      j 1b\n"
    ".bss\n"
    ".balign 16\n"
    "stack:  .zero 65536\n"
    ".text\n");
