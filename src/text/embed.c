/* Build tool: writes a file as a C array.  embed KIND NAME FILE OUT.c defines `const struct qk_KIND qk_KIND_NAME` of
 * KIND.h, which has the bytes and their number. */
#include <stdio.h>

static int embed(const char *kind, const char *name, FILE *in, FILE *out)
{
    unsigned long n = 0;
    fprintf(out, "#include \"%s.h\"\n\nstatic const char bytes[] = {", kind);
    for (int c = getc(in); c != EOF; c = getc(in), n++) {
        fprintf(out, "%s%d,", n % 24 == 0 ? "\n    " : " ", c < 128 ? c : c - 256);
    }
    fprintf(out, "%s0,\n};\n\nconst struct qk_%s qk_%s_%s = {bytes, %luu};\n", n % 24 == 0 ? "\n    " : " ", kind, kind,
            name, n);
    return ferror(in) || ferror(out);
}

int main(int argc, char **argv)
{
    FILE *in = argc == 5 ? fopen(argv[3], "rb") : NULL, *out = in ? fopen(argv[4], "wb") : NULL;
    if (!in || !out) {
        return 2;
    }
    int failed = embed(argv[1], argv[2], in, out);
    return fclose(out) != 0 || fclose(in) != 0 || failed;
}
