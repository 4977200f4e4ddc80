// A tool that answers what it was asked: the smallest component that C makes, with no import at all.

#include <stdlib.h>
#include <string.h>

#include "compat.h"

static void set(compat_string_t *to, const char *text) { compat_string_dup(to, text); }

void exports_flowhost_roles_tool_describe(exports_flowhost_roles_tool_list_descriptor_t *ret) {
  ret->ptr = malloc(sizeof(exports_flowhost_roles_tool_descriptor_t));
  if (ret->ptr == NULL) abort();
  ret->len = 1;
  set(&ret->ptr->name, "run");
  set(&ret->ptr->title, "run");
  set(&ret->ptr->description, "run");
  set(&ret->ptr->input_schema, "{}");
  set(&ret->ptr->output_schema, "");
  ret->ptr->effects = FLOWHOST_TYPES_TYPES_EFFECTS_NONE;
  memset(&ret->ptr->annotations, 0, sizeof(ret->ptr->annotations));
}

bool exports_flowhost_roles_tool_call(exports_flowhost_roles_tool_context_t *ctx,
                                      compat_string_t *name,
                                      exports_flowhost_roles_tool_json_t *input,
                                      exports_flowhost_roles_tool_content_t *ret,
                                      exports_flowhost_roles_tool_error_t *err) {
  (void)ctx;
  if (name->len != 3 || memcmp(name->ptr, "run", 3) != 0) {
    err->tag = FLOWHOST_TYPES_TYPES_ERROR_INVALID;
    set(&err->val.invalid, "this plugin has one tool, `run`");
    return false;
  }
  static const char before[] = "{\"input\":";
  const size_t head = sizeof(before) - 1;
  ret->value.len = head + input->len + 1;
  ret->value.ptr = malloc(ret->value.len);
  if (ret->value.ptr == NULL) abort();
  memcpy(ret->value.ptr, before, head);
  memcpy(ret->value.ptr + head, input->ptr, input->len);
  ret->value.ptr[ret->value.len - 1] = '}';
  ret->parts.ptr = NULL;
  ret->parts.len = 0;
  return true;
}
