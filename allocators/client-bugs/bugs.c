/* SPDX-License-Identifier: MIT */
/*
 * A client with the bugs that clients have: connections, each with a name, in a table.
 *
 *     table ──> connection ──> name
 *
 * Every scenario but `clean` has one bug, at the line that says so.
 */
#include <hartwell/client.h>

#define ALIGN           8
#define CONNECTIONS     40

struct connection {
    struct connection *next;
    char *name;
    uint64_t length;
    uint64_t received;
};

/* Every function is one of its own in backtraces, and every access is where the source has it. */
#define OWN __attribute__((noinline))

OWN static char *new_name(uint64_t length)
{
    volatile char *name = client_alloc(length, ALIGN);
    if (!name)
        hartwell_panic("no memory");
    for (uint64_t i = 0; i < length; i++)
        name[i] = (char)('a' + i % 26);
    return (char *)name;
}

OWN static struct connection *open_connection(uint64_t length)
{
    volatile struct connection *connection = client_alloc(sizeof *connection, ALIGN);
    if (!connection)
        hartwell_panic("no memory");
    connection->next = NULL;
    connection->length = length;
    connection->received = 0;
    connection->name = new_name(length);
    return (struct connection *)connection;
}

OWN static void close_connection(struct connection *connection)
{
    client_free(connection->name, connection->length, ALIGN);
    client_free(connection, sizeof *connection, ALIGN);
    __asm__ volatile("");                       /* no jump to it, so that backtraces have this function */
}

OWN static void receive(volatile struct connection *connection, uint64_t bytes)
{
    connection->received = bytes;
}

OWN static uint64_t statistics(volatile struct connection *connection)
{
    return connection->received;
}

OWN static void terminate_name(volatile char *name, uint64_t length)
{
    name[length] = 0;
}

OWN static void mark_name(volatile char *name)
{
    name[-1] = '*';
}

/* Much that comes and goes, and leaves nothing behind. */
OWN static void busy(unsigned rounds)
{
    struct connection *table[CONNECTIONS];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < CONNECTIONS; i++)
            table[i] = open_connection(1 + (7 * i + 13 * round) % 300);
        for (unsigned i = 0; i < CONNECTIONS; i++)
            close_connection(table[(i * 7 + round) % CONNECTIONS]);
    }
}

HARTWELL_SCENARIO(clean)
{
    struct connection *connection = open_connection(100);
    receive(connection, 40);
    terminate_name(connection->name, 99);
    busy(4);
    uint64_t received = statistics(connection);
    close_connection(connection);
    return received;
}

HARTWELL_SCENARIO(use_after_free)
{
    struct connection *connection = open_connection(20);
    close_connection(connection);
    receive(connection, 1500);                  /* the bug: the connection is closed */
    return 0;
}

HARTWELL_SCENARIO(load_after_free)
{
    struct connection *connection = open_connection(20);
    close_connection(connection);
    uint64_t received = statistics(connection); /* the bug */
    return received + 1;
}

HARTWELL_SCENARIO(late_store)
{
    struct connection *connection = open_connection(20);
    close_connection(connection);
    busy(6);
    receive(connection, 1500);                  /* the bug: closed long ago */
    return 0;
}

HARTWELL_SCENARIO(overflow_by_one)
{
    struct connection *connection = open_connection(100), *other = open_connection(100);
    terminate_name(connection->name, connection->length);   /* the bug: one byte too far */
    close_connection(connection);
    close_connection(other);
    return 0;
}

HARTWELL_SCENARIO(overflow_by_one_of_a_power)
{
    struct connection *connection = open_connection(64), *other = open_connection(64);
    terminate_name(connection->name, connection->length);   /* the bug: there is no slack behind 64 bytes */
    close_connection(connection);
    close_connection(other);
    return 0;
}

HARTWELL_SCENARIO(underflow)
{
    struct connection *other = open_connection(100), *connection = open_connection(100);
    mark_name(connection->name);                /* the bug: one byte too early */
    close_connection(connection);
    close_connection(other);
    return 0;
}

HARTWELL_SCENARIO(double_free)
{
    struct connection *connection = open_connection(20);
    client_free(connection->name, connection->length, ALIGN);
    close_connection(connection);               /* the bug: it frees the name, too */
    return 0;
}

HARTWELL_SCENARIO(interior_free)
{
    struct connection *connection = open_connection(64);
    client_free(connection->name + 16, connection->length - 16, ALIGN);    /* the bug: no block begins there */
    return 0;
}

HARTWELL_SCENARIO(wrong_size)
{
    struct connection *connection = open_connection(100);
    connection->length = 40;
    close_connection(connection);               /* the bug: the name has 100 bytes */
    return 0;
}

HARTWELL_SCENARIO(foreign_free)
{
    static char name[64];
    client_free(name, sizeof name, ALIGN);      /* the bug: nobody has allocated it */
    return 0;
}
