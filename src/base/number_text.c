/* Numbers to text and back, independent of the locale's decimal point: see base/str.h. */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale(void)
{
    static locale_t locale;
    locale_t now = __atomic_load_n(&locale, __ATOMIC_ACQUIRE);
    if (now == (locale_t)0) {
        now = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        locale_t none = (locale_t)0;
        if (!__atomic_compare_exchange_n(&locale, &none, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            freelocale(now);
            now = none;
        }
    }
    return now;
}

void qk_str_add_double(struct qk_str *str, double value)
{
    if (!isfinite(value)) {
        qk_str_add(str, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    locale_t old = uselocale(c_locale());
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    uselocale(old);
    qk_str_add(str, text);
}

void qk_str_add_json_double(struct qk_str *str, double value)
{
    if (isfinite(value)) {
        qk_str_add_double(str, value);
    } else {
        qk_str_add(str, "null");
    }
}

void qk_str_add_bytes(struct qk_str *str, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        qk_str_addf(str, "%u B", (unsigned)bytes);
        return;
    }
    double x = (double)bytes / 1000;
    size_t u = 0;
    while (x >= 999.5 && u + 1 < sizeof units / sizeof units[0]) {
        x /= 1000;
        u++;
    }
    locale_t old = uselocale(c_locale());
    qk_str_addf(str, x < 9.95 ? "%.1f %s" : "%.0f %s", x, units[u]);
    uselocale(old);
}

bool qk_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
    if (*s == 0) {
        return false;
    }
    uint64_t value = 0;
    for (; *s != 0; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value)) {
            return false;
        }
    }
    if (value < min || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool qk_parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
    static const struct {
        const char *suffixes;
        uint64_t factor;
    } units[] = {{"kK", 1024}, {"mM", 1048576}};
    char digits[24];
    size_t len = strlen(s);
    uint64_t n, factor = 1;
    for (size_t i = 0; len > 1 && factor == 1 && i < sizeof units / sizeof units[0]; i++) {
        factor = strchr(units[i].suffixes, s[len - 1]) != NULL ? units[i].factor : 1;
    }
    len -= factor > 1 ? 1 : 0;
    if (factor == 1 || len >= sizeof digits) {
        return qk_parse_u64(s, min, max, ret);
    }
    memcpy(digits, s, len);
    digits[len] = '\0';
    if (!qk_parse_u64(digits, 0, max / factor, &n) || n * factor < min) {
        return false;
    }
    *ret = n * factor;
    return true;
}

bool qk_parse_double(const char *s, double *ret)
{
    if (strchr(" \t\n\r\v\f", *s) != NULL) { /* an empty string too: strchr finds the NUL */
        return false;
    }
    char *end;
    double value = strtod_l(s, &end, c_locale());
    if (end == s || *end != 0) {
        return false;
    }
    *ret = value;
    return true;
}
