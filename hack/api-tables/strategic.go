package main

// strategicInputs: kind | original | patch, one a line.
const strategicInputs = `
# plain maps and scalars
v1/ConfigMap | {"data":{"a":"1","b":"2"}} | {"data":{"b":null,"c":"3"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":null}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":{"$patch":"delete"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":{"$patch":"replace","z":"9"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":{"$patch":"odd"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":{"$patch":5}}
v1/ConfigMap | {"data":{"a":"1"}} | {"$patch":"replace","data":{"z":"9"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"$patch":"delete"}
v1/ConfigMap | {} | {"data":{"a":null,"b":"1"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":"x"}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":["x"]}
v1/ConfigMap | {"data":"x"} | {"data":{"a":"1"}}
v1/ConfigMap | {"data":{"a":"1"}} | {"data":{"a":5}}
v1/ConfigMap | {"metadata":{"labels":{"a":"1"}}} | {"metadata":{"labels":{"b":"2"},"annotations":{"x":"y"}}}
v1/ConfigMap | {"immutable":false} | {"immutable":true,"unknown":{"a":1}}
v1/ConfigMap | {"unknown":{"a":1}} | {"unknown":{"b":1}}
# lists of objects by merge key
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}} | {"spec":{"containers":[{"name":"b","image":"z"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x"}]}} | {"spec":{"containers":[{"name":"c","image":"z"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x"},{"name":"b"}]}} | {"spec":{"containers":[{"name":"a","$patch":"delete"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x","tty":true}]}} | {"spec":{"containers":[{"name":"a","$patch":"replace"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x"},{"name":"b"}]}} | {"spec":{"containers":[{"$patch":"replace"},{"name":"z"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"x"}]}} | {"spec":{"containers":[{"image":"z"}]}}
v1/Pod | {"spec":{"containers":[{"image":"x"}]}} | {"spec":{"containers":[{"name":"a","image":"z"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":["x"]}}
v1/Pod | {"spec":{"containers":["x"]}} | {"spec":{"containers":[{"name":"a"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":[{"$patch":"delete"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":[{"$patch":"merge","name":"a"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":[{"$patch":"odd","name":"a"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":[]}}
v1/Pod | {"spec":{"containers":[]}} | {"spec":{"containers":[{"name":"a"}]}}
v1/Pod | {"spec":{}} | {"spec":{"containers":[{"name":"a","$patch":"delete"},{"name":"b","image":null}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":null}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"containers":{"name":"a"}}}
v1/Pod | {"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}]}]}} | {"spec":{"containers":[{"name":"a","env":[{"name":"Y","$patch":"delete"},{"name":"Z","value":"3"}]}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP"}]}]}} | {"spec":{"containers":[{"name":"a","ports":[{"containerPort":53,"name":"dns"},{"containerPort":443}]}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","args":["1","2"]}]}} | {"spec":{"containers":[{"name":"a","args":["3"]}]}}
v1/Pod | {"spec":{"tolerations":[{"key":"a"}]}} | {"spec":{"tolerations":[{"key":"b"}]}}
v1/Pod | {"spec":{"imagePullSecrets":[{"name":"a"}],"hostAliases":[{"ip":"1.2.3.4","hostnames":["x"]}]}} | {"spec":{"imagePullSecrets":[{"name":"b"}],"hostAliases":[{"ip":"1.2.3.4","hostnames":["y"]}]}}
v1/Pod | {"spec":{"topologySpreadConstraints":[{"topologyKey":"a","maxSkew":1}]}} | {"spec":{"topologySpreadConstraints":[{"topologyKey":"a","maxSkew":2},{"topologyKey":"b"}]}}
# duplicate keys in the original
v1/Pod | {"spec":{"containers":[{"name":"a","image":"1"},{"name":"a","image":"2"}]}} | {"spec":{"containers":[{"name":"a","image":"3"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","image":"1"},{"name":"a","image":"2"},{"name":"b"}]}} | {"spec":{"containers":[{"name":"a","$patch":"delete"}]}}
# order
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"},{"name":"b"}],"containers":[{"name":"b","image":"x"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"a"}],"containers":[{"name":"d","image":"x"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"s1"},{"name":"b"},{"name":"s2"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"n"},{"name":"a"}],"containers":[{"name":"n"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"b"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"b"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"x"},{"name":"b"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"$setElementOrder/containers":"x"}}
v1/Pod | {"spec":{"containers":[{"name":"a"}]}} | {"spec":{"$setElementOrder/nothing":[{"name":"a"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","volumeMounts":[{"name":"v","mountPath":"/b"},{"name":"w","mountPath":"/a"}]}]}} | {"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"a","$setElementOrder/volumeMounts":[{"mountPath":"/a"},{"mountPath":"/b"},{"mountPath":"/c"}],"volumeMounts":[{"mountPath":"/c","name":"u"}]}]}}
v1/Pod | {"spec":{"containers":[{"name":"a"},{"name":"b"}]}} | {"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a","$patch":"delete"}]}}
# lists of scalars
v1/Pod | {"metadata":{"finalizers":["a","b"]}} | {"metadata":{"finalizers":["b","c"]}}
v1/Pod | {"metadata":{"finalizers":["a","b"]}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}}
v1/Pod | {"metadata":{"finalizers":["a","b"]}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"$setElementOrder/finalizers":["c","b"],"finalizers":["c"]}}
v1/Pod | {"metadata":{"finalizers":["a","b"]}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":["a","b"]}}
v1/Pod | {"metadata":{"finalizers":["a"]}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":"a"}}
v1/Pod | {"metadata":{"finalizers":["a"]}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":["zz"]}}
v1/Pod | {"metadata":{}} | {"metadata":{"$deleteFromPrimitiveList/finalizers":["zz"],"finalizers":["x"]}}
v1/Pod | {"metadata":{"finalizers":["a","b","c"]}} | {"metadata":{"$setElementOrder/finalizers":["c","b","a"]}}
v1/Pod | {"metadata":{"finalizers":["a"]}} | {"metadata":{"$setElementOrder/finalizers":["a"],"finalizers":["b"]}}
# retainKeys and volumes
v1/Pod | {"spec":{"volumes":[{"name":"v","emptyDir":{}}]}} | {"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}}
v1/Pod | {"spec":{"volumes":[{"name":"v","emptyDir":{}}]}} | {"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}}
v1/Pod | {"spec":{"volumes":[{"name":"v","emptyDir":{}}]}} | {"spec":{"volumes":[{"name":"v","$retainKeys":["name"],"hostPath":{"path":"/x"}}]}}
v1/Pod | {"spec":{"volumes":[{"name":"v","emptyDir":{}}]}} | {"spec":{"volumes":[{"name":"v","$retainKeys":"name"}]}}
apps/v1/Deployment | {"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}} | {"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}
apps/v1/Deployment | {"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}} | {"spec":{"strategy":{"type":"Recreate"}}}
apps/v1/Deployment | {"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}} | {"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}
apps/v1/Deployment | {"spec":{"strategy":{"type":"RollingUpdate"}}} | {"spec":{"strategy":{"$patch":"replace","type":"Recreate"}}}
apps/v1/Deployment | {"spec":{"replicas":1,"template":{"metadata":{"annotations":{"a":"1"}},"spec":{"containers":[{"name":"c","image":"x"}]}}}} | {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}},"spec":{"containers":[{"name":"c","image":"y"}]}}}}
apps/v1/Deployment | {"spec":{"selector":{"matchLabels":{"a":"1"}}}} | {"spec":{"selector":{"matchLabels":{"b":"1"}}}}
# other kinds
v1/Service | {"spec":{"ports":[{"port":80,"targetPort":8080},{"port":443}]}} | {"spec":{"ports":[{"port":443,"name":"tls"},{"port":80,"$patch":"delete"}]}}
v1/Service | {"spec":{"ports":[{"port":80}]}} | {"spec":{"ports":[{"port":81}],"$setElementOrder/ports":[{"port":81},{"port":80}]}}
v1/ServiceAccount | {"secrets":[{"name":"a"}],"imagePullSecrets":[{"name":"p"}]} | {"secrets":[{"name":"b"}],"imagePullSecrets":[{"name":"q"}]}
v1/Node | {"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Disk","status":"False"}],"capacity":{"cpu":"1"}}} | {"status":{"conditions":[{"type":"Ready","status":"False"}],"capacity":{"memory":"1Gi"},"$setElementOrder/conditions":[{"type":"Disk"},{"type":"Ready"}]}}
v1/Node | {"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}} | {"spec":{"taints":[{"key":"b","effect":"NoExecute"}]}}
v1/Node | {"status":{"addresses":[{"type":"InternalIP","address":"1.1.1.1"},{"type":"Hostname","address":"n"}]}} | {"status":{"$setElementOrder/addresses":[{"type":"Hostname"}],"addresses":[{"type":"InternalIP","$patch":"delete"}]}}
v1/Pod | {"metadata":{"ownerReferences":[{"uid":"1","name":"a"},{"uid":"2","name":"b"}]}} | {"metadata":{"ownerReferences":[{"uid":"1","$patch":"delete"}],"uid":"x"}}
v1/Pod | {"metadata":{"managedFields":[{"manager":"a"}]}} | {"metadata":{"managedFields":[{"manager":"b"}]}}
networking.k8s.io/v1/Ingress | {"spec":{"rules":[{"host":"a"}],"tls":[{"hosts":["a"]}]}} | {"spec":{"rules":[{"host":"b"}]}}
rbac.authorization.k8s.io/v1/Role | {"rules":[{"verbs":["get"]}]} | {"rules":[{"verbs":["list"]}]}
apiregistration.k8s.io/v1/APIService | {"status":{"conditions":[{"type":"Available","status":"True"}]}} | {"status":{"conditions":[{"type":"Other","status":"True"}]}}
apiextensions.k8s.io/v1/CustomResourceDefinition | {"spec":{"versions":[{"name":"v1"}]}} | {"spec":{"versions":[{"name":"v2"}]}}
v1/Event | {"count":1} | {"count":2,"lastTimestamp":null}
v1/Pod | {"spec":{"nodeSelector":{"a":"1"},"securityContext":{"runAsUser":1}}} | {"spec":{"nodeSelector":null,"securityContext":{"fsGroup":2}}}
v1/Pod | {"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a"}]}]}}}}} | {"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}}}}
v1/Pod | {"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}} | {"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":null,"cpu":2}}}]}}
v1/Pod | {"spec":{"ephemeralContainers":[{"name":"e","image":"i"}]}} | {"spec":{"ephemeralContainers":[{"name":"f","targetContainerName":"c"}]}}
v1/Pod | {"spec":{"containers":[{"name":"a","livenessProbe":{"httpGet":{"path":"/"}}}]}} | {"spec":{"containers":[{"name":"a","livenessProbe":{"httpGet":null,"exec":{"command":["x"]}}}]}}
v1/Pod | {"spec":{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"a"}}]}}]}} | {"spec":{"volumes":[{"name":"v","projected":{"sources":[{"configMap":{"name":"b"}}]}}]}}
`
