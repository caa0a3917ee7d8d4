/* Text in a gnuplot script: see label.h. */
#include "label.h"

#include <stdint.h>
#include <string.h>

enum { MAX_NAME_CHARS = 24 };

struct glyph {
    const char *utf8;
    const char *tex;  /* in text */
    const char *math; /* inside $…$ */
};

/* Characters beyond ASCII that our own labels use. LaTeX has no glyph for them without packages. */
static const struct glyph glyphs[] = {
    {"τ", "$\\tau$", "\\tau "},       {"θ", "$\\theta$", "\\theta "}, {"Δ", "$\\Delta$", "\\Delta "},
    {"λ", "$\\lambda$", "\\lambda "}, {"‖", "$\\|$", "\\|"},          {"×", "$\\times$", "\\times "},
    {"≤", "$\\leq$", "\\leq "},       {"≥", "$\\geq$", "\\geq "},     {"–", "--", "-"},
    {"…", "\\dots{}", "\\dots "},     {"·", "$\\cdot$", "\\cdot "},   {"²", "$^2$", "^2"},
    {"°", "$^\\circ$", "^\\circ "},   {"π", "$\\pi$", "\\pi "},       {"−", "$-$", "-"},
};
enum { N_GLYPHS = sizeof glyphs / sizeof glyphs[0] };

struct escape {
    char c;
    const char *text;
};

static const struct escape enhanced_escapes[] = {
    {'_', "\\_"}, {'^', "\\^"}, {'{', "\\{"},   {'}', "\\}"}, {'@', "\\@"},
    {'&', "\\&"}, {'~', "\\~"}, {'\\', "\\\\"}, {'\'', "''"},
};

static const struct escape tex_escapes[] = {
    {'#', "\\#"},
    {'$', "\\$"},
    {'%', "\\%"},
    {'&', "\\&"},
    {'_', "\\_"},
    {'{', "\\{"},
    {'}', "\\}"},
    {'~', "\\textasciitilde{}"},
    {'^', "\\textasciicircum{}"},
    {'\\', "\\textbackslash{}"},
    {'\'', "''"},
    {'`', "\\`{}"},
    {'<', "\\textless{}"},
    {'>', "\\textgreater{}"},
    {'|', "\\textbar{}"},
    {'"', "\\char34{}"},
    {'[', "{[}"},
    {']', "{]}"},
    {'-', "{-}"},
};

static size_t utf8_len(const char *s)
{
    unsigned char c = (unsigned char)s[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    size_t have = strnlen(s, n);
    return have < n ? have : n;
}

static const struct glyph *glyph_at(const char *s)
{
    for (size_t i = 0; i < N_GLYPHS; i++) {
        if (qk_str_starts(s, glyphs[i].utf8)) {
            return &glyphs[i];
        }
    }
    return NULL;
}

/* Latin-1 letters that LaTeX composes in its default font encoding: C3 80–BF without Ð × Ý Þ ð ÷ ý þ and the like. */
static bool tex_has_letter(const char *s)
{
    unsigned char a = (unsigned char)s[0], b = (unsigned char)s[1];
    return a == 0xc3 && b >= 0x80 && b <= 0xbf && b != 0x90 && b != 0x97 && b != 0x9e && b != 0xb0 && b != 0xb7 &&
           b != 0xbe;
}

static void add_char(struct qk_str *out, const char *s, size_t n, bool tex)
{
    if (n == 1) {
        const struct escape *list = tex ? tex_escapes : enhanced_escapes;
        size_t len = tex ? sizeof tex_escapes / sizeof *list : sizeof enhanced_escapes / sizeof *list;
        for (size_t i = 0; i < len; i++) {
            if (list[i].c == s[0]) {
                qk_str_add(out, list[i].text);
                return;
            }
        }
        qk_str_addc(out, (unsigned char)s[0] < 0x20 || s[0] == 0x7f ? '?' : s[0]);
        return;
    }
    const struct glyph *glyph = tex ? glyph_at(s) : NULL;
    if (glyph != NULL) {
        qk_str_add(out, glyph->tex);
    } else if (tex && !tex_has_letter(s)) {
        qk_str_addc(out, '?');
    } else {
        qk_str_addn(out, s, n);
    }
}

/* A name, its middle left out when it is long. */
static void add_name(struct qk_str *out, const char *name, bool tex)
{
    size_t n_chars = 0;
    for (const char *s = name; *s != '\0'; s += utf8_len(s)) {
        n_chars++;
    }
    size_t head = (MAX_NAME_CHARS - 1) / 2, tail = MAX_NAME_CHARS - 1 - head;
    size_t i = 0;
    for (const char *s = name; *s != '\0'; s += utf8_len(s), i++) {
        if (n_chars <= MAX_NAME_CHARS || i < head || i >= n_chars - tail) {
            add_char(out, s, utf8_len(s), tex);
        } else if (i == head) {
            add_char(out, "…", strlen("…"), tex);
        }
    }
}

static void add_math_char(struct qk_str *out, const char *s, size_t n, bool tex)
{
    const struct glyph *glyph = tex ? glyph_at(s) : NULL;
    if (glyph != NULL) {
        qk_str_add(out, glyph->math);
    } else {
        qk_str_addn(out, s, n);
    }
}

static void add_form(struct qk_str *out, const char *markup, const char *const *names, bool tex)
{
    bool math = false;
    qk_str_addc(out, '\'');
    for (const char *s = markup; *s != '\0'; s += utf8_len(s)) {
        if (*s == '$') {
            math = !math;
            if (tex) {
                qk_str_addc(out, '$');
            }
        } else if (*s == '@' && names != NULL) {
            add_name(out, *names++, tex);
        } else if (math) {
            add_math_char(out, s, utf8_len(s), tex);
        } else {
            add_char(out, s, utf8_len(s), tex);
        }
    }
    qk_str_addc(out, '\'');
}

void qk_label_add(struct qk_str *out, const char *markup, const char *const *names)
{
    struct qk_str plain = {0}, tex = {0};
    add_form(&plain, markup, names, false);
    add_form(&tex, markup, names, true);
    if (plain.failed || tex.failed) {
        out->failed = true;
    } else if (strcmp(plain.s, tex.s) == 0) {
        qk_str_add(out, plain.s);
    } else {
        qk_str_addf(out, "(tex ? %s : %s)", tex.s, plain.s);
    }
    qk_str_release(&plain);
    qk_str_release(&tex);
}
