/* SPDX-License-Identifier: MIT */
/* Reading a flattened device tree that may be broken in any way: every offset is checked before it is followed. */
#ifndef FDT_H
#define FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_MAX_SIZE (2u << 20)
#define FDT_MAX_DEPTH 16

enum { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4, FDT_END = 9 };

/* Offsets of the header's big-endian words. */
enum {
    FDT_MAGIC = 0, FDT_TOTALSIZE = 4, FDT_OFF_STRUCT = 8, FDT_OFF_STRINGS = 12, FDT_OFF_RSVMAP = 16, FDT_VERSION = 20,
    FDT_LAST_COMP_VERSION = 24, FDT_SIZE_STRINGS = 32, FDT_SIZE_STRUCT = 36,
};

struct fdt {
    uint8_t *base;
    uint32_t total_size;
    uint32_t off_struct, size_struct;
    uint32_t off_strings, size_strings;
};

struct fdt_property {
    const char *name;
    const uint8_t *value;
    uint32_t size;
};

/* One token of the structure block. `offset` is where it begins, `next` where the following one does. */
struct fdt_token {
    uint32_t kind;
    uint32_t offset, next;
    const char *name;                   /* of a FDT_BEGIN_NODE */
    struct fdt_property property;       /* of a FDT_PROP */
};

/* A node during fdt_walk: its properties begin at `offset`. */
struct fdt_node {
    const struct fdt *tree;
    const char *name;
    uint32_t offset;
    uint32_t address_cells, size_cells; /* its parent's, for its own reg */
    const struct fdt_node *parent;
};

uint32_t fdt_get32(const uint8_t *p);
void fdt_put32(uint8_t *p, uint32_t value);

/* NULL if `addr` holds a well-formed tree, else what is wrong with it. Nothing is read that may not be there. */
const char *fdt_open(struct fdt *tree, uint64_t addr);

/* The token at `offset`; false if there is none, or a malformed one. */
bool fdt_token(const struct fdt *tree, uint32_t offset, struct fdt_token *token);

/* Call `visit` for every node, parents before children. */
void fdt_walk(const struct fdt *tree, void (*visit)(const struct fdt_node *, void *), void *context);

bool fdt_node_property(const struct fdt_node *node, const char *name, struct fdt_property *property);
uint32_t fdt_node_u32(const struct fdt_node *node, const char *name, uint32_t otherwise);
bool fdt_node_reg(const struct fdt_node *node, uint64_t *base, uint64_t *size);     /* the first pair; size may be NULL */
bool fdt_node_compatible(const struct fdt_node *node, const char *with);
bool fdt_node_enabled(const struct fdt_node *node);
bool fdt_node_is_cpu(const struct fdt_node *node);
bool fdt_node_named(const struct fdt_node *node, const char *name);                 /* up to the unit address */
#endif
