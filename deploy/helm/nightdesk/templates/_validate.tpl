{{/* What the schema cannot say: one value against another. Each message says what to do. */}}
{{- define "nightdesk.validate" -}}
{{- $values := .Values -}}
{{- if not $values.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is empty: say where the broker is, as in --set kafka.bootstrapServers=kafka.data:9092" -}}
{{- end -}}
{{- if not $values.schemaRegistry.url -}}
{{- fail "schemaRegistry.url is empty: say where the registry is, as in --set schemaRegistry.url=http://registry.data:8081" -}}
{{- end -}}
{{- if not (or $values.clickhouse.url $values.clickhouse.existingSecret) -}}
{{- fail "neither clickhouse.url nor clickhouse.existingSecret is set: name a Secret whose key `url` holds http://user:password@host:8123/database" -}}
{{- end -}}
{{- if and $values.clickhouse.url $values.clickhouse.existingSecret -}}
{{- fail "clickhouse.url and clickhouse.existingSecret are both set: remove one" -}}
{{- end -}}
{{- if and (hasPrefix "SASL" $values.kafka.securityProtocol) (not $values.kafka.sasl.existingSecret) -}}
{{- fail (printf "kafka.securityProtocol is %s, but kafka.sasl.existingSecret is empty: name the Secret that holds user name and password" $values.kafka.securityProtocol) -}}
{{- end -}}
{{- if and $values.charters.files $values.charters.existingConfigMap -}}
{{- fail "charters.files and charters.existingConfigMap are both set: remove one" -}}
{{- end -}}
{{- if $values.console.enabled -}}
{{- if not (and $values.console.url $values.console.existingSecret) -}}
{{- fail "console.enabled needs console.url, the address at which people open it, and console.existingSecret, the Secret with the token file (docs/how-to/console.md)" -}}
{{- end -}}
{{- if and $values.console.oidc.issuer (not $values.console.oidc.clientId) -}}
{{- fail "console.oidc.issuer is set, but console.oidc.clientId is empty" -}}
{{- end -}}
{{- with $values.console.answers -}}
{{- if and (or .slackKey .webhookKey) (not .existingSecret) -}}
{{- fail "console.answers names keys, but console.answers.existingSecret is empty: name the Secret that has them" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $stage := $values.stages -}}
{{- if gt (int $stage.replicas) (int $values.kafka.partitions) -}}
{{- fail (printf "stages.%s.replicas is %d, but kafka.partitions is %d: the others would never get work. Lower the replicas; more partitions can be had only before the first install" $name (int $stage.replicas) (int $values.kafka.partitions)) -}}
{{- end -}}
{{- end -}}
{{- end }}
