{{- define "nightdesk.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What never changes in the life of a workload; `component` is a stage or a setup job. */}}
{{- define "nightdesk.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "nightdesk.labels" -}}
{{ include "nightdesk.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "nightdesk.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/*
Hooks run before anything else of the release exists, so what they need is a hook too. What succeeded is removed, what failed
stays for its logs.
*/}}
{{- define "nightdesk.hookAnnotations" -}}
helm.sh/hook: pre-install,{{ .upgrade | default "pre-upgrade" }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* The pod of one process, restricted as Pod Security Standards say: (root, component, process, resources, env, ports, probes). */}}
{{- define "nightdesk.podSettings" -}}
{{- $values := .root.Values -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "nightdesk.containerSettings" -}}
image: {{ include "nightdesk.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .process.args }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "nightdesk.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if and (has "kafka" .process.needs) .root.Values.kafka.tls.existingSecret }}
- name: kafka-ca
  mountPath: /etc/nightdesk/kafka
  readOnly: true
{{- end }}
{{- if eq .component "console" }}
- name: persons
  mountPath: /etc/nightdesk/console
  readOnly: true
{{- end }}
{{- if eq .component "charters" }}
- name: charters
  mountPath: /charters
  readOnly: true
{{- end }}
{{- end }}

{{- define "nightdesk.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if and (has "kafka" .process.needs) .root.Values.kafka.tls.existingSecret }}
- name: kafka-ca
  secret:
    secretName: {{ .root.Values.kafka.tls.existingSecret }}
    items:
      - key: {{ .root.Values.kafka.tls.caKey }}
        path: ca.crt
{{- end }}
{{- if eq .component "console" }}
- name: persons
  secret: {secretName: {{ .root.Values.console.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if eq .component "charters" }}
- name: charters
  configMap:
    name: {{ .root.Values.charters.existingConfigMap | default (printf "%s-charter-files" (include "nightdesk.fullname" .root)) }}
    {{- with (include "nightdesk.charterItems" .root | fromYamlArray) }}
    items: {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* A ConfigMap's key cannot hold a slash: `a/b.md` is kept under `a__b.md` and mounted at its path again. */}}
{{- define "nightdesk.charterItems" -}}
{{- if .Values.charters.existingConfigMap -}}
{{ toYaml .Values.charters.items }}
{{- else -}}
{{- range $path, $text := .Values.charters.files }}
- key: {{ $path | replace "/" "__" }}
  path: {{ $path }}
{{- end }}
{{- end }}
{{- end }}
