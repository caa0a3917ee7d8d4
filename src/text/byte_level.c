/* Bytes as characters: see byte_level.h. Printable bytes stand for themselves; the others, in order, are 256, 257, … */
#include "byte_level.h"

static bool stands_for_itself(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

uint32_t qk_byte_to_char(unsigned char byte)
{
    if (stands_for_itself(byte)) {
        return byte;
    }
    return byte <= ' ' ? 256u + byte : byte < 0xad ? 256u + 33 + (byte - 0x7fu) : 256u + 67;
}

bool qk_char_to_byte(uint32_t c, unsigned char *ret)
{
    if (c < 256) {
        *ret = (unsigned char)c;
        return stands_for_itself(c);
    }
    c -= 256;
    *ret = (unsigned char)(c <= ' ' ? c : c < 67 ? c - 33 + 0x7f : 0xad);
    return c <= 67;
}

enum qk_code qk_byte_level_spell(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                 struct qk_err *err)
{
    (void)params;
    (void)err;
    const struct qk_aligned *text = &pieces->text;
    for (size_t i = piece.begin; i < piece.end; i++) {
        qk_aligned_add_char(&pieces->next_text, qk_byte_to_char((unsigned char)text->s[i]), text->begin[i],
                            text->end[i]);
    }
    return QK_OK;
}
