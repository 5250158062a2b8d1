/* Services, in four files: kinds_services.c is the strategy, service_alloc.c gives addresses and ports,
 * service_validate.c checks, and service_facts.c tells what a spec says. */
#pragma once

#include "apiserver/registry/checks.h"
#include "apiserver/registry/reservations.h"

bool service_needs_cluster_ip(const Value *spec); /* any type but ExternalName */
bool service_needs_health_check(const Value *spec);
bool service_is_reachable(const Value *spec); /* from outside: ExternallyAccessible */
bool service_is_headless(const Value *spec);  /* clusterIPs is exactly [None] */
bool service_has_type(const Value *spec, const char *type);

int service_allocate_for_create(StrategyContext *context, Value *service, ApiError *err);
int service_allocate_for_update(StrategyContext *context, Value *service, const Value *old, ApiError *err);
/* Gives back what `service` names and `keeper` (NULL: nobody) does not. */
void service_release(StrategyContext *context, const Value *service, const Value *keeper);

void service_validate(StrategyContext *context, const Value *service, FieldErrors *errors);
void service_validate_update(StrategyContext *context, const Value *service, const Value *old, FieldErrors *errors);
void service_validate_status_update(StrategyContext *context, const Value *service, const Value *old,
                                    FieldErrors *errors);
/* clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy against each other. `old` may be NULL. */
void service_validate_ip_fields(FieldErrors *errors, const Value *service, const Value *old);
