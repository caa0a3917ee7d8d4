/* Code points: see code_point.h. Categories come from utf8proc. */
#include "code_point.h"

#include <utf8proc.h>

struct lead {
    unsigned char first_low, first_high, second_low, second_high, length;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

static size_t broken(size_t length, uint32_t *ret, bool *ret_valid)
{
    *ret = qk_replacement;
    *ret_valid = false;
    return length;
}

size_t qk_utf8_read(const char *s, size_t n, uint32_t *ret, bool *ret_valid)
{
    const unsigned char *p = (const unsigned char *)s;
    *ret_valid = true;
    if (p[0] < 0x80) {
        *ret = p[0];
        return 1;
    }
    const struct lead *row = NULL;
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        if (p[0] >= leads[i].first_low && p[0] <= leads[i].first_high) {
            row = &leads[i];
        }
    }
    if (row == NULL || n < 2 || p[1] < row->second_low || p[1] > row->second_high) {
        return broken(1, ret, ret_valid);
    }
    uint32_t c = (uint32_t)(p[0] & (0xff >> (row->length + 1))) << 6 | (p[1] & 0x3f);
    for (size_t i = 2; i < row->length; i++) {
        if (i >= n || (p[i] & 0xc0) != 0x80) {
            return broken(i, ret, ret_valid);
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *ret = c;
    return row->length;
}

bool qk_utf8_is_valid(const char *s, size_t n)
{
    bool valid = true;
    uint32_t c;
    for (size_t i = 0; i < n && valid;) {
        i += qk_utf8_read(s + i, n - i, &c, &valid);
    }
    return valid;
}

size_t qk_utf8_write(uint32_t c, char buf[4])
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)buf);
}

size_t qk_utf8_before(const char *s, size_t i)
{
    do {
        i--;
    } while (i > 0 && ((unsigned char)s[i] & 0xc0) == 0x80);
    return i;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool qk_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool qk_is_numeric(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool qk_is_punctuation(uint32_t c)
{
    if (c < 0x80) {
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    }
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool qk_is_mark(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

/* Letters in circles and squares are Alphabetic though their category is So. */
static bool is_enclosed_letter(uint32_t c)
{
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

bool qk_is_word(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || k == UTF8PROC_CATEGORY_ND ||
           k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC || qk_is_mark(c) || c == 0x200c || c == 0x200d ||
           is_enclosed_letter(c);
}

size_t qk_lower_case(uint32_t c, uint32_t ret[2])
{
    if (c == 0x130) { /* the one character whose lower case is two (SpecialCasing.txt, without conditions) */
        ret[0] = 'i';
        ret[1] = 0x307;
        return 2;
    }
    ret[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}
