/* JSON values as text: see json_text.h. */
#include "json_text.h"

static void add_container(struct qk_str *out, const struct qk_json *json, bool object)
{
    qk_str_addc(out, object ? '{' : '[');
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        if (c != qk_json_first(json)) {
            qk_str_add(out, ", ");
        }
        if (object) {
            qk_str_add_json(out, qk_json_key(c));
            qk_str_add(out, ": ");
        }
        qk_json_add_text(out, c);
    }
    qk_str_addc(out, object ? '}' : ']');
}

void qk_json_add_text(struct qk_str *out, const struct qk_json *json)
{
    const char *text = "";
    double number = 0.0;
    bool truth = false;
    switch (qk_json_type(json)) {
    case QK_JSON_NULL:
        qk_str_add(out, "null");
        break;
    case QK_JSON_BOOL:
        (void)qk_json_bool(json, &truth);
        qk_str_add(out, truth ? "true" : "false");
        break;
    case QK_JSON_NUMBER:
        (void)qk_json_double(json, &number);
        qk_str_add_json_double(out, number);
        break;
    case QK_JSON_STRING:
        (void)qk_json_string(json, &text);
        qk_str_add_json(out, text);
        break;
    case QK_JSON_ARRAY:
    case QK_JSON_OBJECT:
        add_container(out, json, qk_json_type(json) == QK_JSON_OBJECT);
        break;
    }
}
