/* What a tokenizer consists of once its file is read. */
#ifndef QK_TEXT_TOKENIZER_PARTS_H
#define QK_TEXT_TOKENIZER_PARTS_H

#include "added_tokens.h"
#include "byte_pairs.h"
#include "post_processor.h"
#include "step.h"
#include "text/tokenizer.h"
#include "vocabulary.h"

struct qk_tokenizer {
    struct qk_arena *arena; /* owns everything */
    struct qk_vocabulary vocabulary;
    struct qk_byte_pairs pairs;
    struct qk_added_tokens added;
    struct qk_steps normalizers, pre_tokenizers, decoders;
    struct qk_frame frame;
};

#endif
