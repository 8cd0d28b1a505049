/* SPDX-License-Identifier: MIT */
/* The exercise: a file is written, read, overwritten at random, cut off and grown, and is always what a copy in memory is. */
#include "print.h"

#define SIZE (256 * 1024)
#define OPERATIONS 500

static unsigned char model[SIZE], buffer[16384];
static unsigned long state = 1;

static unsigned chance(unsigned below)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (state >> 33) % below;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/tmp/exercise";
    long fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    unsigned size = 0, reads = 0, writes = 0, resizes = 0;

    CHECK(fd >= 0);
    for (int i = 0; i < OPERATIONS; i++) {
        unsigned what = chance(16), at = chance(SIZE - sizeof buffer), length = chance(sizeof buffer) + 1;

        if (what < 8) {
            for (unsigned n = 0; n < length; n++)
                buffer[n] = state >> n % 48;
            CHECK(pwrite(fd, buffer, length, at) == (long)length);
            for (unsigned n = 0; n < length; n++)
                model[at + n] = buffer[n];
            if (at + length > size)
                size = at + length;
            writes++;
        } else if (what < 14) {
            long got = pread(fd, buffer, length, at);
            long there = at >= size ? 0 : size - at < length ? size - at : length;

            CHECK(got == there);
            for (long n = 0; n < got; n++)
                CHECK(buffer[n] == model[at + n]);
            reads++;
        } else {
            CHECK(ftruncate(fd, at) == 0);
            for (unsigned n = at; n < size; n++)
                model[n] = 0;
            size = at;
            resizes++;
        }
        CHECK(lseek(fd, 0, SEEK_END) == (long)size);
    }
    CHECK(close(fd) == 0 && unlink(path) == 0);
    print("ramfs: %u writes, %u reads, %u resizes; every byte was what it had to be\n", writes, reads, resizes);
    return 0;
}
