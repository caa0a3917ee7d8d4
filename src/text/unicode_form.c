/* Unicode normalisation with origins: see unicode_form.h.
 *
 * Text is cut in front of characters that cannot interact with what is before them, each stretch is decomposed, put
 * into canonical order (a stable counting sort: hostile runs of marks stay linear) and composed again. */
#include "unicode_form.h"

#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "code_point.h"

enum { max_decomposition = 32 }; /* code points of one character; the longest is 18 (U+FDFA) */

struct stretch {
    utf8proc_int32_t *v, *sorted;
    size_t n, cap;
};

static enum qk_code decompose(struct stretch *stretch, uint32_t c, unsigned form, struct qk_err *err)
{
    if (stretch->cap - stretch->n < max_decomposition) {
        size_t cap = stretch->cap * 2 + 2 * max_decomposition;
        void *v = qk_realloc(stretch->v, cap, sizeof *stretch->v);
        stretch->v = v == NULL ? stretch->v : v;
        void *sorted = v == NULL ? NULL : qk_realloc(stretch->sorted, cap, sizeof *stretch->sorted);
        if (sorted == NULL) {
            return qk_fail_nomem(err, "normalisation");
        }
        stretch->sorted = sorted;
        stretch->cap = cap;
    }
    int last = 0;
    int options = UTF8PROC_DECOMPOSE | ((form & QK_FORM_COMPATIBILITY) != 0 ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, stretch->v + stretch->n, max_decomposition,
                                                 (utf8proc_option_t)options, &last);
    if (n < 0 || n > max_decomposition) {
        return qk_fail(err, QK_EINTERNAL, "normalisation of U+%04X", (unsigned)c);
    }
    stretch->n += (size_t)n;
    return QK_OK;
}

static unsigned combining_class(utf8proc_int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Sorts one run of characters with classes above 0, stably. */
static void sort_run(utf8proc_int32_t *v, size_t n, utf8proc_int32_t *scratch)
{
    size_t starts[257] = {0};
    for (size_t i = 0; i < n; i++) {
        starts[(combining_class(v[i]) & 0xff) + 1]++;
    }
    for (size_t k = 1; k < 257; k++) {
        starts[k] += starts[k - 1];
    }
    for (size_t i = 0; i < n; i++) {
        scratch[starts[combining_class(v[i]) & 0xff]++] = v[i];
    }
    memcpy(v, scratch, n * sizeof *v);
}

static void put_in_order(struct stretch *stretch)
{
    size_t i = 0;
    while (i < stretch->n) {
        size_t begin = i;
        bool sorted = true;
        while (i < stretch->n && combining_class(stretch->v[i]) > 0) {
            sorted &= i == begin || combining_class(stretch->v[i - 1]) <= combining_class(stretch->v[i]);
            i++;
        }
        if (!sorted) {
            sort_run(stretch->v + begin, i - begin, stretch->sorted);
        }
        i += i == begin;
    }
}

/* Whether text may be cut in front of c: nothing before it can combine with it. */
static bool begins_stretch(uint32_t c)
{
    if (c < 0x300) {
        return true;
    }
    utf8proc_int32_t first[max_decomposition];
    int last = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, first, max_decomposition,
                                                 (utf8proc_option_t)(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT), &last);
    /* vowels and final consonants of Hangul; U+11A7 is neither, though utf8proc would let it vanish into a syllable */
    bool jamo = n > 0 && first[0] >= 0x1160 && first[0] <= 0x11ff && first[0] != 0x11a7;
    return n > 0 && !jamo && !qk_is_mark((uint32_t)first[0]) && combining_class(first[0]) == 0;
}

static void write_stretch(const struct stretch *stretch, const struct qk_aligned *from, size_t begin, size_t end,
                          struct qk_aligned *ret)
{
    size_t at = begin;
    bool same = true;
    char buf[4];
    for (size_t i = 0; i < stretch->n && same; i++) {
        size_t n = qk_utf8_write((uint32_t)stretch->v[i], buf);
        same = n <= end - at && memcmp(from->s + at, buf, n) == 0;
        at += n;
    }
    if (same && at == end) {
        qk_aligned_copy(ret, from, begin, end);
        return;
    }
    for (size_t i = 0; i < stretch->n; i++) {
        qk_aligned_add_char(ret, (uint32_t)stretch->v[i], from->begin[begin], from->end[end - 1]);
    }
}

static enum qk_code normalise(struct stretch *stretch, const struct qk_aligned *from, size_t begin, size_t end,
                              unsigned form, struct qk_aligned *ret, struct qk_err *err)
{
    stretch->n = 0;
    bool valid;
    uint32_t c;
    for (size_t i = begin; i < end;) {
        i += qk_utf8_read(from->s + i, end - i, &c, &valid);
        QK_TRY(decompose(stretch, c, form, err));
    }
    put_in_order(stretch);
    if ((form & QK_FORM_COMPOSED) != 0 && stretch->n > 0) {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(stretch->v, (utf8proc_ssize_t)stretch->n,
                                                      (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
        stretch->n = n < 0 ? 0 : (size_t)n;
    }
    write_stretch(stretch, from, begin, end, ret);
    return QK_OK;
}

static bool is_ascii(const char *s, size_t i, size_t end)
{
    return i >= end || (unsigned char)s[i] < 0x80;
}

enum qk_code qk_unicode_form(const struct qk_aligned *from, size_t begin, size_t end, unsigned form,
                             struct qk_aligned *ret, struct qk_err *err)
{
    struct stretch stretch = {0};
    enum qk_code code = QK_OK;
    size_t i = begin;
    while (i < end && code == QK_OK) {
        size_t from_i = i;
        while (i < end && is_ascii(from->s, i, end) && is_ascii(from->s, i + 1, end)) {
            i++;
        }
        qk_aligned_copy(ret, from, from_i, i);
        if (i == end) {
            break;
        }
        size_t stop = i, step;
        bool valid;
        uint32_t c;
        do {
            stop += qk_utf8_read(from->s + stop, end - stop, &c, &valid);
            step = stop < end ? qk_utf8_read(from->s + stop, end - stop, &c, &valid) : 0;
        } while (step > 0 && !begins_stretch(c));
        code = normalise(&stretch, from, i, stop, form, ret, err);
        i = stop;
    }
    qk_free(stretch.v);
    qk_free(stretch.sorted);
    return code;
}
