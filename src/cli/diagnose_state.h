/* What of a diagnosis is complete: DIR/steps/state, a text file, one fact a line:
 *
 *   qkscope-diagnose 1
 *   NAME VALUE                    the inputs and options that it was begun with
 *   done:STEP COMMAND OUTPUT    SHA-256 of the command line and of what it wrote
 *
 * While a diagnosis is at work, DIR/steps/lock is locked, by its running step too. Private to src/cli. */
#ifndef QK_CLI_DIAGNOSE_STATE_H
#define QK_CLI_DIAGNOSE_STATE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

struct qk_diagnose_state;

/* Locks DIR. With resume, reads the state that is there; *ret_resumed tells whether there was one. QK_EUSAGE when
 * another diagnosis is at work there. Memory from arena; the lock is held as long as the process lives. */
enum qk_code qk_diagnose_state_open(const char *dir, bool resume, struct qk_arena *arena,
                                    struct qk_diagnose_state **ret, bool *ret_resumed, struct qk_err *err) QK_CHECKED;
/* States an input or option. QK_EMISMATCH when the state that was read says otherwise. value NULL: "-". */
enum qk_code qk_diagnose_state_fact(struct qk_diagnose_state *state, const char *name, const char *value,
                                    struct qk_err *err) QK_CHECKED;
/* What the state that was read says; NULL when nothing. */
const char *qk_diagnose_state_find(const struct qk_diagnose_state *state, const char *name);
/* Whether the step was completed with this command line and its output is still what it was. */
bool qk_diagnose_state_is_done(const struct qk_diagnose_state *state, const char *step, const char *command,
                               const char *output);
/* Notes that it is complete. write: to the file too; a step that was complete before is in it already, with those
 * behind it. */
enum qk_code qk_diagnose_state_done(struct qk_diagnose_state *state, const char *step, const char *command,
                                    const char *output, bool write, struct qk_err *err) QK_CHECKED;
/* SHA-256 of a file, or of DIR/qkscope.json. ret: 65 bytes. */
enum qk_code qk_diagnose_hash(const char *path, char *ret, struct qk_err *err) QK_CHECKED;

#endif
