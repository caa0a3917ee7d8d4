/* qkscope tokenize CKPT [FILE|-]: text to ids with the checkpoint's tokenizer, and back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/str.h"
#include "ckpt/json.h"
#include "cli/command.h"
#include "text/tokenizer.h"

/* ---- input ---- */

static enum qk_code read_stdin(struct qk_str *ret, struct qk_err *err)
{
    static char block[1 << 16];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, block, sizeof block);
        if (n == 0) {
            return ret->failed ? qk_fail_nomem(err, "standard input") : QK_OK;
        }
        if (n < 0 && errno != EINTR) {
            return qk_fail_errno(err, "standard input", "read");
        }
        if (n > 0) {
            qk_str_addn(ret, block, (size_t)n);
        }
        QK_TRY(qk_interrupt_check(err));
        if (ret->len > qk_tokenizer_max_text) {
            return qk_fail(err, QK_EUNSUPPORTED, "standard input: too long (expected at most %d bytes)",
                           qk_tokenizer_max_text);
        }
    }
}

static enum qk_code read_input(struct qk_cli *cli, const char **ret_source, struct qk_str *ret, struct qk_err *err)
{
    const char *path = qk_cli_n_operands(cli) > 1 ? qk_cli_operand(cli, 1) : "-";
    *ret_source = qk_streq(path, "-") ? "standard input" : path;
    if (qk_streq(path, "-")) {
        return read_stdin(ret, err);
    }
    char *text;
    size_t n;
    QK_TRY(qk_file_slurp(path, qk_tokenizer_max_text, &text, &n, err));
    qk_str_addn(ret, text, n);
    qk_free(text);
    return ret->failed ? qk_fail_nomem(err, path) : QK_OK;
}

/* ---- to ids ---- */

static void add_json_list(struct qk_str *out, const struct qk_tokenizer *tokenizer, const struct qk_encoding *encoding)
{
    qk_str_add(out, "{\"ids\": [");
    for (size_t i = 0; i < encoding->n; i++) {
        qk_str_addf(out, "%s%lu", i > 0 ? ", " : "", (unsigned long)encoding->ids[i]);
    }
    qk_str_add(out, "],\n \"pieces\": [");
    for (size_t i = 0; i < encoding->n; i++) {
        qk_str_add(out, i > 0 ? ", " : "");
        qk_str_add_json(out, qk_tokenizer_piece(tokenizer, encoding->ids[i]));
    }
    qk_str_add(out, "]}\n");
}

static void add_lines(struct qk_str *out, const struct qk_tokenizer *tokenizer, const struct qk_encoding *encoding)
{
    for (size_t i = 0; i < encoding->n; i++) {
        qk_str_addf(out, "%lu\t%zu\t%zu\t", (unsigned long)encoding->ids[i], encoding->spans[i].begin,
                    encoding->spans[i].end);
        for (const char *p = qk_tokenizer_piece(tokenizer, encoding->ids[i]); *p != 0; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                qk_str_addf(out, "\\x%02x", (unsigned)(unsigned char)*p);
            } else {
                qk_str_addc(out, *p);
            }
        }
        qk_str_addc(out, '\n');
    }
}

static enum qk_code show_ids(struct qk_cli *cli, const struct qk_tokenizer *tokenizer, const struct qk_str *input,
                             struct qk_str *out, struct qk_err *err)
{
    struct qk_encoding encoding = {0};
    QK_TRY(qk_tokenizer_encode(tokenizer, input->len > 0 ? input->s : "", input->len, !qk_cli_flag(cli, "no-special"),
                               &encoding, err));
    if (qk_cli_json(cli)) {
        add_json_list(out, tokenizer, &encoding);
    } else {
        add_lines(out, tokenizer, &encoding);
    }
    qk_encoding_release(&encoding);
    return QK_OK;
}

/* ---- to text ---- */

struct id_list {
    uint32_t *ids;
    size_t n, cap;
};

static enum qk_code add_id(struct id_list *list, uint64_t id, struct qk_err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap * 2 + 64;
        uint32_t *ids = qk_realloc(list->ids, cap, sizeof *ids);
        if (ids == NULL) {
            return qk_fail_nomem(err, "ids");
        }
        list->ids = ids;
        list->cap = cap;
    }
    list->ids[list->n++] = id > UINT32_MAX ? UINT32_MAX : (uint32_t)id; /* which names no token either */
    return QK_OK;
}

static enum qk_code parse_json_ids(const char *text, size_t len, const char *source, struct id_list *list,
                                   struct qk_err *err)
{
    struct qk_json *root;
    QK_TRY(qk_json_parse(text, len, source, &root, err));
    const struct qk_json *ids = qk_json_type(root) == QK_JSON_OBJECT ? qk_json_get(root, "ids") : root;
    enum qk_code code = QK_OK;
    if (ids == NULL || qk_json_type(ids) != QK_JSON_ARRAY) {
        code = qk_fail(err, QK_EFORMAT, "%s: ids: expected an array", source);
        ids = NULL;
    }
    for (const struct qk_json *c = qk_json_first(ids); c != NULL && code == QK_OK; c = qk_json_next(c)) {
        uint64_t id;
        code = qk_json_u64(c, &id) ? add_id(list, id, err)
                                   : qk_fail(err, QK_EFORMAT, "%s: ids[%zu]: expected a whole number", source, list->n);
    }
    qk_json_free(root);
    return code;
}

static enum qk_code parse_plain_ids(const char *text, size_t len, const char *source, struct id_list *list,
                                    struct qk_err *err)
{
    static const char between[] = " \t\r\n,";
    const char *p = text, *end = text + len;
    while (p < end) {
        if (*p != 0 && strchr(between, *p) != NULL) {
            p++;
            continue;
        }
        char word[24];
        size_t n = 0;
        while (p < end && (*p == 0 || strchr(between, *p) == NULL) && n < sizeof word - 1) {
            word[n++] = *p++;
        }
        word[n] = 0;
        uint64_t id;
        if (strlen(word) != n || !qk_parse_u64(word, 0, UINT64_MAX, &id)) {
            return qk_fail(err, QK_EFORMAT, "%s: '%s' is not an id", source, word);
        }
        QK_TRY(add_id(list, id, err));
    }
    return QK_OK;
}

static enum qk_code parse_ids(const struct qk_str *input, const char *source, struct id_list *list, struct qk_err *err)
{
    size_t mark = qk_utf8_mark(input->s, input->len), len = input->len - mark;
    const char *text = len > 0 ? input->s + mark : "";
    char first = text[strspn(text, " \t\r\n")];
    return first == '{' || first == '[' ? parse_json_ids(text, len, source, list, err)
                                        : parse_plain_ids(text, len, source, list, err);
}

static enum qk_code show_text(struct qk_cli *cli, const struct qk_tokenizer *tokenizer, const struct qk_str *input,
                              const char *source, struct qk_str *out, struct qk_err *err)
{
    struct id_list list = {0};
    enum qk_code code = parse_ids(input, source, &list, err);
    if (code == QK_OK) {
        unsigned flags = qk_cli_flag(cli, "no-special") ? QK_DECODE_SKIP_SPECIAL : 0;
        code = qk_tokenizer_decode(tokenizer, list.ids, list.n, flags, out, err);
        if (code != QK_OK) {
            qk_err_context(err, "%s", source);
        }
    }
    qk_free(list.ids);
    return code;
}

/* ---- the command ---- */

static enum qk_code convert(struct qk_cli *cli, const struct qk_tokenizer *tokenizer, struct qk_str *out,
                            struct qk_err *err)
{
    struct qk_str input = {0};
    const char *source;
    enum qk_code code = read_input(cli, &source, &input, err);
    if (code == QK_OK) {
        code = qk_cli_flag(cli, "decode") ? show_text(cli, tokenizer, &input, source, out, err)
                                          : show_ids(cli, tokenizer, &input, out, err);
    }
    qk_str_release(&input);
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    if (qk_cli_flag(cli, "decode") && qk_cli_json(cli)) {
        return qk_fail(err, QK_EUSAGE, "--decode writes text; it does not go with --json");
    }
    const char *name, *path;
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, 0), &name, &path, err));
    struct qk_tokenizer *tokenizer;
    QK_TRY(qk_tokenizer_open(path, &tokenizer, err));
    struct qk_str out = {0};
    enum qk_code code = convert(cli, tokenizer, &out, err);
    qk_tokenizer_free(tokenizer);
    if (code != QK_OK) {
        qk_str_release(&out);
        return code;
    }
    return qk_cli_print_str(cli, &out, err);
}

static const struct qk_option options[] = {
    {"decode", 'd', QK_OPT_FLAG, NULL, NULL, NULL,
     "Read ids and write their text: whole numbers between spaces, commas or line ends, a JSON array, or an object "
     "with "
     "\"ids\" as --json writes it."},
    {"no-special", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "Leave out the special tokens that the tokenizer puts around a text; with --decode, all special tokens."},
    {NULL},
};

static const char *const operand_help[] = {
    "CKPT", "A checkpoint with a tokenizer.json, or a tokenizer.json itself.",
    "FILE", "The text (or, with --decode, the ids); '-', the default, is standard input.",
    NULL,
};

static const char *const examples[] = {
    "qkscope tokenize examples/amnesia/base examples/amnesia/haystack.txt | wc -l",
    "How many tokens a file has.",
    "qkscope tokenize CKPT text.txt",
    "One line per token: id, first byte, end, spelling.",
    "qkscope tokenize --json CKPT text.txt | qkscope tokenize --decode --no-special CKPT",
    "There and back: the bytes of text.txt.",
    NULL,
};

const struct qk_command qk_cmd_tokenize = {
    .name = "tokenize",
    .summary = "turn text into the ids of a checkpoint's tokenizer, or back",
    .operands = "CKPT [FILE]",
    .min_operands = 1,
    .max_operands = 2,
    .description =
        "Reads the checkpoint's tokenizer.json: byte-pair encoding over bytes (GPT-2, Llama 3, Qwen) or over "
        "characters "
        "with byte fallback (SentencePiece style). Ids and text are those of the Hugging Face tokenizers library; what "
        "a "
        "file asks for and qkscope does not know is an error that names the field. Truncation and padding in the file "
        "are ignored.\n\n"
        "Prints one line per token, separated by tabs: its id, the first byte of the text that it stands for and the "
        "byte after the last (both the same for tokens without text), and its spelling in the vocabulary, where "
        "byte-level "
        "tokenizers write a space as Ġ and a newline as Ċ, others a space as ▁. --json prints an object with ids and "
        "pieces, the spellings.\n\n"
        "The input is taken byte for byte, line ends and a last newline included. What is not UTF-8 becomes U+FFFD, "
        "the "
        "replacement character, one for each broken sequence, as Python's decode(errors='replace') does it. The "
        "spelling of a special token in the text becomes that token.\n\n"
        "--decode writes text byte for byte, without a newline at the end. Ids that end inside a character give U+FFFD "
        "there; an id that names no token is an error.",
    .common = QK_COMMON_JSON,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
