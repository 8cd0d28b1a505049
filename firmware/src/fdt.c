/* SPDX-License-Identifier: MIT */
/* The flattened device tree's blocks and tokens. Format: Devicetree Specification v0.4, chapter 5. */
#include "fdt.h"

#include "memory.h"
#include "unpriv.h"

#define MAGIC 0xd00dfeed
#define HEADER_SIZE 40

uint32_t fdt_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void fdt_put32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static bool readable(uint64_t addr)
{
    struct trap_info fault;

    unpriv_load8(addr, csr_read(mstatus), &fault);
    return !faulted(&fault);
}

static bool within(uint32_t offset, uint32_t size, uint32_t limit)
{
    return offset <= limit && size <= limit - offset;
}

/* Walk all tokens once, so that nobody else has to expect a malformed one. */
static const char *check_structure(const struct fdt *tree)
{
    struct fdt_token token;
    unsigned depth = 0, roots = 0;

    for (uint32_t at = 0; fdt_token(tree, at, &token); at = token.next) {
        switch (token.kind) {
        case FDT_BEGIN_NODE:
            if (depth == 0 && roots++)
                return "it has two roots";
            if (++depth > FDT_MAX_DEPTH)
                return "its nodes are nested too deeply";
            break;
        case FDT_PROP:
            if (depth == 0)
                return "it has a property outside of any node";
            break;
        case FDT_END_NODE:
            if (depth-- == 0)
                return "a node ends that did not begin";
            break;
        case FDT_END:
            return depth == 0 && roots == 1 ? NULL : "it ends within a node";
        }
    }
    return "its structure block is malformed";
}

const char *fdt_open(struct fdt *tree, uint64_t addr)
{
    if (addr == 0)
        return "none was given";
    if (addr % 4)
        return "its address is not aligned";
    for (unsigned i = 0; i < HEADER_SIZE; i += 4)
        if (!readable(addr + i))
            return "its address is not in memory";

    uint8_t *base = (uint8_t *)addr;
    if (fdt_get32(base + FDT_MAGIC) != MAGIC)
        return "its magic number is wrong";
    if (fdt_get32(base + FDT_VERSION) < 17 || fdt_get32(base + FDT_LAST_COMP_VERSION) > 17)
        return "its version is not 17";

    *tree = (struct fdt){
        .base = base,
        .total_size = fdt_get32(base + FDT_TOTALSIZE),
        .off_struct = fdt_get32(base + FDT_OFF_STRUCT),
        .size_struct = fdt_get32(base + FDT_SIZE_STRUCT),
        .off_strings = fdt_get32(base + FDT_OFF_STRINGS),
        .size_strings = fdt_get32(base + FDT_SIZE_STRINGS),
    };
    if (tree->total_size < HEADER_SIZE || tree->total_size > FDT_MAX_SIZE)
        return "its size is absurd";
    if (addr + tree->total_size < addr)
        return "it does not fit in the address space";
    for (uint32_t i = 0; i < tree->total_size; i += 4096)
        if (!readable(addr + i))
            return "it is not in memory as a whole";
    if (!readable(addr + tree->total_size - 1))
        return "it is not in memory as a whole";
    if (tree->off_struct % 4 || !within(tree->off_struct, tree->size_struct, tree->total_size))
        return "its structure block is out of bounds";
    if (!within(tree->off_strings, tree->size_strings, tree->total_size))
        return "its strings block is out of bounds";
    return check_structure(tree);
}

/* The NUL-terminated string at `offset` of a block, or NULL. */
static const char *string_at(const struct fdt *tree, uint32_t block, uint32_t block_size, uint32_t offset)
{
    const char *s = (const char *)tree->base + block + offset;

    for (uint32_t i = offset; i < block_size; i++)
        if (s[i - offset] == '\0')
            return s;
    return NULL;
}

static size_t length(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

bool fdt_token(const struct fdt *tree, uint32_t offset, struct fdt_token *token)
{
    const uint8_t *block = tree->base + tree->off_struct;

    if (offset % 4 || !within(offset, 4, tree->size_struct))
        return false;
    token->kind = fdt_get32(block + offset);
    token->offset = offset;
    token->next = offset + 4;

    if (token->kind == FDT_BEGIN_NODE) {
        token->name = string_at(tree, tree->off_struct, tree->size_struct, token->next);
        if (!token->name)
            return false;
        token->next += (uint32_t)length(token->name) + 1;
    } else if (token->kind == FDT_PROP) {
        if (!within(token->next, 8, tree->size_struct))
            return false;
        token->property.size = fdt_get32(block + token->next);
        uint32_t name = fdt_get32(block + token->next + 4);
        token->next += 8;
        token->property.value = block + token->next;
        if (!within(token->next, token->property.size, tree->size_struct))
            return false;
        token->property.name = string_at(tree, tree->off_strings, tree->size_strings, name);
        if (!token->property.name)
            return false;
        token->next += token->property.size;
    } else if (token->kind != FDT_END_NODE && token->kind != FDT_NOP && token->kind != FDT_END) {
        return false;
    }
    token->next = (token->next + 3) & ~3u;
    return true;
}
