{{- define "scopegate.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "scopegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "scopegate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "scopegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "scopegate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "scopegate.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "scopegate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Whether there may be more than one gate at a time. */ -}}
{{- define "scopegate.isMany" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}true{{- end -}}
{{- end -}}

{{- /* What cannot work is refused before anything is installed. */ -}}
{{- define "scopegate.check" -}}
{{- with .Values -}}
{{- if and (include "scopegate.isMany" $) (not .store.url) -}}
{{- fail "several gates need one store that they share: set `store.url` to a postgres:// URL, or `replicaCount: 1` and no autoscaling (SQLite is for one gate)" -}}
{{- end -}}
{{- if and (include "scopegate.isMany" $) (not .counters.url) -}}
{{- fail "several gates need counters that they share: set `counters.url` to a redis:// URL, or `replicaCount: 1` and no autoscaling (memory is for one gate)" -}}
{{- end -}}
{{- range $of, $url := dict "store" .store.url "counters" .counters.url -}}
{{- if regexMatch "^[a-z+]+://[^/@]*:[^/@]*@" $url -}}
{{- fail (printf "there is a password in `%s.url`: put it into a Secret, and name that in `%s.existingSecret`" $of $of) -}}
{{- end -}}
{{- end -}}
{{- if and .policy.builtin .policy.existingConfigMap -}}
{{- fail "`policy.builtin` and `policy.existingConfigMap` cannot both be set" -}}
{{- end -}}
{{- range $key := list "listen" "management" "upstream" "contract" "policy" "store" "counters" "sessions" -}}
{{- if hasKey $.Values.settings $key -}}
{{- fail (printf "`settings.%s` is set by the chart: use the chart's own values" $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (.settings.limits | default dict) "drain_time" -}}
{{- fail "`settings.limits.drain_time` is set by the chart: use `drainSeconds`" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Where a store or counters are, with the files of their secrets. */ -}}
{{- define "scopegate.engine" -}}
{{- $engine := dict "url" .values.url -}}
{{- if .values.existingSecret -}}
{{- $_ := set $engine "password" (printf "/run/secrets/%s/password" .name) -}}
{{- if .values.sentinelPasswordKey -}}
{{- $_ := set $engine "sentinel_password" (printf "/run/secrets/%s/sentinel-password" .name) -}}
{{- end -}}
{{- if .values.caKey -}}
{{- $_ := set $engine "ca" (printf "/run/secrets/%s/ca.pem" .name) -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $engine .values.settings | toYaml -}}
{{- end -}}

{{- /* scopegate.yaml */ -}}
{{- define "scopegate.configuration" -}}
{{- $audit := dict "lines" "stdout" -}}
{{- if .Values.keys.audit.existingSecret -}}
{{- $_ := set $audit "key" (printf "/run/secrets/audit/%s" .Values.keys.audit.key) -}}
{{- $_ := set $audit "heads" "/var/lib/scopegate/audit-heads.jsonl" -}}
{{- end -}}
{{- $config := dict
  "listen" "0.0.0.0:8080"
  "management" (dict "listen" "0.0.0.0:9080")
  "contract" .Values.contract
  "upstream" (required "`upstream` is not set: the URL of your API, such as http://api.default.svc:3000" .Values.upstream)
  "sessions" (dict "keys" (printf "/run/secrets/sessions/%s" .Values.keys.sessions.key))
  "audit" $audit
  "limits" (dict "drain_time" (printf "%ds" (int .Values.drainSeconds)))
-}}
{{- with .Values.policy -}}
{{- if .existingConfigMap -}}
{{- $_ := set $config "policy" (printf "/etc/scopegate-policy/%s" .key) -}}
{{- else if .builtin -}}
{{- $_ := set $config "policy" .builtin -}}
{{- end -}}
{{- end -}}
{{- if .Values.store.url -}}
{{- $_ := set $config "store" (include "scopegate.engine" (dict "name" "store" "values" .Values.store) | fromYaml) -}}
{{- else -}}
{{- $_ := set $config "store" "sqlite:///var/lib/scopegate/scopegate.db" -}}
{{- end -}}
{{- if .Values.counters.url -}}
{{- $_ := set $config "counters" (include "scopegate.engine" (dict "name" "counters" "values" .Values.counters) | fromYaml) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.settings) | toYaml -}}
{{- end -}}

{{- /* A container of the gate may write to its volume, and nothing else. */ -}}
{{- define "scopegate.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "scopegate.mounts" -}}
- { name: config, mountPath: /etc/scopegate, readOnly: true }
- { name: data, mountPath: /var/lib/scopegate }
- { name: secrets, mountPath: /run/secrets, readOnly: true }
{{- if .Values.policy.existingConfigMap }}
- { name: policy, mountPath: /etc/scopegate-policy, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* A Secret's key as a file. Only its group reads it: the pod's. */ -}}
{{- define "scopegate.secret" -}}
{{- if .secret }}
- secret:
    name: {{ .secret }}
    items:
      - { key: {{ .key | quote }}, path: {{ .path | quote }}, mode: 288 }
{{- end }}
{{- end -}}
