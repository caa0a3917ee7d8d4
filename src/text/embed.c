/* Build tool: writes a file as a C array.  embed NAME FILE OUT.c defines `const struct qk_builtin qk_builtin_NAME`. */
#include <stdio.h>

static int embed(const char *name, FILE *in, FILE *out)
{
    unsigned long n = 0;
    fprintf(out, "/* Made from a file of builtin/. */\n#include \"builtin.h\"\n\nstatic const char bytes[] = {");
    for (int c = getc(in); c != EOF; c = getc(in), n++) {
        fprintf(out, "%s%d,", n % 24 == 0 ? "\n    " : " ", c < 128 ? c : c - 256);
    }
    fprintf(out, "%s0,\n};\n\nconst struct qk_builtin qk_builtin_%s = {bytes, %luu};\n", n % 24 == 0 ? "\n    " : " ",
            name, n);
    return ferror(in) || ferror(out);
}

int main(int argc, char **argv)
{
    FILE *in = argc == 4 ? fopen(argv[2], "rb") : NULL, *out = in ? fopen(argv[3], "wb") : NULL;
    if (!in || !out) {
        return 2;
    }
    int failed = embed(argv[1], in, out);
    return fclose(out) != 0 || fclose(in) != 0 || failed;
}
