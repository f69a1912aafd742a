{{/* The environment of one process: what all share, its own name, and one block for each of its needs. */}}
{{- define "nightdesk.env" -}}
{{- $values := .root.Values -}}
- name: NIGHTDESK_LOG__FORMAT
  value: json
- name: NIGHTDESK_LOG__LEVEL
  value: {{ $values.log.level }}
- name: NIGHTDESK_KAFKA__TOPIC_PREFIX
  value: {{ $values.kafka.topicPrefix | quote }}
- name: NIGHTDESK_KAFKA__PARTITIONS
  value: {{ $values.kafka.partitions | quote }}
- name: NIGHTDESK_KAFKA__REPLICATION_FACTOR
  value: {{ $values.kafka.replicationFactor | quote }}
{{- range .process.needs }}
{{- include (printf "nightdesk.env.%s" .) $values }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.kafka" }}
- name: NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS
  value: {{ .kafka.bootstrapServers | quote }}
- name: NIGHTDESK_KAFKA__SECURITY_PROTOCOL
  value: {{ .kafka.securityProtocol }}
{{- if hasPrefix "SASL" .kafka.securityProtocol }}
- name: NIGHTDESK_KAFKA__SASL_MECHANISM
  value: {{ .kafka.sasl.mechanism }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_KAFKA__SASL_USERNAME" .kafka.sasl.existingSecret .kafka.sasl.usernameKey) }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_KAFKA__SASL_PASSWORD" .kafka.sasl.existingSecret .kafka.sasl.passwordKey) }}
{{- end }}
{{- if .kafka.tls.existingSecret }}
- name: NIGHTDESK_KAFKA__SSL_CA_LOCATION
  value: /etc/nightdesk/kafka/ca.crt
{{- end }}
{{- end }}

{{- define "nightdesk.env.registry" }}
- name: NIGHTDESK_SCHEMA_REGISTRY__URL
  value: {{ .schemaRegistry.url | quote }}
{{- if .schemaRegistry.existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_SCHEMA_REGISTRY__USERNAME" .schemaRegistry.existingSecret .schemaRegistry.usernameKey) }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_SCHEMA_REGISTRY__PASSWORD" .schemaRegistry.existingSecret .schemaRegistry.passwordKey) }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.clickhouse" }}
{{- if .clickhouse.existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CLICKHOUSE__URL" .clickhouse.existingSecret .clickhouse.urlKey) }}
{{- else }}
- name: NIGHTDESK_CLICKHOUSE__URL
  value: {{ .clickhouse.url | quote }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.model" }}
{{- if .anthropic.existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_ANTHROPIC__API_KEY" .anthropic.existingSecret .anthropic.apiKeyKey) }}
{{- end }}
{{- with .anthropic.baseUrl }}
- name: NIGHTDESK_ANTHROPIC__BASE_URL
  value: {{ . | quote }}
{{- end }}
{{- with .openai.baseUrl }}
- name: NIGHTDESK_OPENAI__BASE_URL
  value: {{ . | quote }}
{{- end }}
{{- if .openai.existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_OPENAI__API_KEY" .openai.existingSecret .openai.apiKeyKey) }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.connections" }}
{{- range $name, $connection := .connections }}
- name: NIGHTDESK_CONNECTIONS__{{ upper $name }}__BASE_URL
  value: {{ $connection.baseUrl | quote }}
{{- if $connection.allowPrivate }}
- name: NIGHTDESK_CONNECTIONS__{{ upper $name }}__ALLOW_PRIVATE
  value: "true"
{{- end }}
{{- with $connection.rate }}
- name: NIGHTDESK_CONNECTIONS__{{ upper $name }}__RATE
  value: {{ . | quote }}
{{- end }}
{{- if $connection.existingSecret }}
{{- include "nightdesk.secretEnv" (list (printf "NIGHTDESK_CONNECTIONS__%s__TOKEN" (upper $name)) $connection.existingSecret ($connection.tokenKey | default "token")) }}
{{- end }}
{{- end }}
{{- end }}

{{/* (variable, secret, key) */}}
{{- define "nightdesk.secretEnv" }}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end }}
