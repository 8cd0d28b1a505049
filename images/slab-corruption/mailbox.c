/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include "slab.h"

static struct cache mailboxes = CACHE(mailbox);
static struct cache messages = CACHE(message);
static uint32_t sent;

static void copy_text(char *to, const char *from)
{
    unsigned n = 0;

    for (; n < TEXT && from[n]; n++)
        to[n] = from[n];
    to[n] = '\0';
}

static uint16_t sum(const char *text)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < TEXT && text[i]; i++)
        sum = sum * 31 + (uint8_t)text[i];
    return sum;
}

struct mailbox *mailbox_open(const char *owner)
{
    struct mailbox *box = slab_alloc(&mailboxes);
    if (box)
        *box = (struct mailbox){ .owner = owner, .last = &box->first };
    return box;
}

bool mailbox_send(struct mailbox *box, uint8_t sender, bool urgent, const char *text)
{
    struct message *message = slab_alloc(&messages);
    if (!message)
        return false;

    message->urgent = urgent;
    message->sender = sender;
    message->number = sent++;
    copy_text(message->text, text);
    message->checksum = sum(message->text);

    struct message **place = urgent ? &box->first : box->last;
    message->next = *place;
    *place = message;
    if (place == box->last)
        box->last = &message->next;
    box->waiting++;
    return true;
}

bool mailbox_receive(struct mailbox *box)
{
    struct message *message = box->first;
    bool right = message->checksum == sum(message->text);

    box->first = message->next;
    if (!box->first)
        box->last = &box->first;
    box->waiting--;
    slab_free(&messages, message);
    return right;
}

unsigned mailbox_total(void)
{
    return messages.in_use;
}
