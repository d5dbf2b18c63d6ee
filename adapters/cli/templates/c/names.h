// Short names for what the bindings call by their whole path.
#pragma once

#include "bindings/policy.h"

typedef exports_scopegate_policy_rules_caller_t caller_t;
typedef exports_scopegate_policy_rules_request_t request_t;
typedef exports_scopegate_policy_rules_decision_t decision_t;
typedef exports_scopegate_policy_rules_clusters_t clusters_t;
typedef exports_scopegate_policy_rules_list_field_t fields_t;
typedef exports_scopegate_policy_rules_description_t description_t;
typedef policy_string_t string_t;
typedef policy_list_string_t strings_t;

// Such as NAME(REASON_NO_ROUTE).
#define NAME(what) EXPORTS_SCOPEGATE_POLICY_RULES_##what
