{{/*
What each process may know and reach. The environment (_env.tpl) and the network policy (networkpolicy.yaml) are both made
from this table, so that a key and the way to use it go together: only decide asks a model, only act calls outside systems.
*/}}
{{- define "nightdesk.stages" -}}
# BEGIN GENERATED: stages, by `make generate` from streams/catalog.py
ingest: {args: [worker, ingest], needs: [kafka, registry]}
budget: {args: [worker, budget], needs: [kafka, registry]}
decide: {args: [worker, decide], needs: [kafka, registry, model]}
act: {args: [worker, act], needs: [kafka, registry, connections]}
timers: {args: [worker, timers], needs: [kafka, registry]}
notify: {args: [worker, notify], needs: [kafka, registry, notify]}
# END GENERATED
sink: {args: [sink], needs: [kafka, registry, clickhouse], logins: [reader]}
{{- end }}

{{/* The web console. The Secret with its token file is mounted only into its pod. */}}
{{- define "nightdesk.console" -}}
{{- if .Values.console.enabled }}
console: {args: [console], needs: [kafka, registry, clickhouse, identity, answers], logins: [reader]}
{{- end }}
{{- end }}

{{/* Backs the audit up by a schedule. */}}
{{- define "nightdesk.backup" -}}
{{- if .Values.clickhouse.backup.schedule }}
backup: {args: [audit, backup], needs: [kafka, clickhouse], logins: [migrate]}
{{- end }}
{{- end }}

{{/* What is done before any stage starts, in this order of `weight`. Each can be done again without harm. At an upgrade the
charters come after the new stages: an older worker might not be able to read them, and then `--promote` fails. */}}
{{- define "nightdesk.setup" -}}
topics: {args: [topics, apply], needs: [kafka], weight: 1}
schemas: {args: [schemas, register], needs: [registry], weight: 2}
{{- if .Values.clickhouse.admin.existingSecret }}
users: {args: [users, apply], needs: [clickhouse], logins: [admin, migrate, reader, viewer], weight: 2}
{{- end }}
migrate: {args: [migrate], needs: [clickhouse], logins: [migrate], weight: 3}
{{- if or .Values.charters.files .Values.charters.existingConfigMap }}
charters: {args: [charter, apply, /charters, --promote], needs: [kafka, registry], weight: 4, upgrade: post-upgrade}
{{- end }}
{{- end }}
