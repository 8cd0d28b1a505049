/* SPDX-License-Identifier: MIT */
/*
 * A village sends each other messages, until the free list of their slab cache is found to be corrupt. The damage was done
 * thousands of messages earlier; docs/tutorial-debug.md shows how to find who did it.
 */
#include "mailbox.h"
#include "print.h"

#define ROUNDS 8000
#define PEOPLE 8
#define GOODS 16

static const char *const people[PEOPLE] = { "Ann", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Veronica" };
static const char *const goods[GOODS] = { "apples", "bricks", "candles", "chairs", "eggs", "fish", "hammers", "lamps",
                                          "letters", "nails", "onions", "plums", "ropes", "stamps", "tiles",
                                          "watering cans" };

static struct mailbox *boxes[PEOPLE];
static uint32_t state = 4470;

/* A number below `limit`, by chance: the same in every run (xorshift). */
static unsigned chance(unsigned limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static char *append_number(char *to, unsigned value)
{
    if (value >= 10)
        to = append_number(to, value / 10);
    *to++ = '0' + value % 10;
    return to;
}

/* "Bob sells 12 chairs" */
static void compose(char *text, unsigned sender)
{
    char *end = append(text, people[sender]);
    end = append(end, " sells ");
    end = append_number(end, 1 + chance(120));
    end = append(end, " ");
    end = append(end, goods[chance(GOODS)]);
    *end = '\0';
}

static bool send(void)
{
    char text[64];
    unsigned sender = chance(PEOPLE);
    struct mailbox *box = boxes[chance(PEOPLE)];
    bool urgent = chance(10) == 0;

    compose(text, sender);
    return mailbox_send(box, sender, urgent, text);
}

static bool receive(void)
{
    struct mailbox *box = boxes[chance(PEOPLE)];

    return !box->waiting || mailbox_receive(box);
}

int main(void)
{
    for (unsigned i = 0; i < PEOPLE; i++)
        if (!(boxes[i] = mailbox_open(people[i])))
            return 1;

    for (unsigned round = 1; round <= ROUNDS; round++) {
        bool well = chance(100) < 48 ? send() : receive();
        if (!well) {
            print("round %u: out of memory, or a text has changed\n", round);
            return 1;
        }
        if (round % 2000 == 0)
            print("%u rounds: %u messages wait\n", round, mailbox_total());
    }

    for (unsigned i = 0; i < PEOPLE; i++)
        while (boxes[i]->waiting)
            mailbox_receive(boxes[i]);
    print("all messages received, %u left\n", mailbox_total());
    return 0;
}
