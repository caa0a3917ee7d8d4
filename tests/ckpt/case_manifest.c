/* Parsing the manifest of malformed checkpoints: see case_manifest.h and the manifest's own head. */
#include "case_manifest.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(bool fine, const char *what, const char *where)
{
    if (!fine) {
        fprintf(stderr, "malformed-case manifest: %s: %s\n", what, where);
        abort();
    }
}

/* The next word of *p, owned by the caller; *p goes behind it and one space. */
static char *word(char **p)
{
    size_t n = strcspn(*p, " ");
    char *w = strndup(*p, n);
    check(w != NULL && n > 0, "word missing", *p);
    *p += n + ((*p)[n] == ' ');
    return w;
}

struct bytes {
    char *s;
    size_t n;
};

static void put(struct bytes *b, char c)
{
    if ((b->n & (b->n - 1)) == 0) {
        b->s = realloc(b->s, b->n == 0 ? 1 : b->n * 2);
        check(b->s != NULL, "out of memory", "");
    }
    b->s[b->n++] = c;
}

/* Resolves the manifest's escapes. */
static struct bytes unescape(const char *p)
{
    static const char from[] = "nrt\\", to[] = "\n\r\t\\";
    struct bytes b = {0};
    while (*p != 0) {
        if (*p != '\\') {
            put(&b, *p++);
            continue;
        }
        p++;
        const char *known = *p == 0 ? NULL : strchr(from, *p);
        if (known != NULL) {
            put(&b, to[known - from]);
            p++;
        } else if (*p == 'x') {
            char hex[3] = {p[1], p[1] == 0 ? (char)0 : p[2], 0};
            check(isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]), "bad \\x", p);
            put(&b, (char)strtoul(hex, NULL, 16));
            p += 3;
        } else if (*p == '{') {
            char *colon;
            unsigned long times = strtoul(p + 1, &colon, 10);
            const char *end = *colon == ':' ? strchr(colon, '}') : NULL;
            check(end != NULL, "bad repetition", p);
            if (end[1] == '}' && end == colon + 1) { /* the repeated text is '}' itself */
                end++;
            }
            for (unsigned long i = 0; i < times; i++) {
                for (const char *q = colon + 1; q < end; q++) {
                    put(&b, *q);
                }
            }
            p = end + 1;
        } else {
            check(false, "unknown escape", p - 1);
        }
    }
    return b;
}

/* length, header and n_data bytes. */
static struct bytes frame(uint64_t length, struct bytes header, size_t n_data)
{
    struct bytes b = {calloc(8 + header.n + n_data, 1), 8 + header.n + n_data};
    check(b.s != NULL, "out of memory", "");
    for (size_t i = 0; i < 8; i++) {
        b.s[i] = (char)(length >> (8 * i));
    }
    if (header.n > 0) {
        memcpy(b.s + 8, header.s, header.n);
    }
    free(header.s);
    return b;
}

static size_t number(char **p)
{
    char *w = word(p), *end;
    size_t value = strtoull(w, &end, 10);
    check(*end == 0, "bad number", w);
    free(w);
    return value;
}

static bool parse_file(struct malformed_case *c, const char *directive, char *rest)
{
    static const struct {
        const char *directive;
        char kind;
    } kinds[] = {{"safetensors", 's'}, {"framed", 's'}, {"text", 't'}, {"sparse", 'z'},
                 {"fifo", 'p'},        {"dir", 'd'},    {"link", 'l'}, {"no", 'n'}};
    size_t k = 0;
    while (k < sizeof kinds / sizeof kinds[0] && strcmp(kinds[k].directive, directive) != 0) {
        k++;
    }
    if (k == sizeof kinds / sizeof kinds[0]) {
        return false;
    }
    check(c->n_files < max_files, "too many files", c->name);
    struct case_file *f = &c->files[c->n_files++];
    struct bytes b = {0};
    f->kind = kinds[k].kind;
    f->name = word(&rest);
    if (f->kind == 's') {
        bool framed = strcmp(directive, "framed") == 0;
        uint64_t length = framed ? number(&rest) : 0;
        size_t n_data = number(&rest);
        struct bytes header = unescape(rest);
        b = frame(framed ? length : header.n, header, n_data);
    } else if (f->kind == 't' || f->kind == 'l') {
        b = unescape(rest);
        if (f->kind == 'l') {
            put(&b, 0);
        }
    } else if (f->kind == 'z') {
        f->sparse = number(&rest);
    }
    f->bytes = b.s;
    f->n = b.n;
    return true;
}

static void parse_line(struct malformed_case *c, char *line)
{
    char *rest = line, *directive = word(&rest);
    if (parse_file(c, directive, rest)) {
        free(directive);
        return;
    }
    struct {
        const char *directive;
        char **field;
    } texts[] = {{"at", &c->at}, {"hint", &c->hint}, {"rules", &c->rules}, {"fails", &c->text}};
    bool known = strcmp(directive, "passes") == 0;
    c->passes = c->passes || known;
    if (strcmp(directive, "fails") == 0) {
        c->code = word(&rest);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(directive, texts[i].directive) == 0) {
            check(*texts[i].field == NULL, "directive given twice", line);
            *texts[i].field = strdup(rest);
            known = true;
        }
    }
    check(known, "unknown directive", line);
    free(directive);
}

struct malformed_case *case_manifest_load(const char *path, size_t *ret_n)
{
    FILE *stream = fopen(path, "r");
    check(stream != NULL, "cannot open", path);
    struct malformed_case *cases = NULL;
    size_t n = 0, cap = 0;
    char *line = NULL;
    for (ssize_t len; (len = getline(&line, &cap, stream)) > 0;) {
        if (line[len - 1] == '\n') {
            line[len - 1] = 0;
        }
        if (line[0] == 0 || line[0] == '#') {
            continue;
        }
        if (strncmp(line, "case ", 5) == 0) {
            cases = realloc(cases, (n + 1) * sizeof *cases);
            check(cases != NULL, "out of memory", line);
            cases[n++] = (struct malformed_case){.name = strdup(line + 5)};
        } else {
            check(n > 0, "directive in front of the first case", line);
            parse_line(&cases[n - 1], line);
        }
    }
    free(line);
    fclose(stream);
    *ret_n = n;
    return cases;
}

void case_manifest_free(struct malformed_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct malformed_case *c = &cases[i];
        for (size_t f = 0; f < c->n_files; f++) {
            free(c->files[f].name);
            free(c->files[f].bytes);
        }
        free(c->name);
        free(c->at);
        free(c->code);
        free(c->text);
        free(c->hint);
        free(c->rules);
    }
    free(cases);
}

static void write_file(const char *path, const char *bytes, size_t n, size_t sparse)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool fine = fd >= 0 && write(fd, bytes == NULL ? "" : bytes, n) == (ssize_t)n &&
                (sparse == 0 || ftruncate(fd, (off_t)sparse) == 0);
    check(fine && close(fd) == 0, "cannot write", path);
}

void case_write(const struct malformed_case *c, const char *dir)
{
    static const char config[] = "{\"model_type\":\"llama\"}";
    bool own_config = false;
    char path[4096];
    for (size_t i = 0; i < c->n_files; i++) {
        const struct case_file *f = &c->files[i];
        snprintf(path, sizeof path, "%s/%s", dir, f->name);
        own_config = own_config || strcmp(f->name, "config.json") == 0;
        if (f->kind == 'p') {
            check(mkfifo(path, 0600) == 0, "mkfifo", path);
        } else if (f->kind == 'd') {
            check(mkdir(path, 0700) == 0, "mkdir", path);
        } else if (f->kind == 'l') {
            check(symlink(f->bytes, path) == 0, "symlink", path);
        } else if (f->kind != 'n') {
            write_file(path, f->bytes, f->n, f->sparse);
        }
    }
    if (!own_config) {
        snprintf(path, sizeof path, "%s/config.json", dir);
        write_file(path, config, sizeof config - 1, 0);
    }
}
