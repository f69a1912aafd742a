{{/* The environment of one process: what all share, its own name, and one block for each of its needs. */}}
{{- define "nightdesk.env" -}}
{{- $values := .root.Values -}}
- name: NIGHTDESK_LOG__FORMAT
  value: json
- name: NIGHTDESK_LOG__LEVEL
  value: {{ $values.log.level }}
{{- with $values.otlp }}
{{- if .endpoint }}
- name: NIGHTDESK_OTLP__ENDPOINT
  value: {{ .endpoint | quote }}
{{- if .existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_OTLP__HEADERS" .existingSecret .headersKey) }}
{{- end }}
{{- end }}
{{- end }}
- name: NIGHTDESK_INSTALLATION
  value: {{ printf "%s/%s" .root.Release.Namespace (include "nightdesk.fullname" .root) | quote }}
- name: NIGHTDESK_KAFKA__TOPIC_PREFIX
  value: {{ $values.kafka.topicPrefix | quote }}
- name: NIGHTDESK_KAFKA__PARTITIONS
  value: {{ $values.kafka.partitions | quote }}
- name: NIGHTDESK_KAFKA__REPLICATION_FACTOR
  value: {{ $values.kafka.replicationFactor | quote }}
- name: NIGHTDESK_WORKER__ORDERS_CONFIRMED_WITHIN_S
  value: {{ $values.worker.ordersConfirmedWithinSeconds | quote }}
- name: NIGHTDESK_WORKER__SESSION_TIMEOUT_S
  value: {{ $values.worker.sessionTimeoutSeconds | quote }}
- name: NIGHTDESK_WORKER__LEAVES_GROUP
  value: {{ $values.worker.leavesGroup | quote }}
{{- range .process.needs }}
{{- include (printf "nightdesk.env.%s" .) $values }}
{{- end }}
{{- range .process.logins }}
{{- include "nightdesk.env.login" (list . (index $values.clickhouse .)) }}
{{- end }}
{{- if eq .component "backup" }}
{{- with $values.clickhouse.backup }}
{{- if .existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CLICKHOUSE__BACKUP_ACCESS_KEY_ID" .existingSecret .keyIdKey) }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CLICKHOUSE__BACKUP_SECRET_ACCESS_KEY" .existingSecret .keyKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- if has "admin" .process.logins }}
{{- range $name, $viewer := $values.clickhouse.viewers }}
{{- include "nightdesk.secretEnv" (list (printf "NIGHTDESK_CLICKHOUSE__VIEWERS__%s__PASSWORD" (upper $name)) $viewer.existingSecret $viewer.passwordKey) }}
- name: {{ printf "NIGHTDESK_CLICKHOUSE__VIEWERS__%s__AGENTS" (upper $name) }}
  value: {{ join "," $viewer.agents | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The login of one of ClickHouse's users. Each process gets those that it uses, beside the sink's in the URL. */}}
{{- define "nightdesk.env.login" }}
{{- $user := index . 0 | upper }}
{{- with index . 1 }}
{{- if .existingSecret }}
{{- include "nightdesk.secretEnv" (list (printf "NIGHTDESK_CLICKHOUSE__%s_USERNAME" $user) .existingSecret .usernameKey) }}
{{- include "nightdesk.secretEnv" (list (printf "NIGHTDESK_CLICKHOUSE__%s_PASSWORD" $user) .existingSecret .passwordKey) }}
{{- end }}
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
{{- with .clickhouse.cluster }}
{{- if .name }}
- name: NIGHTDESK_CLICKHOUSE__CLUSTER
  value: {{ .name | quote }}
{{- end }}
{{- if .replicated }}
- name: NIGHTDESK_CLICKHOUSE__REPLICATED
  value: "true"
- name: NIGHTDESK_CLICKHOUSE__REPLICA
  value: {{ .replica | quote }}
{{- end }}
{{- if .path }}
- name: NIGHTDESK_CLICKHOUSE__REPLICATION_PATH
  value: {{ .path | quote }}
{{- end }}
{{- end }}
{{- with .clickhouse.backup }}
{{- if .to }}
- name: NIGHTDESK_CLICKHOUSE__BACKUP_TO
  value: {{ .to | quote }}
{{- end }}
{{- end }}
- name: NIGHTDESK_CLICKHOUSE__RETENTION_MONTHS
  value: {{ .clickhouse.retentionMonths | quote }}
{{- with .clickhouse.textRetentionMonths }}
- name: NIGHTDESK_CLICKHOUSE__TEXT_RETENTION_MONTHS
  value: {{ . | quote }}
{{- end }}
{{- with .clickhouse.promptRetentionMonths }}
- name: NIGHTDESK_CLICKHOUSE__PROMPT_RETENTION_MONTHS
  value: {{ . | quote }}
{{- end }}
{{- with .clickhouse.forgetKey }}
{{- if .existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CLICKHOUSE__FORGET_KEY" .existingSecret .key) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.model" }}
{{- $values := . }}
{{- range $section, $provider := include "nightdesk.providers" . | fromYaml }}
{{- $settings := index $values $section }}
{{- if $settings.existingSecret }}
{{- range $key, $variable := $provider.secrets }}
{{- include "nightdesk.secretEnv" (list $variable $settings.existingSecret (index $settings $key)) }}
{{- end }}
{{- end }}
{{- range $key, $variable := $provider.values }}
{{- with index $settings $key }}
- name: {{ $variable }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "nightdesk.env.connections" }}
{{- with .outsideTopics }}
- name: NIGHTDESK_OUTSIDE_TOPICS
  value: {{ join "," . | quote }}
{{- end }}
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

{{/* A route may write to an outside topic. Secrets of routes come from the Secret: its keys are the variables. */}}
{{- define "nightdesk.env.notify" }}
{{- with .outsideTopics }}
- name: NIGHTDESK_OUTSIDE_TOPICS
  value: {{ join "," . | quote }}
{{- end }}
{{- range $name, $value := .notify.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range .notify.secretKeys }}
{{- include "nightdesk.secretEnv" (list . $.notify.existingSecret .) }}
{{- end }}
{{- end }}

{{/* Where the console gets its persons and who they are. A provider without a client secret is a public client. */}}
{{- define "nightdesk.env.identity" }}
- name: NIGHTDESK_CONSOLE__HOST
  value: 0.0.0.0
- name: NIGHTDESK_CONSOLE__PORT
  value: {{ .console.port | quote }}
- name: NIGHTDESK_CONSOLE__URL
  value: {{ .console.url | quote }}
- name: NIGHTDESK_CONSOLE__TOKEN_FILE
  value: /etc/nightdesk/console/{{ .console.tokenFileKey }}
{{- with .console.oidc }}
{{- if .issuer }}
- name: NIGHTDESK_CONSOLE__OIDC__ISSUER
  value: {{ .issuer | quote }}
- name: NIGHTDESK_CONSOLE__OIDC__CLIENT_ID
  value: {{ .clientId | quote }}
{{- if .existingSecret }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CONSOLE__OIDC__CLIENT_SECRET" .existingSecret .clientSecretKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What signs the answers to approvals that come in from elsewhere. */}}
{{- define "nightdesk.env.answers" }}
{{- with .console.answers }}
{{- if .slackKey }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CONSOLE__SLACK__SIGNING_SECRET" .existingSecret .slackKey) }}
{{- end }}
{{- if .webhookKey }}
{{- include "nightdesk.secretEnv" (list "NIGHTDESK_CONSOLE__WEBHOOK_SECRET" .existingSecret .webhookKey) }}
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
