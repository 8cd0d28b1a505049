/* SPDX-License-Identifier: MIT */
/*
 * The kernel's text: everything of the kernel that has to be machine code. Policy is in Python, which a hart reaches by a host
 * call (an instruction of the custom-0 opcode, its funct7 the number) and which answers with a command. README.md draws it.
 *
 *     _start --ENTRY--> MMU on --> high half --> service --SERVICE--> command --> service --> ...
 *                                                                       ^
 *     trap --> frame saved on the kernel stack --> fix-up of a probe, or --TRAP--
 */
#define KERNEL_CODE         0xffffffff00000000  /* KERNEL_CODE_BASE of kernel.ld */
#define MAX_CPUS            8
#define BOOT_STACK_SIZE     0x40000             /* 256 KiB */
#define CPU_STACK_SIZE      0x4000              /* each CPU but the first */
#define STATICS_SIZE        0x30000             /* 192 KiB */
#define CONSOLE_SIZE        0x1000

/* Host calls (HostCallNumber in kernel/cpu/abi.py) */
#define ENTRY               0                   /* a0 = hart id, a1 = device tree -> a0 = satp mode, 0 for the best */
#define SERVICE             1                   /* a0, a1 = results -> t0 = command, t1, a0 ... a7 = its arguments */
#define TRAP                2                   /* a0 = frame -> as SERVICE */

.macro HOST_CALL number
    .insn r 0x0b, 0, \number, x0, x0, x0
.endm

/* The trap frame (TrapFrame in kernel/cpu/abi.py): the kernel stack pointer in the place of x0, then x1 ... x31 */
#define FRAME_KERNEL_SP     0
#define FRAME_X(n)          (8 * (n))
#define FRAME_SEPC          256
#define FRAME_SSTATUS       264
#define FRAME_SCAUSE        272
#define FRAME_STVAL         280
#define FRAME_SIZE          288

#define SSTATUS_SIE         (1 << 1)
#define SSTATUS_SPP         (1 << 8)
#define SSTATUS_FS          (3 << 13)
#define SSTATUS_SUM         (1 << 18)
#define SSI                 (1 << 1)            /* supervisor software interrupt, in sip and sie */
#define SATP_MODE_SHIFT     60
#define SV39                8
#define SV48                9
#define SBI_IPI             0x735049

    .section .entry, "ax"
    .globl  _start
_start:
    j       start

/* What Python, and whoever looks at a dump, finds the rest by (KernelHeader in kernel/text/image.py). Addresses are physical. */
#define PHYSICAL(symbol)    .quad symbol - KERNEL_CODE_BASE
    .org    _start + 64
header:
    .ascii  "HARTWELL"
    .word   1                                   /* version */
    .word   header_end - header
    PHYSICAL(__kernel_start)
    PHYSICAL(__kernel_end)
    PHYSICAL(statics)
    .quad   STATICS_SIZE
    PHYSICAL(boot_root_sv48)
    PHYSICAL(boot_root_sv39)
    PHYSICAL(boot_stack)
    .quad   BOOT_STACK_SIZE
    PHYSICAL(cpu_stacks)                        /* of CPU 1, 2, ... */
    .quad   CPU_STACK_SIZE
    .quad   MAX_CPUS
    PHYSICAL(cpus)
    PHYSICAL(cpu_satp)
    PHYSICAL(holds)
    PHYSICAL(console_buffer)
    .quad   CONSOLE_SIZE
    PHYSICAL(trap_vector)
    PHYSICAL(user_return)
    PHYSICAL(exception_table)
    PHYSICAL(exception_table_end)
    PHYSICAL(secondary_start)
    PHYSICAL(entry_call)
    PHYSICAL(service_call)
    PHYSICAL(trap_call)
header_end:

/* --- Entry ---------------------------------------------------------------------------------------------------------- */

    .text
/* From the firmware, at the physical address, satp = 0: a0 = hart id, a1 = device tree. */
start:
    addi    s0, a0, 1
    la      t0, cpus
    sd      s0, (t0)                            /* CPU 0 */
entry_call:
    HOST_CALL ENTRY
    bnez    a0, 1f
    li      a0, SV48
1:  la      t0, boot_root_sv48
    li      t1, SV39
    bne     a0, t1, 2f
    la      t0, boot_root_sv39
2:  srli    t0, t0, 12
    slli    t2, a0, SATP_MODE_SHIFT
    or      t0, t0, t2
    csrw    satp, t0                            /* a mode that the hart lacks leaves satp as it is */
    csrr    t2, satp
    beq     t2, t0, 3f
    li      a0, SV39
    j       1b
3:  sfence.vma
    la      t0, high                            /* here la gives the physical address */
    li      t1, KERNEL_CODE
    add     t0, t0, t1
    jr      t0

    .balign 4
high:
    la      sp, boot_stack + BOOT_STACK_SIZE
    j       enter_service

/* From hart_start, at the physical address, satp = 0: a0 = hart id, a1 = CPU number. The kernel's page table need not map
   physical addresses to themselves: the first fetch under it traps to `secondary_high`. */
    .globl  secondary_start
secondary_start:
    la      t0, secondary_high
    li      t1, KERNEL_CODE
    add     t0, t0, t1
    csrw    stvec, t0
    ld      t2, cpu_satp
    sfence.vma
    csrw    satp, t2
    jr      t0

    .balign 4
secondary_high:
    sfence.vma
    la      t0, cpus
    slli    t1, a1, 3
    add     t0, t0, t1
    addi    t1, a0, 1
    sd      t1, (t0)
    la      sp, cpu_stacks
    li      t0, CPU_STACK_SIZE
    mul     t0, t0, a1                          /* the stack of CPU n ends where that of CPU n + 1 begins */
    add     sp, sp, t0
    j       enter_service

    .section .rodata
    .balign 8
/* In the order of Command in kernel/cpu/abi.py. */
commands:
    .quad   do_nop
    .quad   do_activate
    .quad   do_sfence_all
    .quad   do_sfence_asid
    .quad   do_sfence_page
    .quad   do_sfence_range
    .quad   do_load
    .quad   do_store
    .quad   do_fetch
    .quad   do_call
    .quad   do_ecall
    .quad   do_idle
    .quad   do_hold
    .quad   do_enable_interrupts
    .quad   do_return
    .quad   do_fp_save
    .quad   do_fp_restore
commands_end:

/* --- The service loop ----------------------------------------------------------------------------------------------- */

    .text
enter_service:
    la      t0, trap_vector
    csrw    stvec, t0
    csrw    sscratch, zero                      /* 0: in the kernel */
    csrci   sstatus, SSTATUS_SIE
    csrwi   sie, SSI
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
done:
    li      a0, 0
    li      a1, 0
service:
    .globl  service_call
service_call:
    HOST_CALL SERVICE
dispatch:
    la      t2, commands
    la      t3, commands_end
    slli    t0, t0, 3
    add     t2, t2, t0
    bgeu    t2, t3, 1f
    ld      t2, (t2)
    jr      t2
1:  ebreak                                      /* no such command: the host's mistake */

do_nop:
    j       done

/* activate(satp) -> satp as it is then */
do_activate:
    csrw    satp, a0
    sfence.vma
    csrr    a0, satp
    li      a1, 0
    j       service

do_sfence_all:
    sfence.vma
    j       done

/* sfence_asid(asid): global entries may stay */
do_sfence_asid:
    sfence.vma zero, a0
    j       done

/* sfence_page(va) */
do_sfence_page:
    sfence.vma a0
    j       done

/* sfence_range(va, pages) */
do_sfence_range:
    beqz    a1, done
    sfence.vma a0
    li      t0, 4096
    add     a0, a0, t0
    addi    a1, a1, -1
    j       do_sfence_range

/* call(t1 = va, a0 ... a7) -> a0, a1 as the function returns them */
do_call:
    jalr    t1
    j       service

/* ecall(a0 ... a5, a6 = function, a7 = extension) -> error, value */
do_ecall:
    ecall
    j       service

/* idle(hart mask) -> SBI error, pending interrupts: send those harts an IPI, and wait for an enabled interrupt */
do_idle:
    beqz    a0, 1f
    li      a1, 0
    li      a6, 0
    li      a7, SBI_IPI
    ecall
    bnez    a0, service
1:  csrr    a1, sip
    csrr    t0, sie
    and     a1, a1, t0
    bnez    a1, 2f
    wfi
    j       1b
2:  csrci   sip, SSI
    j       service

/* hold(va, hart mask): send those harts an IPI, and wait until the word at va is not 0 */
do_hold:
    beqz    a1, 1f
    mv      t1, a0                              /* SBI calls change a0 and a1 only */
    mv      a0, a1
    li      a1, 0
    li      a6, 0
    li      a7, SBI_IPI
    ecall
    mv      a0, t1
1:  ld      t0, (a0)
    beqz    t0, 1b
    j       done

/* enable_interrupts(sie) -> sie as it was. They interrupt user code only; the kernel looks for them in do_idle. */
do_enable_interrupts:
    csrrw   a0, sie, a0
    li      a1, 0
    j       service

/* fp_save(va), fp_restore(va): the floating-point registers and fcsr, 33 words at va */
.macro ALL_FP instruction
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \instruction f\n, 8 * \n(a0)
    .endr
.endm
    .option push
    .option arch, +d
do_fp_save:
    li      t0, SSTATUS_FS
    csrs    sstatus, t0
    ALL_FP  fsd
    frcsr   t0
    sd      t0, 256(a0)
    j       done
do_fp_restore:
    li      t0, SSTATUS_FS
    csrs    sstatus, t0
    ALL_FP  fld
    ld      t0, 256(a0)
    fscsr   t0
    j       done
    .option pop

/* --- Probes --------------------------------------------------------------------------------------------------------- */

/* An instruction that may fault; if it does, the trap handler goes on at `fixup` with a0 = scause, a1 = stval. */
.macro TRY instruction:vararg
9:  \instruction
    EXCEPTION 9b
.endm
.macro EXCEPTION where
    .pushsection .exception_table, "a"
    .quad   \where, fixup
    .popsection
.endm

/* load(va, size, as user data if not 0) -> 0, value; or scause, stval */
do_load:
    beqz    a2, 1f
    li      t0, SSTATUS_SUM
    csrs    sstatus, t0
1:  li      t0, 1
    beq     a1, t0, 2f
    li      t0, 2
    beq     a1, t0, 3f
    li      t0, 4
    beq     a1, t0, 4f
    TRY ld  a1, (a0)
    j       probed
2:  TRY lbu a1, (a0)
    j       probed
3:  TRY lhu a1, (a0)
    j       probed
4:  TRY lwu a1, (a0)
    j       probed

/* store(va, size, value, as user data if not 0) -> 0, 0; or scause, stval */
do_store:
    beqz    a3, 1f
    li      t0, SSTATUS_SUM
    csrs    sstatus, t0
1:  li      t0, 1
    beq     a1, t0, 2f
    li      t0, 2
    beq     a1, t0, 3f
    li      t0, 4
    beq     a1, t0, 4f
    TRY sd  a2, (a0)
    j       5f
2:  TRY sb  a2, (a0)
    j       5f
3:  TRY sh  a2, (a0)
    j       5f
4:  TRY sw  a2, (a0)
5:  li      a1, 0
    j       probed

/* fetch(va) -> 0, a0 as the function there returns it; or scause, stval of its first instruction */
do_fetch:
    andi    t1, a0, -2
    jalr    t1                                  /* t1 and ra tell the trap handler that it was this jump */
fetched:
    EXCEPTION fetched
    mv      a1, a0

probed:
    li      a0, 0
fixup:
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
    j       service

/* --- Traps ---------------------------------------------------------------------------------------------------------- */

    .balign 4
    .globl  trap_vector
trap_vector:
    csrrw   sp, sscratch, sp
    bnez    sp, 1f
    csrr    sp, sscratch                        /* from the kernel: go on on its stack */
1:  addi    sp, sp, -FRAME_SIZE
    sd      x1, FRAME_X(1)(sp)
    sd      x3, FRAME_X(3)(sp)
    sd      x4, FRAME_X(4)(sp)
    sd      x5, FRAME_X(5)(sp)
    sd      x6, FRAME_X(6)(sp)
    sd      x7, FRAME_X(7)(sp)
    sd      x8, FRAME_X(8)(sp)
    sd      x9, FRAME_X(9)(sp)
    sd      x10, FRAME_X(10)(sp)
    sd      x11, FRAME_X(11)(sp)
    sd      x12, FRAME_X(12)(sp)
    sd      x13, FRAME_X(13)(sp)
    sd      x14, FRAME_X(14)(sp)
    sd      x15, FRAME_X(15)(sp)
    sd      x16, FRAME_X(16)(sp)
    sd      x17, FRAME_X(17)(sp)
    sd      x18, FRAME_X(18)(sp)
    sd      x19, FRAME_X(19)(sp)
    sd      x20, FRAME_X(20)(sp)
    sd      x21, FRAME_X(21)(sp)
    sd      x22, FRAME_X(22)(sp)
    sd      x23, FRAME_X(23)(sp)
    sd      x24, FRAME_X(24)(sp)
    sd      x25, FRAME_X(25)(sp)
    sd      x26, FRAME_X(26)(sp)
    sd      x27, FRAME_X(27)(sp)
    sd      x28, FRAME_X(28)(sp)
    sd      x29, FRAME_X(29)(sp)
    sd      x30, FRAME_X(30)(sp)
    sd      x31, FRAME_X(31)(sp)
    csrrw   t0, sscratch, zero                  /* x2 as it was; from now on in the kernel */
    sd      t0, FRAME_X(2)(sp)
    addi    t0, sp, FRAME_SIZE
    sd      t0, FRAME_KERNEL_SP(sp)
    csrr    t0, sepc
    sd      t0, FRAME_SEPC(sp)
    csrr    t1, sstatus
    sd      t1, FRAME_SSTATUS(sp)
    csrr    t2, scause
    sd      t2, FRAME_SCAUSE(sp)
    csrr    t3, stval
    sd      t3, FRAME_STVAL(sp)

    /* From the kernel, where interrupts are off: is it a probe's exception? A fetch is known by where it would have returned to. */
    andi    t1, t1, SSTATUS_SPP
    beqz    t1, report
    ld      t1, FRAME_X(6)(sp)
    bne     t0, t1, 2f
    ld      t0, FRAME_X(1)(sp)
2:  la      t4, exception_table
    la      t5, exception_table_end
3:  ld      t6, (t4)
    beq     t6, t0, 4f
    addi    t4, t4, 16
    bltu    t4, t5, 3b

report:
    mv      a0, sp
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
    .globl  trap_call
trap_call:
    HOST_CALL TRAP
    j       dispatch

4:  ld      t6, 8(t4)
    sd      t6, FRAME_SEPC(sp)
    sd      t2, FRAME_X(10)(sp)
    sd      t3, FRAME_X(11)(sp)
    mv      a0, sp

/* return(frame): go on where the frame says, in U-mode or in the kernel */
    .globl  user_return
user_return:
do_return:
    mv      sp, a0
    ld      t0, FRAME_SSTATUS(sp)
    andi    t1, t0, SSTATUS_SPP
    li      t2, ~SSTATUS_SIE                    /* no interrupt from here to sret */
    and     t0, t0, t2
    csrw    sstatus, t0
    ld      t0, FRAME_SEPC(sp)
    csrw    sepc, t0
    bnez    t1, 1f
    ld      t0, FRAME_KERNEL_SP(sp)
    csrw    sscratch, t0                        /* the stack for the next trap */
1:  ld      x1, FRAME_X(1)(sp)
    ld      x3, FRAME_X(3)(sp)
    ld      x4, FRAME_X(4)(sp)
    ld      x5, FRAME_X(5)(sp)
    ld      x6, FRAME_X(6)(sp)
    ld      x7, FRAME_X(7)(sp)
    ld      x8, FRAME_X(8)(sp)
    ld      x9, FRAME_X(9)(sp)
    ld      x10, FRAME_X(10)(sp)
    ld      x11, FRAME_X(11)(sp)
    ld      x12, FRAME_X(12)(sp)
    ld      x13, FRAME_X(13)(sp)
    ld      x14, FRAME_X(14)(sp)
    ld      x15, FRAME_X(15)(sp)
    ld      x16, FRAME_X(16)(sp)
    ld      x17, FRAME_X(17)(sp)
    ld      x18, FRAME_X(18)(sp)
    ld      x19, FRAME_X(19)(sp)
    ld      x20, FRAME_X(20)(sp)
    ld      x21, FRAME_X(21)(sp)
    ld      x22, FRAME_X(22)(sp)
    ld      x23, FRAME_X(23)(sp)
    ld      x24, FRAME_X(24)(sp)
    ld      x25, FRAME_X(25)(sp)
    ld      x26, FRAME_X(26)(sp)
    ld      x27, FRAME_X(27)(sp)
    ld      x28, FRAME_X(28)(sp)
    ld      x29, FRAME_X(29)(sp)
    ld      x30, FRAME_X(30)(sp)
    ld      x31, FRAME_X(31)(sp)
    ld      x2, FRAME_X(2)(sp)
    sret

/* --- Data ----------------------------------------------------------------------------------------------------------- */

#define LEAF                0xf                 /* V, R, W, X; no A, D or G: the hart sets A and D */
#define GIB_LEAF(n)         ((n) << 28 | LEAF)  /* 1 GiB at n GiB: page number << 10 */

    .section .boot_page_table, "aw"
    .balign 4096
    .globl  boot_code_table
boot_root_sv48:                                 /* [0], [256]: 512 GiB at 0; [511]: the table below */
    .quad   LEAF
    .fill   255, 8, 0
    .quad   LEAF
    .fill   254, 8, 0
    .quad   boot_code_table_entry
boot_code_table:                                /* [508] ... [510]: 0 ... 2 GiB */
    .fill   508, 8, 0
    .quad   GIB_LEAF(0), GIB_LEAF(1), GIB_LEAF(2), 0
boot_root_sv39:                                 /* [0] ... [127], [256] ... [383]: 0 ... 127 GiB; [508] ... [510] as above */
    .set    n, 0
    .rept   128
    .quad   GIB_LEAF(n)
    .set    n, n + 1
    .endr
    .fill   128, 8, 0
    .set    n, 0
    .rept   128
    .quad   GIB_LEAF(n)
    .set    n, n + 1
    .endr
    .fill   124, 8, 0
    .quad   GIB_LEAF(0), GIB_LEAF(1), GIB_LEAF(2), 0

    .data
    .balign 64
cpus:                                           /* of each CPU: its hart's id + 1, 0 while it has not started */
    .fill   MAX_CPUS, 8, 0
cpu_satp:                                       /* what a CPU that starts puts into satp */
    .quad   0
    .balign 64
holds:                                          /* what each CPU waits for in do_hold */
    .fill   MAX_CPUS, 8, 0

    .bss
    .balign 4096
statics:
    .zero   STATICS_SIZE
console_buffer:                                 /* what the firmware is asked to print */
    .zero   CONSOLE_SIZE
boot_stack:
    .zero   BOOT_STACK_SIZE
cpu_stacks:
    .zero   CPU_STACK_SIZE * (MAX_CPUS - 1)
