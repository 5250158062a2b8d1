/* Warnings about labels of nodes that are deprecated (the reference's pkg/api/node/util.go), in its words. */
#pragma once

#include "apiserver/registry/strategy.h"

/* Why a label of nodes is deprecated; NULL: it is not. Static. */
const char *node_label_deprecation(const char *key);
/* A NodeSelectorTerm at `path`; with `check_values` what is no value of a label is told too. */
void node_term_warn(StrategyContext *context, const Value *term, bool check_values, const FieldPath *path);
/* A LabelSelector of nodes at `path`. */
void node_selector_warn(StrategyContext *context, const Value *selector, const FieldPath *path);
