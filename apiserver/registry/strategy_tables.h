/* One line for each file of kinds: TABLE(strategies_pods) for what kinds_pods.c exports as
 * `const StrategyTable strategies_pods`. Included several times by strategies.c: no include guard, on purpose. */
TABLE(strategies_pods)
TABLE(strategies_workloads)
TABLE(strategies_core)
TABLE(strategies_services)
TABLE(strategies_config)
TABLE(strategies_quota)
TABLE(strategies_rbac)
TABLE(strategies_volumes)
TABLE(strategies_network)
TABLE(strategies_storage)
TABLE(strategies_admission)
TABLE(strategies_apiservices)
