/* SPDX-License-Identifier: MIT */
/* Nodes of a device tree, and the properties that the firmware asks for. The tree has passed fdt_open's checks. */
#include "fdt.h"
#include "memory.h"

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

bool fdt_node_property(const struct fdt_node *node, const char *name, struct fdt_property *property)
{
    struct fdt_token token;

    for (uint32_t at = node->offset; fdt_token(node->tree, at, &token); at = token.next) {
        if (token.kind == FDT_NOP)
            continue;
        if (token.kind != FDT_PROP)
            break;                      /* a node's properties come before its children */
        if (equal(token.property.name, name)) {
            *property = token.property;
            return true;
        }
    }
    return false;
}

uint32_t fdt_node_u32(const struct fdt_node *node, const char *name, uint32_t otherwise)
{
    struct fdt_property property;

    return fdt_node_property(node, name, &property) && property.size == 4 ? fdt_get32(property.value) : otherwise;
}

/* A number of `cells` 32-bit words; of more than two, the lowest 64 bits. */
static uint64_t cells_at(const uint8_t *p, uint32_t cells)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < cells; i++)
        value = value << 32 | fdt_get32(p + 4 * i);
    return value;
}

bool fdt_node_reg(const struct fdt_node *node, uint64_t *base, uint64_t *size)
{
    struct fdt_property reg;

    if (!fdt_node_property(node, "reg", &reg) || node->address_cells == 0 ||
        reg.size < 4 * (node->address_cells + node->size_cells))
        return false;
    *base = cells_at(reg.value, node->address_cells);
    if (size)
        *size = cells_at(reg.value + 4 * node->address_cells, node->size_cells);
    return true;
}

bool fdt_node_compatible(const struct fdt_node *node, const char *with)
{
    struct fdt_property list;

    if (!fdt_node_property(node, "compatible", &list) || list.size == 0 || list.value[list.size - 1] != '\0')
        return false;
    for (uint32_t i = 0; i < list.size; i++)
        if ((i == 0 || list.value[i - 1] == '\0') && equal((const char *)list.value + i, with))
            return true;
    return false;
}

bool fdt_node_enabled(const struct fdt_node *node)
{
    struct fdt_property status;

    if (!fdt_node_property(node, "status", &status))
        return true;
    return (status.size == 5 && memcmp(status.value, "okay", 5) == 0) ||
           (status.size == 3 && memcmp(status.value, "ok", 3) == 0);
}

bool fdt_node_is_cpu(const struct fdt_node *node)
{
    struct fdt_property type;

    return node->parent && fdt_node_named(node->parent, "cpus") && fdt_node_property(node, "device_type", &type) &&
           type.size == 4 && memcmp(type.value, "cpu", 4) == 0;
}

bool fdt_node_named(const struct fdt_node *node, const char *name)
{
    const char *own = node->name;

    while (*own && *own == *name)
        own++, name++;
    return *name == '\0' && (*own == '\0' || *own == '@');
}

void fdt_walk(const struct fdt *tree, void (*visit)(const struct fdt_node *, void *), void *context)
{
    struct fdt_node stack[FDT_MAX_DEPTH];
    unsigned depth = 0;
    struct fdt_token token;

    for (uint32_t at = 0; fdt_token(tree, at, &token) && token.kind != FDT_END; at = token.next) {
        if (token.kind == FDT_END_NODE) {
            depth--;
        } else if (token.kind == FDT_BEGIN_NODE) {
            const struct fdt_node *parent = depth ? &stack[depth - 1] : NULL;
            struct fdt_node *node = &stack[depth++];
            *node = (struct fdt_node){
                .tree = tree,
                .name = token.name,
                .offset = token.next,
                .address_cells = parent ? fdt_node_u32(parent, "#address-cells", 2) : 2,
                .size_cells = parent ? fdt_node_u32(parent, "#size-cells", 1) : 1,
                .parent = parent,
            };
            if (node->address_cells > 4 || node->size_cells > 4)
                node->address_cells = 0;        /* its reg cannot be read */
            visit(node, context);
        }
    }
}
