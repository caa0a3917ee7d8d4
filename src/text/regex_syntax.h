/* Regular expressions of tokenizer files, put into PCRE2's syntax.
 *
 * They are written for Oniguruma (its Ruby syntax), whose \s, \w, \b, \h, (?m) and nested classes mean something else
 * or nothing in PCRE2. \s becomes White_Space, \w the word characters of UTS 18, classes inside classes and && become
 * alternatives and lookaheads. Possessive intervals ({n,m}+ repeats in Ruby) and escapes that differ are refused.
 * Source: Oniguruma's doc/RE, pcre2pattern(3). */
#ifndef QK_TEXT_REGEX_SYNTAX_H
#define QK_TEXT_REGEX_SYNTAX_H

#include "base/str.h"

/* Appends the translation to ret. where names the field in errors. */
enum qk_code qk_regex_translate(const char *regex, const char *where, struct qk_str *ret,
                                struct qk_err *err) QK_CHECKED;

#endif
