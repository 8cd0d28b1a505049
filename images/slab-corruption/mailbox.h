/* SPDX-License-Identifier: MIT */
/* Mailboxes: queues of short messages. */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT 32                 /* the longest text of a message, in characters */

struct message {
    bool urgent;                /* went to the head of the queue */
    uint8_t sender;
    uint16_t checksum;          /* of the text */
    uint32_t number;
    struct message *next;
    char text[TEXT];            /* ends with '\0', unless it is as long as can be */
};

struct mailbox {
    const char *owner;
    struct message *first, **last;      /* where the next one is hooked in */
    unsigned waiting;
};

/* A new, empty mailbox; 0 when there is no memory left. */
struct mailbox *mailbox_open(const char *owner);

/* Put a message into a mailbox. False when there is no memory left. */
bool mailbox_send(struct mailbox *box, uint8_t sender, bool urgent, const char *text);

/* Take the first message out and throw it away. False if its text is not what was sent. */
bool mailbox_receive(struct mailbox *box);

/* Messages in all mailboxes. */
unsigned mailbox_total(void);
#endif
