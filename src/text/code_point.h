/* Code points: UTF-8 in both directions, and the classes of characters that tokenizers cut at. */
#ifndef QK_TEXT_CODE_POINT_H
#define QK_TEXT_CODE_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { qk_replacement = 0xfffd };

/* Reads the code point at s (n ≥ 1 bytes there) and returns how many bytes it takes. A broken sequence gives U+FFFD,
 * *ret_valid false and the length of the longest prefix that could have begun a character, at least 1 (Unicode 3.9,
 * "substitution of maximal subparts"). */
size_t qk_utf8_read(const char *s, size_t n, uint32_t *ret, bool *ret_valid);
bool qk_utf8_is_valid(const char *s, size_t n);
/* Writes c into buf and returns the number of bytes. */
size_t qk_utf8_write(uint32_t c, char buf[4]);
/* Start of the character that ends before s[i], i ≥ 1, in valid UTF-8. */
size_t qk_utf8_before(const char *s, size_t i);

bool qk_is_space(uint32_t c);       /* White_Space */
bool qk_is_numeric(uint32_t c);     /* Nd, Nl, No */
bool qk_is_punctuation(uint32_t c); /* ASCII punctuation and symbols, P* */
bool qk_is_mark(uint32_t c);        /* Mn, Mc, Me */
bool qk_is_word(uint32_t c);        /* what \w means in Unicode regular expressions (UTS 18) */
/* Lower case in full: up to 2 code points; returns how many. */
size_t qk_lower_case(uint32_t c, uint32_t ret[2]);

#endif
