/* SPDX-License-Identifier: MIT */
/*
 * Growing a device tree by one node:
 *
 *     header | memory reservations | structure block ..^.. END | strings block + new names | room
 *                                                   node
 *
 * The node goes before the end of /reserved-memory or, with a new one of those around it, before the end of the root.
 *
 * The bytes after it move up. The room for that is, in this order: what the tree's own size leaves unused; the memory behind
 * it, if that is RAM and nothing that the tree knows of; or else the tree moves to just below the next stage.
 */
#include "fdt_reserve.h"

#include "memory.h"
#include "pmp.h"

#define MAX_NODE 192
#define MAX_NAMES 64
#define PAGE 4096ul

/* What the tree says about memory, and where its root and its /reserved-memory end. */
struct survey {
    uint64_t ram_base, ram_size;        /* the memory node that holds the tree */
    uint64_t initrd_start, initrd_end;
    uint32_t root_cells[2];             /* #address-cells, #size-cells */
    bool has_reserved;
    uint32_t reserved_cells[2];
    bool done_before;
    uint64_t tree_addr, base;
};

struct growth {
    const struct fdt *tree;
    uint8_t node[MAX_NODE];
    uint32_t node_size;
    char names[MAX_NAMES];
    uint32_t names_size;
    bool overflow;
};

static uint64_t u64_property(const struct fdt_node *node, const char *name)
{
    struct fdt_property p;

    if (!fdt_node_property(node, name, &p))
        return 0;
    return p.size == 8 ? (uint64_t)fdt_get32(p.value) << 32 | fdt_get32(p.value + 4) : p.size == 4 ? fdt_get32(p.value) : 0;
}

static void visit(const struct fdt_node *node, void *context)
{
    struct survey *survey = context;
    const struct fdt_node *parent = node->parent;
    uint64_t base, size;

    if (!parent) {
        survey->root_cells[0] = fdt_node_u32(node, "#address-cells", 2);
        survey->root_cells[1] = fdt_node_u32(node, "#size-cells", 1);
    } else if (!parent->parent && fdt_node_named(node, "memory")) {
        if (fdt_node_reg(node, &base, &size) && survey->tree_addr - base < size) {
            survey->ram_base = base;
            survey->ram_size = size;
        }
    } else if (!parent->parent && fdt_node_named(node, "chosen")) {
        survey->initrd_start = u64_property(node, "linux,initrd-start");
        survey->initrd_end = u64_property(node, "linux,initrd-end");
    } else if (!parent->parent && fdt_node_named(node, "reserved-memory")) {
        survey->has_reserved = true;
        survey->reserved_cells[0] = fdt_node_u32(node, "#address-cells", 2);
        survey->reserved_cells[1] = fdt_node_u32(node, "#size-cells", 1);
    } else if (parent->parent && !parent->parent->parent && fdt_node_named(parent, "reserved-memory")) {
        if (fdt_node_named(node, "mmode_resv0") && fdt_node_reg(node, &base, NULL) && base == survey->base)
            survey->done_before = true;
    }
}

/* The offset of the FDT_END_NODE of the root, or of /reserved-memory. */
static uint32_t find_end(const struct fdt *tree, bool of_reserved)
{
    struct fdt_token token;
    unsigned depth = 0;
    bool inside = false;

    for (uint32_t at = 0; fdt_token(tree, at, &token); at = token.next) {
        if (token.kind == FDT_BEGIN_NODE) {
            struct fdt_node node = { .name = token.name };
            if (++depth == 2)
                inside = fdt_node_named(&node, "reserved-memory");
        } else if (token.kind == FDT_END_NODE) {
            if (depth == (of_reserved ? 2 : 1) && (inside || !of_reserved))
                return token.offset;
            depth--;
        }
    }
    return 0;
}

static void put32(struct growth *g, uint32_t value)
{
    if (g->node_size + 4 > MAX_NODE) {
        g->overflow = true;
        return;
    }
    fdt_put32(g->node + g->node_size, value);
    g->node_size += 4;
}

static void begin_node(struct growth *g, const char *name)
{
    put32(g, FDT_BEGIN_NODE);
    for (bool ended = false; !ended;) {
        uint32_t word = 0;
        for (int shift = 24; shift >= 0; shift -= 8) {
            word |= ended ? 0 : (uint32_t)(uint8_t)*name << shift;
            ended = ended || *name++ == '\0';
        }
        put32(g, word);
    }
}

/* The offset of `name` in the strings block, as it will be: where it already is, or among the new names. */
static uint32_t name_offset(struct growth *g, const char *name)
{
    const char *block = (const char *)g->tree->base + g->tree->off_strings;
    uint32_t size = 0;

    while (name[size++])
        ;
    for (uint32_t i = 0; i + size <= g->tree->size_strings; i++)
        if (memcmp(block + i, name, size) == 0)
            return i;
    if (g->names_size + size > MAX_NAMES) {
        g->overflow = true;
        return 0;
    }
    memcpy(g->names + g->names_size, name, size);
    g->names_size += size;
    return g->tree->size_strings + g->names_size - size;
}

static void property(struct growth *g, const char *name, uint32_t size)
{
    put32(g, FDT_PROP);
    put32(g, size);
    put32(g, name_offset(g, name));
}

static void cells(struct growth *g, uint64_t value, uint32_t count)
{
    for (; count > 2; count--)
        put32(g, 0);
    if (count == 2)
        put32(g, (uint32_t)(value >> 32));
    put32(g, (uint32_t)value);
}

static void build(struct growth *g, const struct survey *survey, uint64_t base, uint64_t size)
{
    const uint32_t *width = survey->has_reserved ? survey->reserved_cells : survey->root_cells;
    static const char digits[] = "0123456789abcdef";
    char name[32] = "mmode_resv0@";
    unsigned n = 12;
    bool significant = false;

    for (int shift = 60; shift >= 0; shift -= 4) {
        significant = significant || base >> shift & 15 || shift == 0;
        if (significant)
            name[n++] = digits[base >> shift & 15];
    }
    name[n] = '\0';

    if (!survey->has_reserved) {
        begin_node(g, "reserved-memory");
        property(g, "#address-cells", 4);
        put32(g, width[0]);
        property(g, "#size-cells", 4);
        put32(g, width[1]);
        property(g, "ranges", 0);
    }
    begin_node(g, name);
    property(g, "reg", 4 * (width[0] + width[1]));
    cells(g, base, width[0]);
    cells(g, size, width[1]);
    property(g, "no-map", 0);
    put32(g, FDT_END_NODE);
    if (!survey->has_reserved)
        put32(g, FDT_END_NODE);
}

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
    return a < b_end && b < a_end;
}

/* Whether the tree may use [start, end): RAM, and neither the firmware, the start of the next stage, nor the initrd. */
static bool is_free(const struct survey *survey, uint64_t start, uint64_t end, uint64_t next_addr)
{
    return start < end && start - survey->ram_base < survey->ram_size && end - survey->ram_base <= survey->ram_size &&
           !firmware_overlaps(start, end - start) && !overlap(start, end, next_addr, next_addr + 1) &&
           !overlap(start, end, survey->initrd_start, survey->initrd_end);
}

static uint8_t *find_room(const struct fdt *tree, const struct survey *survey, uint64_t size, uint64_t next_addr)
{
    uint64_t here = (uint64_t)tree->base;

    if (size <= tree->total_size || is_free(survey, here + tree->total_size, here + size, next_addr))
        return tree->base;
    uint64_t there = (next_addr - size) & ~(PAGE - 1);
    if (size <= next_addr && is_free(survey, there, there + size, next_addr) &&
        !overlap(there, there + size, here, here + tree->total_size))
        return (uint8_t *)there;
    return NULL;
}

const char *fdt_reserve(struct fdt *tree, uint64_t base, uint64_t size, uint64_t next_addr)
{
    struct survey survey = { .tree_addr = (uint64_t)tree->base, .base = base };
    struct growth growth = { .tree = tree };

    fdt_walk(tree, visit, &survey);
    if (survey.done_before)
        return NULL;
    const uint32_t *width = survey.has_reserved ? survey.reserved_cells : survey.root_cells;
    if (width[0] < 1 || width[0] > 4 || width[1] < 1 || width[1] > 4)
        return "its cell sizes are absurd";
    uint32_t struct_end = tree->off_struct + tree->size_struct;
    uint32_t rsvmap = fdt_get32(tree->base + FDT_OFF_RSVMAP);
    if (rsvmap >= tree->off_struct || struct_end > tree->off_strings)
        return "its blocks are in an unusual order";
    build(&growth, &survey, base, size);
    if (growth.overflow)
        return "the new node is too large";

    uint32_t strings_end = tree->off_strings + tree->size_strings;
    uint32_t new_end = strings_end + growth.node_size + growth.names_size;
    uint8_t *to = find_room(tree, &survey, new_end, next_addr);
    if (!to)
        return "there is no room for a larger tree";

    uint32_t at = tree->off_struct + find_end(tree, survey.has_reserved);
    memmove(to, tree->base, strings_end);
    memmove(to + tree->off_strings + growth.node_size, to + tree->off_strings, tree->size_strings);
    memmove(to + at + growth.node_size, to + at, struct_end - at);
    memcpy(to + at, growth.node, growth.node_size);

    tree->base = to;
    tree->off_strings += growth.node_size;
    tree->size_struct += growth.node_size;
    memcpy(to + tree->off_strings + tree->size_strings, growth.names, growth.names_size);
    tree->size_strings += growth.names_size;
    if (tree->total_size < new_end)
        tree->total_size = new_end;
    fdt_put32(to + FDT_TOTALSIZE, tree->total_size);
    fdt_put32(to + FDT_OFF_STRINGS, tree->off_strings);
    fdt_put32(to + FDT_SIZE_STRUCT, tree->size_struct);
    fdt_put32(to + FDT_SIZE_STRINGS, tree->size_strings);
    return NULL;
}
