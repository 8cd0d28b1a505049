/* Data of all kinds, for test_examine.py. */
const unsigned char bytes[64] __attribute__((aligned(8))) = {
    0, 1, 2, 0x7f, 0x80, 0xff, 'A', '\n', '\t', 27, '"', '\\', '\'', 0xe9, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0x80, 13, 11, 12};
const char text[] = "hello \"w\\orld'\"\n\t\033\x80\xff end\a";
const char repeats[] = "aaaaaaaaaabbbbbbbbbbbbbbbcd\001\001\001\001\001\001\001\001\001\001\001\001xyz";
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
const char long_text[] = HUNDRED HUNDRED TEN;
const unsigned short wide[] = {'h', 'i', 0, 'x', 0};
const void *const pointers[4] __attribute__((aligned(8))) = {bytes, text + 4, (void *)0x1234, 0};
int _start(void) { return text[0]; }
