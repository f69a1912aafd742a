{{/*
What each process may know and reach. The environment (_env.tpl) and the network policy (networkpolicy.yaml) are both made
from this table, so that a key and the way to use it go together: only decide asks a model, only act calls outside systems.
*/}}
{{- define "nightdesk.stages" -}}
ingest: {args: [worker, ingest], needs: [kafka, registry]}
budget: {args: [worker, budget], needs: [kafka, registry]}
decide: {args: [worker, decide], needs: [kafka, registry, model]}
act: {args: [worker, act], needs: [kafka, registry, connections]}
later: {args: [worker, later], needs: [kafka, registry]}
sink: {args: [sink], needs: [kafka, registry, clickhouse]}
{{- end }}

{{/* What is done before any stage starts, in this order of `weight`. Each can be done again without harm. */}}
{{- define "nightdesk.setup" -}}
topics: {args: [topics, apply], needs: [kafka], weight: 1}
schemas: {args: [schemas, register], needs: [registry], weight: 2}
migrate: {args: [migrate], needs: [clickhouse], weight: 3}
{{- if or .Values.charters.files .Values.charters.existingConfigMap }}
charters: {args: [charter, apply, /charters], needs: [kafka, registry], weight: 4}
{{- end }}
{{- end }}
