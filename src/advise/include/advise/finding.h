/* Findings: what a run file says that a person should know before restoring anything.
 *
 * A finding rule is one const struct: a stable id, the metrics it reads, a function that gives one number, and the
 * threshold with its basis. Where the number reaches the threshold, the rule's advice follows. The table is in
 * findings.c; docs/findings.md is made of it.
 *
 * Pure; memory from the arena. */
#ifndef QK_ADVISE_FINDING_H
#define QK_ADVISE_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "advise/evidence.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum qk_severity { QK_SEVERITY_INFO, QK_SEVERITY_WARNING, QK_SEVERITY_ALARM, QK_N_SEVERITIES };
const char *qk_severity_name(enum qk_severity severity); /* "info" "warning" "alarm" */

enum qk_finding_scope { QK_FINDING_RUN, QK_FINDING_LAYER, QK_FINDING_HEAD };

struct qk_finding_rule {
    const char *id; /* kebab-case; scripts may match it */
    enum qk_severity severity;
    enum qk_finding_scope scope;
    const char *metrics; /* names in the run file, separated by ", " */
    const char *rule;    /* what the number is, in words */
    bool above;          /* true: must exceed the threshold; false: must reach it */
    double threshold;
    const char *basis;  /* where the threshold comes from */
    const char *title;  /* what it says, without a full stop */
    const char *advice; /* one or two sentences */
    /* The number, NaN where it does not exist. layer and head are 0 for RUN, head is 0 for LAYER. */
    double (*value)(const struct qk_evidence *e, size_t layer, size_t head);
};

size_t qk_finding_rule_count(void);
const struct qk_finding_rule *qk_finding_rule_at(size_t i);
const struct qk_finding_rule *qk_finding_rule_find(const char *id); /* NULL when unknown */

struct qk_finding_place {
    size_t layer, head; /* head only for rules over heads */
    double value;
};

/* A rule that applies: all its places, highest value first (then by layer and head); n_places 0 for RUN. */
struct qk_finding {
    const struct qk_finding_rule *rule;
    double value; /* of the first place, or of the run */
    size_t n_places;
    const struct qk_finding_place *places;
};

/* All findings: alarms first, then warnings, then infos, each in table order. Cost: rules × layers × heads. */
enum qk_code qk_findings_of(const struct qk_evidence *e, struct qk_arena *arena, const struct qk_finding **ret,
                            size_t *ret_n, struct qk_err *err) QK_CHECKED;

/* docs/findings.md. add_text appends a text with Markdown's characters escaped. */
void qk_findings_markdown(struct qk_str *out, void (*add_text)(struct qk_str *out, const char *s));

#endif
