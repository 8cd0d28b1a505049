/* SPDX-License-Identifier: MIT */
/*
 * Misaligned loads and stores, for harts that trap them: decode, then do the access byte by byte with the rights of the
 * program that trapped. If a byte faults, the supervisor gets that fault, as from hardware that splits the access: the bytes
 * before it may have been stored. Atomics are not emulated, since bytes are not atomic; their trap is handed on.
 */
#include "csr.h"
#include "float.h"
#include "trap.h"
#include "unpriv.h"

struct access {
    uint8_t reg;
    uint8_t size;                       /* in bytes */
    bool store;
    bool sign_extend;                   /* an integer load that is not an unsigned one */
    bool is_float;
    uint8_t length;                     /* of the instruction */
};

/* LOAD, LOAD-FP, STORE and STORE-FP; funct3 is log2 of the size, and bit 2 makes a load unsigned. */
static bool decode_full(uint32_t insn, struct access *access)
{
    unsigned opcode = insn & 0x7f, funct3 = insn >> 12 & 7, log2 = funct3 & 3;
    bool is_float = opcode == 0x07 || opcode == 0x27;
    bool store = opcode == 0x23 || opcode == 0x27;

    if (!store && !is_float && opcode != 0x03)
        return false;
    if (log2 == 0 || (is_float && (funct3 < 2 || funct3 > 3)) || (store && funct3 > 3) || funct3 == 7)
        return false;
    *access = (struct access){
        .reg = (store ? insn >> 20 : insn >> 7) & 31,
        .size = (uint8_t)(1 << log2),
        .store = store,
        .sign_extend = !store && !is_float && funct3 < 4,
        .is_float = is_float,
        .length = 4,
    };
    return true;
}

/*
 * The compressed ones, by quadrant (bits 1:0) and funct3 (bits 15:13):
 *
 *              001       010       011       101       110       111
 *   00     c.fld     c.lw      c.ld      c.fsd     c.sw      c.sd        register x8-x15 in bits 4:2
 *   10     c.fldsp   c.lwsp    c.ldsp    c.fsdsp   c.swsp    c.sdsp      loads: register in 11:7, stores: in 6:2
 */
static bool decode_compressed(uint32_t insn, struct access *access)
{
    unsigned quadrant = insn & 3, funct3 = insn >> 13 & 7, kind = funct3 & 3;
    bool store = funct3 & 4;

    if ((quadrant != 0 && quadrant != 2) || kind == 0)
        return false;
    *access = (struct access){
        .reg = quadrant == 0 ? 8 + (insn >> 2 & 7) : store ? insn >> 2 & 31 : insn >> 7 & 31,
        .size = kind == 2 ? 4 : 8,
        .store = store,
        .sign_extend = !store && kind != 1,
        .is_float = kind == 1,
        .length = 2,
    };
    return true;
}

static bool load(struct trap_frame *frame, const struct access *access, struct trap_info *fault)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < access->size; i++) {
        value |= unpriv_load8(frame->mtval + i, as_trapped(frame), fault) << (8 * i);
        if (faulted(fault))
            return false;
    }
    if (access->is_float) {
        float_write(access->reg, access->size == 4 ? value | 0xffffffff00000000 : value);   /* NaN-boxed */
        frame->mstatus |= MSTATUS_FS;                                                       /* dirty */
        return true;
    }
    if (access->sign_extend) {
        unsigned unused = 64 - 8 * access->size;
        value = (uint64_t)((int64_t)(value << unused) >> unused);
    }
    frame_write(frame, access->reg, value);
    return true;
}

static bool store(const struct trap_frame *frame, const struct access *access, struct trap_info *fault)
{
    uint64_t value = access->is_float ? float_read(access->reg) : frame->x[access->reg];

    for (unsigned i = 0; i < access->size; i++) {
        unpriv_store8(frame->mtval + i, value >> (8 * i), as_trapped(frame), fault);
        if (faulted(fault))
            return false;
    }
    return true;
}

void misaligned_handle(struct trap_frame *frame)
{
    struct trap_info trap = { frame->mcause, frame->mtval };
    struct trap_info fault;
    struct access access;
    uint32_t insn;

    if (!unpriv_fetch(frame, &insn, &fault)) {
        trap_redirect(frame, fault);
        return;
    }
    bool known = (insn & 3) == 3 ? decode_full(insn, &access) : decode_compressed(insn, &access);
    if (!known || access.store != (frame->mcause == EXC_STORE_MISALIGNED)) {
        trap_redirect(frame, trap);
        return;
    }
    bool done = access.store ? store(frame, &access, &fault) : load(frame, &access, &fault);
    if (done)
        frame->mepc += access.length;
    else
        trap_redirect(frame, fault);
}
