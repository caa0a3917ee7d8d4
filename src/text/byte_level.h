/* The alphabet of byte-level vocabularies: one printable character for each byte (GPT-2, encoder.py bytes_to_unicode).
 */
#ifndef QK_TEXT_BYTE_LEVEL_H
#define QK_TEXT_BYTE_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "pieces.h"

uint32_t qk_byte_to_char(unsigned char byte);
/* False when c stands for no byte. */
bool qk_char_to_byte(uint32_t c, unsigned char *ret);
/* A rewriter without parameters: every byte as its character. */
enum qk_code qk_byte_level_spell(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                 struct qk_err *err) QK_CHECKED;

#endif
