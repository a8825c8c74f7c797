{{- define "bebr.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bebr.selector" -}}
app.kubernetes.io/name: bebr
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Not those of the server: what selects the server must not find the pods of backups. */ -}}
{{- define "bebr.backupSelector" -}}
app.kubernetes.io/name: bebr-backup
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bebr.labels" -}}
{{ include "bebr.selector" . }}
{{ include "bebr.release" . }}
{{- end -}}

{{- define "bebr.release" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* Of (list IMAGE CHART): a digest says more than a tag. */ -}}
{{- define "bebr.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 1).AppVersion }}
{{- end -}}
{{- end -}}

{{- /* kubelet's gRPC probes speak no TLS, and reach no loopback; then HTTP asks the same question. */ -}}
{{- define "bebr.readyProbe" -}}
{{- if or .Values.tls.secretName .Values.edge.enabled -}}
httpGet: {path: /readyz, port: metrics}
{{- else -}}
grpc: {port: 7700}
{{- end -}}
{{- end -}}

{{- /* The bytes of a quantity, "" of none. */ -}}
{{- define "bebr.bytes" -}}
{{- with . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $text := toString . -}}
{{- mul (regexFind "^[0-9]+" $text) (get $units (regexFind "[A-Za-z]*$" $text)) -}}
{{- end -}}
{{- end -}}

{{- define "bebr.memoryLimit" -}}
{{- $bytes := include "bebr.bytes" (dig "limits" "memory" "" .Values.resources) -}}
{{- with $bytes -}}
{{- div (mul . $.Values.memoryLimitPercent) 100 -}}
{{- end -}}
{{- end -}}

{{- define "bebr.dataClaim" -}}
{{- /* The name that a claim template gave it in 0.1. */ -}}
{{- .Values.persistence.existingClaim | default (printf "data-%s-0" (include "bebr.name" .)) -}}
{{- end -}}

{{- define "bebr.snapshotClaim" -}}
{{- .Values.snapshots.existingClaim | default (printf "%s-snapshots" (include "bebr.name" .)) -}}
{{- end -}}
